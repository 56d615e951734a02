"""CutMix of images, pseudo-labels and label-set maps with the same mask, and the boxes it cuts."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from common.transforms.draws import key_of, uniform
from common.transforms.pseudo_labels import boxes, cut

KEY = torch.tensor(key_of(3, 1))


def draw_boxes(key: torch.Tensor, index: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return boxes(uniform(key, index, 1 + len(size)), size)


def test_the_check_value():
    mask = torch.tensor([[1, 0, 0, 1]]).bool()
    assert cut(torch.tensor([[10, 11, 12, 13]]), torch.tensor([[20, 21, 22, 23]]), mask).tolist() == [[10, 21, 22, 13]]


@pytest.mark.parametrize("size", [(7,), (5, 6), (4, 5, 3), (2, 3, 2, 3)])
def test_image_label_set_map_and_pseudo_label_are_cut_alike_in_every_dimension(size: tuple[int, ...]):
    mask = draw_boxes(KEY, torch.arange(3), size)
    shapes = {"image": (3, 1, *size), "map": (3, 2, *size), "pseudo_label": (3, *size)}
    dtypes = {"image": torch.float32, "map": torch.uint8, "pseudo_label": torch.int64}
    for name, shape in shapes.items():
        first = torch.arange(math.prod(shape)).reshape(shape).remainder(100).to(dtypes[name])
        second = first + 100
        found = cut(first, second, mask)
        where = mask.numpy() if name == "pseudo_label" else np.repeat(mask.numpy()[:, None], shape[1], axis=1)
        assert found.dtype == dtypes[name]
        assert np.array_equal(found.numpy() >= 100, ~where)
        assert torch.equal(found.remainder(100), first.remainder(100)), "every pixel stays at its place"


def test_a_box_is_a_box_inside_the_image():
    size = (9, 16, 5)
    seen = 0
    for outside in draw_boxes(KEY, torch.arange(200), size):
        inside = (~outside).numpy()
        corners = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        if inside.any():
            assert inside[tuple(slice(line[0], line[-1] + 1) for line in corners)].all()
            assert inside.sum() == math.prod(line[-1] - line[0] + 1 for line in corners)
            seen += 1
    assert seen > 150


@pytest.mark.parametrize("size", [(1000,), (200, 200)])
def test_the_fraction_of_a_box_is_uniform_and_so_is_its_place(size: tuple[int, ...]):
    drawn = ~draw_boxes(KEY, torch.arange(1000), size)
    fraction = drawn.flatten(start_dim=1).double().mean(dim=1)
    assert kstest(fraction.numpy(), "uniform").pvalue > 0.01
    line = drawn.flatten(start_dim=2).any(dim=2) if len(size) > 1 else drawn
    start, side = line.int().argmax(dim=1), line.sum(dim=1)
    place = (start / (size[0] - side))[(side > 0) & (size[0] - side > 50)]
    assert len(place) > 300
    assert kstest(place.numpy(), "uniform").pvalue > 0.01


def test_boxes_in_two_pixels_have_the_chances_of_their_definition():
    """Sides of 0, 1 and 2 pixels with the chances 1/4, 1/2, 1/4 (rounding), and a side of 1 at either place."""
    drawn = [tuple(box) for box in (~draw_boxes(KEY, torch.arange(4000), (2,))).int().tolist()]
    assert chisquare([drawn.count(box) for box in ((0, 0), (1, 0), (0, 1), (1, 1))]).pvalue > 0.01


def test_the_box_of_an_image_depends_on_its_number_and_the_key_alone():
    drawn = draw_boxes(KEY, torch.arange(8), (16, 16))
    assert torch.equal(draw_boxes(KEY, torch.tensor([5, 2]), (16, 16)), drawn[[5, 2]])
    assert not torch.equal(draw_boxes(KEY + 1, torch.arange(8), (16, 16)), drawn)


PAIR = torch.zeros(2, 1, 4, 4)


@pytest.mark.parametrize(
    ("second", "mask", "message"),
    [
        (PAIR[:1], torch.ones(2, 4, 4).bool(), r"one shape and dtype, got torch.float32 \(2, 1, 4, 4\) and .* \(1, 1,"),
        (PAIR.double(), torch.ones(2, 4, 4).bool(), r"one shape and dtype, .* torch.float64"),
        (PAIR, torch.ones(2, 4, 4), r"boolean mask \(B, \*spatial\) .* got torch.float32 \(2, 4, 4\)"),
        (PAIR, torch.ones(2, 4, 5).bool(), r"boolean mask .* got torch.bool \(2, 4, 5\) for \(2, 1, 4, 4\)"),
        (PAIR, torch.ones(4, 4).bool(), r"boolean mask .* got torch.bool \(4, 4\)"),
    ],
)
def test_wrong_use_is_refused(second, mask, message):
    with pytest.raises(ValueError, match=message):
        cut(PAIR, second, mask)

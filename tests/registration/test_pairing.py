"""Similar images are found by the images alone; no patient is used twice."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from prepared_item import prepared_item

from common.registration.pairing import best_first, similar_pairs
from common.registration.similarity import similarity


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    return partial(prepared_item, tmp_path)


def brighter(image: np.ndarray) -> np.ndarray:
    """Another scanner's view of the same: other gain, other compression, noise, a shift."""
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    other = np.where(image > 0, 255 * (image / 255) ** 0.7 * 0.8 + 10 + noise, 0)
    return np.roll(other.clip(0, 255), 1, axis=1)


def test_the_same_heart_is_found_among_others_whatever_the_gain(prepare):
    sources = [prepare("a", patient) for patient in range(4)]
    targets = [prepare("b", patient, seen=brighter) for patient in range(12)]
    pairs = similar_pairs([*sources, *targets], "a", "b", count=4, seed=0)
    assert {(pair.source["patient"], pair.target["patient"]) for pair in pairs} == {
        (f"patient{patient}", f"patient{patient}") for patient in range(4)
    }
    assert [pair.similarity for pair in pairs] == sorted((pair.similarity for pair in pairs), reverse=True)
    assert all(pair.similarity > 0.6 for pair in pairs)


def test_labels_play_no_part(prepare):
    data = [prepare("a", 0), *(prepare("b", patient) for patient in range(3))]
    before = similar_pairs(data, "a", "b", count=1, seed=0)
    for item in data:
        Path(item["label"]).unlink()
    assert similar_pairs(data, "a", "b", count=1, seed=0) == before


def test_only_the_same_view_and_phase_are_compared(prepare):
    wrong = [prepare("b", 0, phase="ES"), prepare("b", 0, view="2CH")]  # the same heart, so more alike
    right = prepare("b", 5)
    (pair,) = similar_pairs([prepare("a", 0), *wrong, right], "a", "b", count=1, seed=0)
    assert pair.target is right


def test_a_phase_keeps_its_pairs_when_both_are_drawn(prepare):
    sources = [prepare("a", 0, "ED"), prepare("a", 1, "ES")]
    targets = [{**prepare("b", 0, "ED"), "phase": "ES"}, {**prepare("b", 1, "ES"), "phase": "ED"}]  # the more alike
    pairs = similar_pairs([*sources, *targets], "a", "b", count=2, seed=0)
    assert {(pair.source["patient"], pair.target["patient"]) for pair in pairs} == {
        ("patient0", "patient1"),
        ("patient1", "patient0"),
    }


def test_an_unknown_view_or_phase_agrees_with_any(prepare):
    unknown = {**prepare("b", 0), "view": None, "phase": None}
    (pair,) = similar_pairs([prepare("a", 0), prepare("b", 5), unknown], "a", "b", count=1, seed=0)
    assert pair.target is unknown


def test_a_seed_draws_the_same_patients_and_another_one_others(prepare):
    data = [prepare("a", patient) for patient in range(6)] + [prepare("b", patient) for patient in range(3)]
    draws = [
        {pair.source["patient"] for pair in similar_pairs(data, "a", "b", count=3, seed=seed)} for seed in (0, 0, 1, 2)
    ]
    assert draws[0] == draws[1]
    assert len({frozenset(draw) for draw in draws}) > 1


def test_within_a_dataset_no_patient_is_in_two_pairs(prepare):
    data = [prepare("a", patient, phase) for patient in range(6) for phase in ("ED", "ES")]
    pairs = similar_pairs(data, "a", "a", count=3, seed=0)
    patients = [item["patient"] for pair in pairs for item in (pair.source, pair.target)]
    assert len(set(patients)) == 6


def test_too_few_patients_are_named(prepare):
    data = [prepare("a", 0), prepare("a", 1), prepare("b", 0), prepare("b", 1, phase="ES")]
    with pytest.raises(
        ValueError, match=r"only 1 pairs of patients of 'a' and 'b' share view and phase; lower --pairs"
    ):
        similar_pairs(data, "a", "b", count=2, seed=0)
    with pytest.raises(ValueError, match=r"expected --pairs of 1 or more, got 0"):
        similar_pairs(data, "a", "b", count=0, seed=0)
    with pytest.raises(ValueError, match=r"expected --source and --target among .*\['a', 'b'\], got \['c'\]"):
        similar_pairs(data, "a", "c", count=1, seed=0)
    with pytest.raises(ValueError, match=r"only 0 pairs of patients"):
        similar_pairs([prepare("a", 0), prepare("b", 1, view="2CH")], "a", "b", count=1, seed=0)


@given(arrays(np.float64, (4, 6), elements=st.floats(-1, 1)), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_pairs_are_disjoint_and_the_best_comes_first(correlation: np.ndarray, group: list[int]):
    pairs = best_first(correlation, group)
    assert len(pairs) == min(4, len(set(group)))
    assert len({row for row, _ in pairs}) == len({group[column] for _, column in pairs}) == len(pairs)
    values = [correlation[pair] for pair in pairs]
    assert values[0] == correlation.max()
    assert values == sorted(values, reverse=True)


def test_an_image_without_structure_resembles_none():
    image = np.random.default_rng(1).integers(1, 255, (48, 48))
    for empty in (np.zeros_like(image), np.full_like(image, 9)):
        correlation, _ = similarity([empty], [image])
        assert abs(correlation[0, 0]) < 1e-3


def test_a_smaller_depth_is_found_as_a_scale():
    rng = np.random.default_rng(2)
    blurred = np.kron(rng.integers(20, 255, (12, 12)), np.ones((16, 16)))  # coarse structure, 192 pixels
    whole, upper = np.pad(blurred, 8), np.pad(blurred[:154, 19:-19], 8)  # the upper 0.8 about the middle
    correlation, scale = similarity([whole], [upper])
    assert scale[0, 0] == 0.8
    assert correlation[0, 0] > 0.7

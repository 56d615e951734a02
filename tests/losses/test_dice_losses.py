"""The Dice losses against MONAI's DiceLoss on merged maps, and their means over images."""

import monai.losses
import pytest
import torch

from common.label_set_map import admitted, drop_classes
from common.label_sets import LabelSets
from common.losses import ExclusionLoss, LeafDiceLoss, MarginalDiceLoss

CLASSES = ["background", "lv", "lvm", "la"]
FULL = [[name] for name in CLASSES]
SETS = LabelSets(
    CLASSES,
    {"full": FULL, "lv": [["background", "lvm", "la"], ["lv"]], "nothing": [CLASSES], "ignoring": [*FULL, CLASSES]},
)


def example(*datasets, size=6):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(len(datasets), 4, size, size, generator=generator)
    label = torch.randint(0, 4, (len(datasets), 1, size, size), generator=generator)
    index = torch.tensor([list(SETS.label_sets).index(name) for name in datasets])
    counts = torch.tensor([len(SETS.label_sets[name]) for name in datasets])
    label = torch.where(label < counts.reshape(-1, 1, 1, 1), label, 0)
    return logits, SETS.encode_batch(label, index), label


def monai_dice(probability, truth):
    loss = monai.losses.DiceLoss(smooth_nr=0.0, smooth_dr=0.0, reduction="none")
    return loss(probability, truth).flatten(1)


@pytest.mark.parametrize("include_background", [False, True])
def test_complete_labels_give_the_ordinary_dice(include_background):
    logits, target, label = example("full", "full")
    oracle = monai.losses.DiceLoss(
        include_background=include_background, to_onehot_y=True, softmax=True, smooth_nr=0.0, smooth_dr=0.0
    )
    torch.testing.assert_close(MarginalDiceLoss(include_background)(logits, target), oracle(logits, label))
    if include_background:
        torch.testing.assert_close(LeafDiceLoss()(logits, target), oracle(logits, label))


@pytest.mark.parametrize("include_background", [False, True])
def test_missing_classes_are_merged_into_background(include_background):
    logits, target, label = example("lv")
    probability = logits.softmax(dim=1)
    merged = torch.stack([probability[:, [0, 2, 3]].sum(dim=1), probability[:, 1]], dim=1)
    expected = monai_dice(merged, torch.cat([label == 0, label == 1], dim=1).float())
    expected = expected.mean() if include_background else expected[0, 1]
    torch.testing.assert_close(MarginalDiceLoss(include_background)(logits, target), expected)


@pytest.mark.parametrize("include_background", [False, True])
def test_ignored_pixels_count_as_if_they_were_cropped(include_background):
    logits, _, label = example("full")
    label[..., 3:] = 4
    loss = MarginalDiceLoss(include_background)
    cut = SETS.encode(label[0, ..., :3], "full")[None]
    whole = SETS.encode(label[0], "ignoring")[None]
    torch.testing.assert_close(loss(logits, whole), loss(logits[..., :3], cut))
    torch.testing.assert_close(LeafDiceLoss()(logits, whole), LeafDiceLoss()(logits[..., :3], cut))


def test_members_of_a_superclass_merge_where_background_is_ambiguous_and_not_where_it_is_known():
    probability = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]).T[None]
    sets = LabelSets(CLASSES, {"full": FULL, "whole": [["background"], ["lv", "lvm"], ["la"]]})
    loss = MarginalDiceLoss(include_background=True, reduction="none")
    known = loss(probability.log(), sets.encode(torch.tensor([[0, 1]]), "whole")[None])[0]
    # background: p = .1, .4 against 1, 0; left atrium: p = .4, .1 against 0, 0
    torch.testing.assert_close(known, torch.tensor([1 - 2 * 0.1 / 1.5, 0.0, 0.0, 1.0]))
    dropped = drop_classes(
        sets.encode(torch.tensor([[0, 2]]), "full")[None], torch.tensor([[False, True, True, False]])
    )
    merged = loss(probability.log(), dropped)[0]
    # background with lv and lvm: p = .6, .9, truth 1, 1
    torch.testing.assert_close(merged[0], torch.tensor(1 - 2 * 1.5 / 3.5))


def test_leaf_dice_counts_only_pixels_of_a_single_class():
    logits, target, label = example("lv")
    known = label[0, 0] == 1
    probability = logits.softmax(dim=1)[:, 1, known].sum()
    expected = 1 - 2 * probability / (probability + known.sum())
    torch.testing.assert_close(LeafDiceLoss()(logits, target), expected)
    changed = logits + 5 * torch.randn_like(logits) * ~known
    torch.testing.assert_close(LeafDiceLoss()(changed, target), expected)


def test_exclusion_is_the_dice_with_impossible_pixels():
    logits, target, _ = example("full", "lv")
    impossible = ~admitted(target, 4)[:, 1:]
    expected = 1 - monai_dice(logits.softmax(dim=1)[:, 1:], impossible.float())
    torch.testing.assert_close(ExclusionLoss()(logits, target), expected.mean())
    torch.testing.assert_close(ExclusionLoss("none")(logits, target)[:, 1:], expected)


@pytest.mark.parametrize("loss", [MarginalDiceLoss, LeafDiceLoss])
def test_unlabelled_images_do_not_move_the_mean(loss):
    logits, target, _ = example("lv", "nothing", "full", "nothing")
    torch.testing.assert_close(loss()(logits, target), loss()(logits[::2], target[::2]))


@pytest.mark.parametrize("loss", [MarginalDiceLoss, LeafDiceLoss])
def test_every_counted_pair_of_image_and_class_has_the_same_weight(loss):
    logits, target, _ = example("lv", "full")
    each = loss("none" if loss is LeafDiceLoss else False, *([] if loss is LeafDiceLoss else ["none"]))(logits, target)
    assert each.shape == (2, 4)
    assert each[0].nonzero().flatten().tolist() == [1]
    counted = 1 + (4 if loss is LeafDiceLoss else 3)
    torch.testing.assert_close(loss()(logits, target), each.sum() / counted)


def test_an_annotated_class_that_is_absent_is_a_constant():
    target = SETS.encode(torch.zeros(1, 5, dtype=torch.uint8), "lv")[None]
    for gap in (0.0, 50.0, 100.0, 200.0):  # probabilities down to the subnormal and to zero
        logits = gap * torch.eye(4)[0].reshape(1, 4, 1).expand(1, 4, 5)
        leaf = logits.clone().requires_grad_()
        loss = MarginalDiceLoss()(leaf, target)
        loss.backward()
        assert loss.item() == 1
        assert bool((leaf.grad == 0).all())

"""The label-set map: which classes each pixel may be, and which classes its annotation decides.

An integer tensor of shape (2, *spatial), batched (B, 2, *spatial):

- channel 0, *admitted*: bit `c` is set where class `c` may be the truth;
- channel 1, *annotated*: bit `c` is set where the annotation decides class `c`, one way or the other.

Zero in both channels marks an ignored pixel: it costs nothing and no metric counts it. The map is per pixel, so it
survives cropping, padding and mixing images of different datasets, and losses and metrics need not know the dataset.
"""

from collections.abc import Sequence

import torch

__all__ = [
    "admitted",
    "annotated",
    "drop_classes",
    "exchange_classes",
    "from_one_hot",
    "known_classes",
    "known_masks",
    "members",
    "smallest_dtype",
]

_BITS = {8: torch.uint8, 15: torch.int16, 31: torch.int32, 63: torch.int64}  # most classes: dtype, without its sign


def smallest_dtype(num_classes: int) -> torch.dtype:
    """Return the smallest of uint8, int16, int32, int64 that holds one bit per class.

    Raises:
        ValueError: there are more than 63 classes.

    Example:
        >>> smallest_dtype(8), smallest_dtype(9)
        (torch.uint8, torch.int16)
    """
    if num_classes > max(_BITS):
        raise ValueError(
            f"expected at most {max(_BITS)} classes, the bits of an int64 without its sign, got {num_classes}."
        )
    return next(dtype for bits, dtype in _BITS.items() if num_classes <= bits)


def admitted(target: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Unpack where each class may be the truth.

    Args:
        target: label-set map (B, 2, *spatial).
        num_classes: number of classes C.

    Returns:
        Boolean (B, C, *spatial).

    Example:
        >>> admitted(torch.tensor([[[5], [2]]]), 3).tolist()  # 5 = 1 + 4: background or class 2
        [[[True], [False], [True]]]
    """
    return members(target[:, 0], num_classes).bool()


def annotated(target: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Unpack where the annotation decides each class, with the shapes of `admitted`.

    Example:
        >>> annotated(torch.tensor([[[5], [2]]]), 3).tolist()  # 2: class 1 alone
        [[[False], [True], [False]]]
    """
    return members(target[:, 1], num_classes).bool()


def members(bits: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Unpack the bit masks of sets of classes.

    Args:
        bits: bit `c` is set for the members of the set, integer (B, *spatial).
        num_classes: number of classes C.

    Returns:
        1 for the members and 0 for the other classes, in the dtype of `bits`, (B, C, *spatial).

    Example:
        >>> members(torch.tensor([[5]]), 3).flatten()  # {0, 2}
        tensor([1, 0, 1])
    """
    mask = (1 << torch.arange(num_classes, device=bits.device)).to(bits.dtype)  # made on the device: nothing to copy
    return (bits.unsqueeze(1) & mask.reshape(-1, *[1] * (bits.ndim - 1))).clamp(max=1)


def known_masks(target: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Unpack where the annotation says that a pixel belongs to a class.

    Args:
        target: label-set map (B, 2, *spatial).
        num_classes: number of classes C.

    Returns:
        Boolean (B, C, *spatial): the class alone is admitted, and the annotation decides it.

    Example:
        >>> known_masks(torch.tensor([[[1, 2, 3], [3, 3, 0]]]), 2).tolist()  # background, class 1, either
        [[[True, False, False], [False, True, False]]]
    """
    codes = (1 << torch.arange(num_classes, device=target.device)).view(1, -1, *[1] * (target.ndim - 2))
    return (target[:, :1].to(torch.int64) == codes) & annotated(target, num_classes)


def within_super_class(target: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return which classes an image may contain although no pixel decides for them: some structure is there, not which.

    Background is impossible at such a pixel; an unlabelled region, where it is possible, does not count.

    Example:
        >>> left_or_right, background = 0b110, 0b001  # and the third class, annotated alone
        >>> within_super_class(torch.tensor([[[left_or_right, background], [0b1001, 0b1001]]]), 4).tolist()
        [[False, True, True, False]]

    Returns:
        bool, (B, C).
    """
    open_ = admitted(target, num_classes) & ~annotated(target, num_classes)
    return (open_ & ~open_[:, :1] & (target[:, :1] & 1 == 0)).flatten(start_dim=2).any(dim=2)


def known_classes(target: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the class index of each pixel that the annotation decides, 0 elsewhere; int64 (B, *spatial).

    Example:
        >>> known_classes(torch.tensor([[[2, 5], [2, 2]]]), num_classes=3)
        tensor([[1, 0]])
    """
    return known_masks(target, num_classes).to(torch.uint8).argmax(dim=1)


def drop_classes(target: torch.Tensor, drop: torch.Tensor) -> torch.Tensor:
    """Remove the annotation of some classes, per sample, as if it had never been drawn.

    The dropped classes leave `annotated`, and so does background, which now hides them. Background and every
    unannotated class are ambiguous; a pixel that admits any of them now admits all of them. Other pixels keep their
    label set. Dropping a member of a super-class drops the outline of the super-class too. Label dropout and simulated
    partial labels both use this rule.

    Args:
        target: label-set map (B, 2, *spatial).
        drop: classes to drop in each sample, boolean (B, C). Leave it on the CPU: class 0 is checked there without
            waiting for a GPU.

    Returns:
        New label-set map of the same shape and dtype.

    Raises:
        ValueError: `drop` includes background, or the shapes do not match.

    Example:
        >>> target = torch.tensor([[[1, 2, 4], [7, 7, 7]]])  # background, class 1, class 2, fully labelled
        >>> drop_classes(target, torch.tensor([[False, False, True]])).tolist()
        [[[5, 2, 5], [2, 2, 2]]]
    """
    if drop.dtype != torch.bool or drop.ndim != 2 or target.ndim < 3 or target.shape[:2] != (drop.shape[0], 2):
        raise ValueError(
            "expected a label-set map (B, 2, *spatial) and boolean classes to drop (B, C), "
            f"got {tuple(target.shape)} and {drop.dtype} {tuple(drop.shape)}."
        )
    if bool(drop[:, 0].any()):
        raise ValueError("class 0, background, cannot be dropped: dropped classes are hidden in it.")
    num_classes = drop.shape[1]
    every = (1 << num_classes) - 1
    drop = torch.cat([drop.any(dim=1, keepdim=True), drop[:, 1:]], dim=1)  # and with them background, which hides them
    classes = torch.arange(num_classes, device=drop.device)
    bits = (drop.to(torch.int64) << classes).sum(dim=1).to(target, non_blocking=True)
    bits = bits.reshape(-1, *[1] * (target.ndim - 2))
    still_annotated = target[:, 1] & ~bits
    ambiguous = (~still_annotated & every) * (bits & 1)
    truth = target[:, 0]
    # clamp and multiply instead of `torch.where`, which takes 40 times as long on 8-bit integers on a CPU
    truth = truth | (truth & ambiguous).clamp(max=1) * ambiguous
    return torch.stack([truth, still_annotated], dim=1)


def exchange_classes(target: torch.Tensor, pairs: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Exchange classes in pairs, as a reflection does to the structures on the left and on the right.

    Args:
        target: label-set map (B, 2, *spatial).
        pairs: of class indices; a class is in one pair at most.

    Returns:
        New label-set map, of the same shape and dtype.

    Raises:
        ValueError: a class is in several pairs.

    Example:
        >>> exchange_classes(torch.tensor([[[1, 2, 5], [7, 7, 3]]]), [(1, 2)]).tolist()  # bits 2 and 4
        [[[1, 4, 3], [7, 7, 5]]]
    """
    classes = [index for pair in pairs for index in pair]
    if len(set(classes)) < len(classes):
        raise ValueError(f"expected each class in one pair at most, got the pairs {list(pairs)}.")
    for first, second in pairs:
        differ = ((target >> first) ^ (target >> second)) & 1
        target = target ^ ((differ << first) | (differ << second))
    return target.clone() if not pairs else target


def from_one_hot(one_hot: torch.Tensor, annotated: torch.Tensor) -> torch.Tensor:
    """Encode one-hot masks as label-set maps: for data whose annotation has one channel per class.

    The result equals `LabelSets.encode` of the same annotation in integers, followed by `drop_classes` for the classes
    that are not annotated. Pixels whose channels are all zero are ignored.

    Args:
        one_hot: masks of 0 and 1, background first, boolean, integer or floating, (B, C, *spatial). What a channel
            holds that is not annotated does not matter, but its pixels belong to one class at most, too.
        annotated: classes that each sample annotates, boolean, (B, C). Background is decided where every other class
            is, so its own entry has no effect.

    Raises:
        ValueError: a value other than 0 and 1, a pixel of two classes, or shapes that do not match.

    Example:
        >>> one_hot = torch.tensor([[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]])  # class 0, 1, 2, ignored
        >>> from_one_hot(one_hot, torch.tensor([[True, True, False]])).tolist()  # class 2 hides in background: 1 + 4
        [[[5, 2, 5, 0], [2, 2, 2, 0]]]
    """
    if one_hot.ndim < 3 or annotated.dtype != torch.bool or annotated.shape != one_hot.shape[:2]:
        raise ValueError(
            "expected one-hot masks (B, C, *spatial) and boolean annotated classes (B, C), "
            f"got {tuple(one_hot.shape)} and {annotated.dtype} {tuple(annotated.shape)}."
        )
    num_classes, masks = one_hot.shape[1], one_hot != 0
    dtype = smallest_dtype(num_classes)
    if not torch.equal(masks.to(one_hot.dtype), one_hot):
        wrong = one_hot[(one_hot != 0) & (one_hot != 1)][0].item()
        raise ValueError(f"expected one-hot masks of 0 and 1, got the value {wrong}.")
    several = masks.sum(dim=1, keepdim=True) > 1
    if bool(several.any()):
        sample = int(several.flatten(start_dim=1).any(dim=1).nonzero()[0])
        classes = (masks & several)[sample].flatten(start_dim=1).any(dim=1).nonzero().flatten().tolist()
        raise ValueError(
            f"sample {sample} has pixels of several classes, among the channels {classes}; "
            "classes exclude each other: decide which one such a pixel belongs to."
        )
    bits = (1 << torch.arange(num_classes, device=one_hot.device)).reshape(-1, *[1] * (one_hot.ndim - 2))
    truth = (masks * bits).sum(dim=1)
    decided = (truth > 0) * ((1 << num_classes) - 1)
    drop = ~annotated
    drop[:, 0] = False
    return drop_classes(torch.stack([truth, decided], dim=1).to(dtype), drop)

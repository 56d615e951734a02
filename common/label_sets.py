"""The vocabulary of partial labels: classes, label sets, and the label-set map that carries them per pixel.

A partially labelled dataset outlines some classes and leaves the others inside its background. The classes that an
annotation value may stand for are its *label set*, written once per dataset in the configuration. The **label-set map**
is the integer tensor of shape (2, *spatial) made from it:

- channel 0, *admitted*: bit `c` is set where class `c` may be the truth;
- channel 1, *annotated*: bit `c` is set where the annotation decides class `c`, one way or the other.

The map is per pixel, so it survives cropping, padding and mixing images of different datasets, and losses and metrics
need not know the dataset.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch

__all__ = ["LabelSets", "admitted", "annotated", "describe", "drop_classes", "known_classes", "known_masks", "members"]

MOST_CLASSES = 63  # bits of an int64 without its sign
_BITS = {8: torch.uint8, 15: torch.int16, 31: torch.int32, MOST_CLASSES: torch.int64}  # number of classes: dtype


class LabelSets:
    """The meaning of each dataset's annotation values, and the encoder from annotations to label-set maps.

    Class `c` is annotated at a pixel if its dataset outlines `c` (some value stands for `c` alone) and the pixel's own
    value decides it: the pixel is known to be `c`, or known not to be. A value that may stand for every class therefore
    marks an ignored pixel, and a value that stands for several structures marks a super-class.

    Args:
        classes: names of the classes; class 0 is "background".
        label_sets: for each dataset a list whose entry i names every class that annotation value i may stand for.
        partly: for each dataset the classes that only some of its images annotate; the other images drop them
            (`drop_classes`).

    Raises:
        TypeError: a label set is one string instead of a list of names.
        ValueError: names that are not classes, an empty label set, or a class that no dataset annotates.

    Example:
        >>> sets = {"both": [["background"], ["lv"], ["la"]], "lv_only": [["background", "la"], ["lv"]]}
        >>> label_sets = LabelSets(["background", "lv", "la"], sets)
        >>> label_sets.encode(torch.tensor([[0, 1]]), "lv_only").tolist()  # background or la: 1 + 4; lv: 2
        [[5, 2], [2, 2]]
    """

    def __init__(
        self,
        classes: Sequence[str],
        label_sets: Mapping[str, Sequence[Sequence[str]]],
        partly: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        _check(classes, label_sets)
        self.classes = classes
        self.label_sets = label_sets
        self.partly = partly or {}
        self._tables = {torch.device("cpu"): self._tabulate()}
        unannotated = [
            name for name in classes[1:] if not any(name in self.annotated(dataset) for dataset in label_sets)
        ]
        if unannotated:
            raise ValueError(
                f"no dataset annotates {unannotated}: each class but background needs a dataset, "
                f"among {list(label_sets)}, in which one annotation value stands for it alone."
            )

    def encode(self, label: torch.Tensor, dataset: str) -> torch.Tensor:
        """Encode one annotation as its label-set map, and check its values: this is where data enter.

        Args:
            label: integer annotation values, (1, *spatial).
            dataset: name of the annotation's dataset.

        Returns:
            Label-set map (2, *spatial), in the smallest of uint8, int16, int32, int64 that holds one bit per class.

        Raises:
            TypeError: the annotation is not of an integer dtype.
            ValueError: the dataset is unknown, the shape is wrong, or a value has no label set.
        """
        index = self._index(dataset)
        _check_integer(label)
        if label.ndim < 2 or label.shape[0] != 1:
            raise ValueError(f"expected an annotation of shape (1, *spatial), got {tuple(label.shape)}.")
        values = label.to(torch.int64)
        count = len(self.label_sets[dataset])
        if values.numel() and (int(values.min()) < 0 or int(values.max()) >= count):
            unknown = sorted({value for value in values.flatten().tolist() if not 0 <= value < count})
            raise ValueError(
                f"annotation of '{dataset}' holds the values {unknown}, which are not among {list(range(count))}."
            )
        return self._table(label.device)[index][:, values[0]]

    def encode_batch(self, label: torch.Tensor, dataset: torch.Tensor) -> torch.Tensor:
        """Encode annotations of several datasets as label-set maps by one table look-up, without a device sync.

        Annotation values are *not* checked: that would synchronise the device in every training step. Check them once,
        where data enter, with `encode`.

        Args:
            label: integer annotation values, (B, 1, *spatial), on any device.
            dataset: for each sample the index of its dataset in `list(label_sets)`, int64 (B,).

        Returns:
            Label-set maps (B, 2, *spatial) on the device of `label`.

        Example:
            >>> sets = {"a": [["background"], ["lv"]], "none": [["background", "lv"]]}
            >>> label_sets = LabelSets(["background", "lv"], sets)
            >>> label_sets.encode_batch(torch.tensor([[[1]], [[0]]]), torch.tensor([0, 1])).tolist()
            [[[2], [3]], [[3], [0]]]
        """
        _check_integer(label)
        if label.ndim < 3 or label.shape[1] != 1 or dataset.shape != label.shape[:1]:
            raise ValueError(
                "expected annotations (B, 1, *spatial) and dataset indices (B,), "
                f"got {tuple(label.shape)} and {tuple(dataset.shape)}."
            )
        table = self._table(label.device)[dataset.to(label.device, non_blocking=True)]
        encoded = table.gather(2, label.flatten(start_dim=2).to(torch.int64).expand(-1, 2, -1))
        return encoded.reshape(label.shape[0], 2, *label.shape[2:])

    def annotated(self, dataset: str) -> list[str]:
        """Return the names of the classes that a dataset outlines: some annotation value stands for each alone.

        Example:
            >>> LabelSets(["background", "lv"], {"a": [["background"], ["lv"]]}).annotated("a")
            ['background', 'lv']
        """
        self._index(dataset)
        alone = {names[0] for names in self.label_sets[dataset] if len(set(names)) == 1}
        return [name for name in self.classes if name in alone]

    def coverage(self) -> dict[str, dict[str, bool]]:
        """Return whether each dataset annotates each class.

        Example:
            >>> LabelSets(["background", "lv"], {"a": [["background"], ["lv"]]}).coverage()
            {'a': {'background': True, 'lv': True}}
        """
        return {
            dataset: {name: name in self.annotated(dataset) for name in self.classes} for dataset in self.label_sets
        }

    def partially_labelled(self) -> list[str]:
        """Return the names of the classes that some images do not annotate, without background.

        Example:
            >>> sets = {"both": [["background"], ["lv"], ["la"]], "lv_only": [["background", "la"], ["lv"]]}
            >>> LabelSets(["background", "lv", "la"], sets, partly={"both": ["lv"]}).partially_labelled()
            ['lv', 'la']
        """
        missing = {name for row in self.coverage().values() for name, annotates in row.items() if not annotates}
        missing |= {name for names in self.partly.values() for name in names}
        return [name for name in self.classes[1:] if name in missing]

    def withhold(self, classes: Mapping[str, Sequence[str]]) -> "LabelSets":
        """Simulate partial labels: remove the annotation of some classes from some datasets.

        Encoding with the result equals encoding with the original, followed by `drop_classes`.

        Args:
            classes: for each affected dataset the names of the classes that lose their annotation.

        Raises:
            ValueError: unknown names, background, or a class that no dataset would annotate any more.

        Example:
            >>> full = [["background"], ["lv"]]
            >>> label_sets = LabelSets(["background", "lv"], {"a": full, "b": full})
            >>> label_sets.withhold({"b": ["lv"]}).label_sets["b"]
            [['background', 'lv'], ['background', 'lv']]
        """
        withheld = {dataset: [list(names) for names in sets] for dataset, sets in self.label_sets.items()}
        for dataset, names in classes.items():
            index = self._index(dataset)
            unknown = [name for name in names if name not in self.classes[1:]]
            if isinstance(names, str) or unknown:
                raise ValueError(
                    f"expected classes to withhold in '{dataset}' as a list of names among "
                    f"{list(self.classes[1:])}, got {names!r}."
                )
            drop = torch.tensor([[name in names for name in self.classes]])
            codes = self._table(torch.device("cpu"))[index : index + 1, :, : len(withheld[dataset])]
            for value, code in enumerate(drop_classes(codes, drop)[0, 0].tolist()):
                withheld[dataset][value] = [name for c, name in enumerate(self.classes) if code >> c & 1]
        return LabelSets(self.classes, withheld, self.partly)

    def _index(self, dataset: str) -> int:
        if dataset not in self.label_sets:
            raise ValueError(f"dataset '{dataset}' has no label sets; expected one of {list(self.label_sets)}.")
        return list(self.label_sets).index(dataset)

    def _table(self, device: torch.device) -> torch.Tensor:
        """Return the codes (datasets, 2, values) on a device, moved there once."""
        if device not in self._tables:
            self._tables[device] = self._tables[torch.device("cpu")].to(device)
        return self._tables[device]

    def _tabulate(self) -> torch.Tensor:
        dtype = next(dtype for bits, dtype in _BITS.items() if len(self.classes) <= bits)
        longest = max(len(sets) for sets in self.label_sets.values())
        # Shorter rows are padded with "nothing admitted", which no checked annotation reaches.
        table = torch.zeros(len(self.label_sets), 2, longest, dtype=dtype)
        for index, (dataset, sets) in enumerate(self.label_sets.items()):
            alone = self.annotated(dataset)
            for value, names in enumerate(sets):
                table[index, 0, value] = self._bits(names)
                table[index, 1, value] = self._bits(n for n in alone if n not in names or set(names) == {n})
        return table

    def _bits(self, names: Iterable[str]) -> int:
        return sum(1 << self.classes.index(name) for name in set(names))


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


def describe(label_sets: LabelSets, counts: Mapping[str, int] | None = None) -> str:
    """Format the coverage as a table for the terminal: which dataset annotates which class.

    `counts` gives the number of images of each dataset, for an extra column.

    Example:
        >>> sets = {"a": [["background"], ["lv"]], "none": [["background", "lv"]]}
        >>> print(describe(LabelSets(["background", "lv"], sets), {"a": 9, "none": 12}))
        dataset  background  lv  images
        a        ✓           ✓        9
        none     -           -       12
    """
    rows = [["dataset", *label_sets.classes]]
    rows += [
        [
            dataset,
            *(
                "-" if not annotates else "some" if name in label_sets.partly.get(dataset, ()) else "✓"
                for name, annotates in row.items()
            ),
        ]
        for dataset, row in label_sets.coverage().items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    if counts is not None:
        column = ["images", *(str(counts[name]) for name in label_sets.label_sets)]
        width = max(len(cell) for cell in column)
        lines = [f"{line}  {cell.rjust(width)}" for line, cell in zip(lines, column, strict=True)]
    return "\n".join(line.rstrip() for line in lines)


def _check(classes: Sequence[str], label_sets: Mapping[str, Sequence[Sequence[str]]]) -> None:
    if len(classes) < 2 or classes[0] != "background":
        raise ValueError(f"expected 'background' followed by at least one structure as classes, got {list(classes)}.")
    if len(classes) > MOST_CLASSES:
        raise ValueError(
            f"expected at most {MOST_CLASSES} classes, the bits of an int64 without its sign, got {len(classes)}."
        )
    repeated = sorted({name for name in classes if list(classes).count(name) > 1})
    if repeated:
        raise ValueError(f"classes name {repeated} more than once; give each name once.")
    if not label_sets:
        raise ValueError("expected label sets of at least one dataset, got none.")
    for dataset, sets in label_sets.items():
        if not sets:
            raise ValueError(f"label sets of '{dataset}' are empty; expected at least one, for annotation value 0.")
        for value, names in enumerate(sets):
            culprit = f"label set of value {value} in '{dataset}'"
            if isinstance(names, str):
                raise TypeError(f"{culprit} is the string '{names}'; expected a list of class names.")
            if not names:
                raise ValueError(f"{culprit} is empty; expected at least one of the classes {list(classes)}.")
            unknown = [name for name in names if name not in classes]
            if unknown:
                raise ValueError(f"{culprit} names {unknown}, which are not among the classes {list(classes)}.")


def _check_integer(label: torch.Tensor) -> None:
    if label.dtype.is_floating_point or label.dtype.is_complex or label.dtype == torch.bool:
        raise TypeError(
            f"expected an annotation of an integer dtype, got {label.dtype}: its values are names, not measurements."
        )

"""The vocabulary of partial labels: classes, label sets, and the encoder to label-set maps.

A partially labelled dataset outlines some classes and leaves the others inside its background. The classes that an
annotation value may stand for are its *label set*, stated once per dataset, where the data are made. The encoder turns
integer annotations into label-set maps (`label_set_map.py`), which losses and metrics read.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch

from .label_set_map import drop_classes, smallest_dtype

__all__ = ["COLUMNS", "IGNORE", "TAKEN", "LabelSets", "Meaning", "by_value", "describe", "hide_unmentioned"]

IGNORE = "ignore"  # the meaning of values that mark ignored pixels; not a class
COLUMNS = ("image", "dataset", "patient", "view", "phase")  # of tables of scores, before those of the classes
TAKEN = (*COLUMNS, "class", "dice", "mean")  # other tables of results have these columns
BYTE = range(256)  # annotation values that may be named one by one

# what a dataset's annotation values may stand for: entry i of a list, or the entry of a mapping
Meaning: TypeAlias = Sequence[Sequence[str]] | Mapping[int, str | Sequence[str]]


def by_value(meaning: Meaning) -> dict[int, list[str]]:
    """Return the names of each annotation value, from a list or from a mapping, in which one name needs no list.

    Example:
        >>> by_value([["background"], ["lv", "la"]])
        {0: ['background'], 1: ['lv', 'la']}
        >>> by_value({0: "background", 255: "ignore"})
        {0: ['background'], 255: ['ignore']}
    """
    pairs = meaning.items() if isinstance(meaning, Mapping) else enumerate(meaning)
    return {value: [names] if isinstance(names, str) else list(names) for value, names in pairs}


def hide_unmentioned(values: Mapping[int, Sequence[str]], classes: Sequence[str]) -> dict[int, list[str]]:
    """Add the classes that a dataset never mentions, so does not annotate, to the values that may be background.

    Example:
        >>> hide_unmentioned({0: ["background"], 1: ["lv"]}, ["background", "lv", "la"])
        {0: ['background', 'la'], 1: ['lv']}
    """
    unmentioned = [name for name in classes if not any(name in names for names in values.values())]
    return {value: [*names, *(unmentioned if "background" in names else ())] for value, names in values.items()}


class LabelSets:
    """The meaning of each dataset's annotation values, and the encoder from annotations to label-set maps.

    Class `c` is annotated at a pixel if its dataset outlines `c` (some value stands for `c` alone) and the pixel's own
    value decides it: the pixel is known to be `c`, or known not to be. A value that stands for several structures marks
    a super-class, a value for every class an unlabelled pixel. The value of an ignored pixel stands for "ignore":
    nothing is learnt or measured there, and pseudo-labels leave it ignored. A class that a dataset never mentions is
    not annotated by it: it may be wherever a value stands for background.

    Args:
        classes: names of the classes; class 0 is "background".
        label_sets: for each dataset a list whose entry i names every class that annotation value i may stand for, or a
            mapping from annotation values, 0 to 255, to such names, for example {0: "background", 1: "lv", 255:
            "ignore"}; there, one name needs no list.
        partly: for each dataset the classes that only some of its images annotate; the other images drop them
            (`drop_classes`).

    Raises:
        TypeError: a label set is one string instead of a list of names.
        ValueError: names that are not classes, an empty label set, or "ignore" beside other names.

    Example:
        >>> sets = {"both": [["background"], ["lv"], ["la"]], "lv_only": [["background", "la"], ["lv"]]}
        >>> label_sets = LabelSets(["background", "lv", "la"], sets)
        >>> label_sets.encode(torch.tensor([[0, 1]]), "lv_only").tolist()  # background or la: 1 + 4; lv: 2
        [[5, 2], [2, 2]]
        >>> same = LabelSets(["background", "lv", "la"], {"lv_only": {0: "background", 1: "lv"}})  # la: never mentioned
        >>> same.encode(torch.tensor([[0, 1]]), "lv_only").tolist()
        [[5, 2], [2, 2]]
    """

    def __init__(
        self,
        classes: Sequence[str],
        label_sets: Mapping[str, Meaning],
        partly: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        _check(classes, label_sets)
        self.classes = classes
        self.label_sets = label_sets
        self.partly = partly or {}
        self._values = {
            dataset: hide_unmentioned(by_value(meaning), classes) for dataset, meaning in label_sets.items()
        }
        self._tables = {torch.device("cpu"): self._tabulate()}

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
        named = self._values[dataset]
        known = torch.tensor([value in named for value in range(1 + max(named))], device=label.device)
        inside = (values >= 0) & (values < len(known))
        if not bool((inside & known[values.clamp(0, len(known) - 1)]).all()):
            unknown = sorted(set(values.flatten().tolist()) - named.keys())
            raise ValueError(
                f"annotation of '{dataset}' holds the values {unknown}, which are not among {list(named)}."
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

        Raises:
            TypeError: the annotation is not of an integer dtype.
            ValueError: wrong shapes, or on the CPU an index of no dataset; on a GPU that fails as a device assertion.

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
        index = dataset.to(label.device, non_blocking=True)
        try:
            tables = self._table(label.device).index_select(0, index)  # unlike [index], it refuses negative ones
        except IndexError:
            wrong = sorted({one for one in dataset.tolist() if not 0 <= one < len(self.label_sets)})
            raise ValueError(
                f"dataset indices are {wrong}, expected 0 to {len(self.label_sets) - 1}, positions in "
                f"{list(self.label_sets)}."
            ) from None
        encoded = tables.gather(2, label.flatten(start_dim=2).to(torch.int64).expand(-1, 2, -1))
        return encoded.reshape(label.shape[0], 2, *label.shape[2:])

    @property
    def padding(self) -> int:
        """The lowest annotation value that no dataset names: whatever pads an annotation with it is ignored there.

        Raises:
            ValueError: all values of a byte are named.

        Example:
            >>> label_sets = LabelSets(["background", "lv"], {"a": {0: "background", 1: "lv", 255: "ignore"}})
            >>> label_sets.padding, label_sets.encode_batch(torch.tensor([[[2]]]), torch.tensor([0])).tolist()
            (2, [[[0], [0]]])
        """
        free = self._free()
        if free not in BYTE:
            raise ValueError("the datasets name all 256 annotation values; nothing is left to mark padded pixels.")
        return free

    def annotated(self, dataset: str) -> list[str]:
        """Return the names of the classes that a dataset outlines: some annotation value stands for each alone.

        Example:
            >>> LabelSets(["background", "lv"], {"a": [["background"], ["lv"]]}).annotated("a")
            ['background', 'lv']
        """
        self._index(dataset)
        alone = {names[0] for names in self._values[dataset].values() if len(set(names)) == 1}
        return [name for name in self.classes if name in alone]

    def drawn(self, dataset: str) -> list[str]:
        """Return the names of the classes that a dataset outlines, alone or as a part of a super-class."""
        names = {name for own in self._values[dataset].values() if "background" not in own for name in own}
        return [name for name in self.classes if name in names]

    def unlabelled(self, items: Iterable[Mapping[str, Any]]) -> torch.Tensor:
        """Return the classes that items of a datalist do not annotate although their dataset does, (items, classes).

        What the dataset does not outline either is left out, as `drop_classes` needs it.

        Example:
            >>> label_sets = LabelSets(["background", "lv", "la"], {"a": {0: "background", 1: "lv"}})
            >>> label_sets.unlabelled([{"dataset": "a", "unlabelled": ["lv", "la"]}, {"dataset": "a"}]).tolist()
            [[False, True, False], [False, False, False]]
        """
        drawn = {name: self.drawn(name) for name in self.label_sets}
        missing = [set(item.get("unlabelled", ())).intersection(drawn[item["dataset"]]) for item in items]
        return torch.tensor([[name in own for name in self.classes] for own in missing], dtype=torch.bool)

    def coverage(self) -> dict[str, dict[str, bool]]:
        """Return whether each dataset annotates each class.

        Example:
            >>> LabelSets(["background", "lv"], {"a": [["background"], ["lv"]]}).coverage()
            {'a': {'background': True, 'lv': True}}
        """
        return {
            dataset: {name: name in self.annotated(dataset) for name in self.classes} for dataset in self.label_sets
        }

    def unannotated(self) -> list[str]:
        """Return the names of the classes that no dataset outlines.

        Example:
            >>> LabelSets(["background", "lv", "la"], {"a": {0: "background", 1: "lv"}}).unannotated()
            ['la']
        """
        annotated = {name for dataset in self.label_sets for name in self.annotated(dataset)}
        return [name for name in self.classes[1:] if name not in annotated]

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

    def leaves_open(self) -> bool:
        """Return whether a pixel may admit several classes: classes are not annotated, or a value names several."""
        several = any(len(set(names)) > 1 for values in self._values.values() for names in values.values())
        return several or bool(self.partially_labelled())

    def withhold(self, classes: Mapping[str, Sequence[str]]) -> "LabelSets":
        """Simulate partial labels: remove the annotation of some classes from some datasets.

        Encoding with the result equals encoding with the original, followed by `drop_classes`.

        Args:
            classes: for each affected dataset the names of the classes that lose their annotation.

        Raises:
            ValueError: unknown names, or background.

        Example:
            >>> full = [["background"], ["lv"]]
            >>> label_sets = LabelSets(["background", "lv"], {"a": full, "b": full})
            >>> label_sets.withhold({"b": ["lv"]}).label_sets["b"]
            [['background', 'lv'], ['background', 'lv']]
        """
        withheld: dict[str, Meaning] = dict(self.label_sets)
        for dataset, names in classes.items():
            index = self._index(dataset)
            unknown = [name for name in names if name not in self.classes[1:]]
            if isinstance(names, str) or unknown:
                raise ValueError(
                    f"expected classes to withhold in '{dataset}' as a list of names among "
                    f"{list(self.classes[1:])}, got {names!r}."
                )
            drop = torch.tensor([[name in names for name in self.classes]])
            values = list(self._values[dataset])
            codes = self._table(torch.device("cpu"))[index : index + 1, :, values]
            remaining = [
                [name for c, name in enumerate(self.classes) if code >> c & 1] or [IGNORE]
                for code in drop_classes(codes, drop)[0, 0].tolist()
            ]
            mapped = isinstance(self.label_sets[dataset], Mapping)
            withheld[dataset] = dict(zip(values, remaining, strict=True)) if mapped else remaining
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

    def _free(self) -> int:
        named = {value for values in self._values.values() for value in values}
        return next(value for value in range(len(named) + 1) if value not in named)

    def _tabulate(self) -> torch.Tensor:
        length = 1 + max(self._free(), *(value for values in self._values.values() for value in values))
        # Zero in both channels, an ignored pixel, for "ignore" and for values that no checked annotation holds.
        table = torch.zeros(len(self.label_sets), 2, length, dtype=smallest_dtype(len(self.classes)))
        for index, (dataset, values) in enumerate(self._values.items()):
            alone = self.annotated(dataset)
            for value, names in values.items():
                if names != [IGNORE]:
                    table[index, 0, value] = self._bits(names)
                    table[index, 1, value] = self._bits(n for n in alone if n not in names or set(names) == {n})
        return table

    def _bits(self, names: Iterable[str]) -> int:
        return sum(1 << self.classes.index(name) for name in set(names))


def describe(label_sets: LabelSets, counts: Mapping[str, int] | None = None) -> str:
    """Format the coverage as a table for the terminal: which dataset annotates which class.

    `counts` gives the number of images of each dataset, for an extra column.

    Example:
        >>> sets = {"a": [["background"], ["lv"]], "none": [["background", "lv"]]}
        >>> print(describe(LabelSets(["background", "lv"], sets), {"a": 9, "none": 12}))
        dataset  background  lv   images
        a        yes         yes       9
        none     -           -        12
    """
    rows = [["dataset", *label_sets.classes]]
    rows += [
        [
            dataset,
            *(
                "-" if not annotates else "some" if name in label_sets.partly.get(dataset, ()) else "yes"
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


def _check(classes: Sequence[str], label_sets: Mapping[str, Meaning]) -> None:
    if len(classes) < 2 or classes[0] != "background":
        raise ValueError(f"expected 'background' followed by at least one structure as classes, got {list(classes)}.")
    for name in (*classes, *label_sets):
        if not isinstance(name, str) or not name.strip() or "/" in name:
            raise ValueError(
                f"{name!r} cannot name a class or dataset: expected text without '/', which separates both in results "
                "(dice/<dataset>/<class>); rename it."
            )
    smallest_dtype(len(classes))
    repeated = sorted({name for name in classes if list(classes).count(name) > 1})
    if repeated:
        raise ValueError(f"classes name {repeated} more than once; give each name once.")
    if IGNORE in classes:
        raise ValueError(f"'{IGNORE}' cannot be a class: it marks ignored pixels.")
    if taken := [name for name in classes if name in TAKEN]:
        raise ValueError(f"{taken} cannot be classes: tables of results have columns of these names; rename them.")
    if not label_sets:
        raise ValueError("expected label sets of at least one dataset, got none.")
    for dataset, meaning in label_sets.items():
        if not meaning:
            raise ValueError(f"label sets of '{dataset}' are empty; expected at least one, for annotation value 0.")
        mapped = isinstance(meaning, Mapping)
        for value, names in meaning.items() if isinstance(meaning, Mapping) else enumerate(meaning):
            culprit = f"label set of value {value!r} in '{dataset}'"
            if mapped and (type(value) is not int or value not in BYTE):
                raise ValueError(f"{culprit}: expected annotation values from 0 to 255.")
            if isinstance(names, str) and not mapped:
                raise TypeError(f"{culprit} is the string '{names}'; expected a list of class names.")
            _check_names([names] if isinstance(names, str) else names, classes, culprit)


def _check_names(names: Sequence[str], classes: Sequence[str], culprit: str) -> None:
    if not names:
        raise ValueError(f"{culprit} is empty; expected at least one of the classes {list(classes)}.")
    if IGNORE in names and len(names) > 1:
        raise ValueError(f"{culprit} names {list(names)}; '{IGNORE}' stands alone.")
    if unknown := [name for name in names if name not in (*classes, IGNORE)]:
        raise ValueError(f"{culprit} names {unknown}, which are not among the classes {list(classes)}.")


def _check_integer(label: torch.Tensor) -> None:
    if label.dtype.is_floating_point or label.dtype.is_complex or label.dtype == torch.bool:
        raise TypeError(
            f"expected an annotation of an integer dtype, got {label.dtype}: its values are names, not measurements."
        )

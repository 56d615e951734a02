"""Draw learning curves, and examples of image, annotation and prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from ignite.engine import Engine, Events
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..atomic import whole_file
from ..label_set_map import annotated, known_classes
from ..palette import colour

__all__ = ["Examples", "Pictures", "draw_curves", "draw_examples", "draw_overlay"]


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)  # no display, and no pyplot state shared between threads
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110, bbox_inches="tight")


def draw_curves(rows: Sequence[Mapping[str, float]], classes: Sequence[str], path: str | Path) -> None:
    """Draw loss and validation Dice of a `History` over epochs as a PNG, one line per dataset and class."""
    figure = Figure(figsize=(10, 4))
    loss, dice = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    loss.plot(epochs, [row["train_loss"] for row in rows], color="black")
    loss.set(title="training loss", xlabel="epoch")
    names = sorted({name for row in rows for name in row if name.startswith("dice/")})
    datasets = list(dict.fromkeys(name.split("/")[1] for name in names))
    styles = ("-", "--", ":", "-.")
    for name in names:
        _, dataset, label = name.split("/")
        style = {"color": colour(classes.index(label)), "linestyle": styles[datasets.index(dataset) % len(styles)]}
        points = [(row["epoch"], row[name]) for row in rows if name in row]  # some epochs are not validated
        dice.plot(*zip(*points, strict=True), label=f"{label}, {dataset}", **style)
    dice.set(title="validation Dice", xlabel="epoch", ylim=(0, 1))
    if names:
        dice.legend(fontsize="x-small", loc="lower right")
    for axes in (loss, dice):
        axes.grid(alpha=0.3)
    _save(figure, Path(path))


def draw_overlay(axes: Any, image: NDArray[Any], classes: NDArray[Any], num_classes: int) -> None:
    """Draw a grey image, 0 to 1, with the contours of its classes (indices); both are (rows, columns)."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    for index in range(1, num_classes):
        mask = classes == index
        if mask.any():
            shade = np.zeros((*mask.shape, 4))
            shade[mask] = (*mpl.colors.to_rgb(colour(index)), 0.35)
            axes.imshow(shade)
            axes.contour(mask, levels=[0.5], colors=[colour(index)], linewidths=1)


def draw_examples(
    columns: Sequence[tuple[str, Sequence[tuple[NDArray[Any], NDArray[Any]]]]],
    rows: Sequence[str],
    classes: Sequence[str],
    path: str | Path,
) -> None:
    """Draw a table of overlays.

    Args:
        columns: title and, for each row, grey image in [0, 1] and class index, both (rows, columns).
        rows: titles.
        classes: names, background first.
        path: PNG to write.
    """
    figure = Figure(figsize=(1.9 * len(columns) + 0.3, 1.9 * len(rows) + 0.6), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for position, (title, cells) in enumerate(columns):
        for axes, (image, overlay) in zip(grid[:, position], cells, strict=True):
            draw_overlay(axes, image, overlay, len(classes))
            axes.set(xticks=[], yticks=[])
        grid[0, position].set_title(title, fontsize="small")
    for axes, row in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(row, fontsize="small")
    handles = [Patch(color=colour(index), label=name) for index, name in enumerate(classes) if index]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize="small")
    _save(figure, Path(path))


def _flat(one: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return an image as it is, and of a volume, (x, y, z) = RAS, the axial slice with most classes of the annotation.

    It is shown as radiologists see it: from the feet, the patient's right on the left. Grey values are spread from 0
    to 1.
    """
    if one["image"].ndim == 2:
        return one
    classes = sum((one["truth"] == label).any(axis=(0, 1)).astype(int) for label in np.unique(one["truth"]))
    middle = int(np.median(np.flatnonzero(classes == classes.max())))  # of these slices
    slices = {name: one[name][:, :, middle].T[::-1, ::-1] for name in ("image", "truth", "prediction")}
    low, high = float(one["image"].min()), float(one["image"].max())
    return {**one, **slices, "image": (slices["image"] - low) / max(high - low, 1e-6)}


def _same_size(images: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Fill images, (rows, columns), with 0 below and on the right up to the largest."""
    largest = np.array([image.shape for image in images]).max(axis=0, initial=0)
    return [np.pad(image, [(0, more) for more in largest - image.shape]) for image in images]


class Examples:
    """Evaluator handler that keeps the first images of each dataset with their annotation and prediction.

    Of volumes, one axial slice is kept.

    Args:
        classes: names, background first.
        datasets: names in the order of the batch's `dataset` indices.
        count: images kept of each dataset.
    """

    def __init__(self, classes: Sequence[str], datasets: Sequence[str], count: int = 3) -> None:
        self.classes = classes
        self.datasets = datasets
        self.count = count
        self.kept: dict[int, list[dict[str, NDArray[Any]]]] = {}

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep)

    def _start(self, _: Engine) -> None:
        self.kept = {}

    def _keep(self, engine: Engine) -> None:
        batch, output = engine.state.batch, engine.state.output
        for position, dataset in enumerate(batch["dataset"].tolist()):
            kept = self.kept.setdefault(dataset, [])
            if len(kept) < self.count:
                label = batch["label"][position : position + 1]
                one = {
                    "index": batch["index"][position],
                    "image": batch["image"][position, 0],
                    "truth": known_classes(label, len(self.classes))[0],
                    "annotated": annotated(label, len(self.classes))[0].flatten(start_dim=1).any(dim=1),
                    "prediction": output["pred"][position].argmax(dim=0),
                }
                kept.append(_flat({name: value.cpu().numpy() for name, value in one.items()}))

    def draw(self, path: str | Path) -> None:
        """Draw the images of the last evaluation."""
        columns = [
            (
                self.datasets[dataset],
                [(one["image"], one["truth"] * 0), *((one["image"], one[key]) for key in ("truth", "prediction"))],
            )
            for dataset, kept in sorted(self.kept.items())
            for one in kept
        ]
        draw_examples(columns, ("image", "annotation", "prediction"), self.classes, path)

    def save(self, path: str | Path, data: Sequence[Mapping[str, Any]]) -> None:
        """Save the images of the last evaluation, for pictures that compare trainings.

        Args:
            path: NPZ to write: `name`, `dataset` (n,), `image` (grey values), `truth` and `prediction` (class index)
                uint8 (n, rows, columns), smaller ones filled up with 0, `annotated` (n, C), whether the annotation
                decides a class, `classes` (C,).
            data: items of the datalist, in the loader's numbering.
        """
        kept = [(self.datasets[dataset], one) for dataset, images in sorted(self.kept.items()) for one in images]
        arrays: dict[str, Any] = {
            key: np.array(_same_size([one[key] for _, one in kept]), np.uint8) for key in ("truth", "prediction")
        }
        arrays["image"] = np.array(_same_size([np.round(255 * one["image"]) for _, one in kept]), np.uint8)
        arrays["annotated"] = np.array([one["annotated"] for _, one in kept], np.bool_)
        arrays["name"] = np.array([Path(data[int(one["index"])]["image"]).name for _, one in kept])
        arrays["dataset"] = np.array([dataset for dataset, _ in kept])
        with whole_file(Path(path)) as partial:
            np.savez_compressed(partial, classes=np.array(self.classes), **arrays)


class Pictures:
    """Trainer handler that draws the learning curves and the validation examples when training ends.

    It draws before the last epoch is saved: a training that is resumed after its last epoch validates nothing.

    Args:
        examples: attached to the validation engine.
        folder: where `curves.png` and `validation_examples.png` go.
    """

    main_process_only = True

    def __init__(self, examples: Examples, folder: str | Path) -> None:
        self.examples = examples
        self.folder = Path(folder)
        self.drawn = 0  # epoch

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        last = Events.EPOCH_COMPLETED(event_filter=lambda engine, epoch: epoch == engine.state.max_epochs)
        engine.add_event_handler(last | Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Draw what exists, once: resuming a finished training validates nothing."""
        if engine.state.epoch == self.drawn:
            return
        self.drawn = engine.state.epoch
        if engine.state.history:
            draw_curves(engine.state.history, self.examples.classes, self.folder / "curves.png")
        if self.examples.kept:
            self.examples.draw(self.folder / "validation_examples.png")

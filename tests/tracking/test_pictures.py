"""Pictures show what was measured."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from PIL import Image

from common.label_set_map import known_classes
from common.label_sets import LabelSets
from common.tracking import Examples, Pictures, draw_curves, draw_examples
from common.tracking.pictures import colour

CLASSES = ["background", "lv", "la"]
LABELS = LabelSets(CLASSES, {"full": [["background"], ["lv"], ["la"]], "lv_only": [["background", "la"], ["lv"]]})


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved."""
    saved: list[Figure] = []
    original = Figure.savefig

    def keep(figure: Figure, *positional: object, **named: object) -> None:
        saved.append(figure)
        original(figure, *positional, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


@pytest.mark.parametrize("spatial", [(3,), (1, 3), (1, 1, 3)])
def test_only_annotated_classes_are_known(spatial: tuple[int, ...]):
    full = LABELS.encode(torch.tensor([0, 1, 2]).view(1, *spatial), "full")[None]
    assert known_classes(full, 3).flatten().tolist() == [0, 1, 2]
    part = LABELS.encode(torch.tensor([0, 1, 0]).view(1, *spatial), "lv_only")[None]
    assert known_classes(part, 3).flatten().tolist() == [0, 1, 0]
    assert known_classes(part, 3).shape == (1, *spatial)
    assert not known_classes(torch.zeros_like(part), 3).any(), "nothing is drawn where pixels are ignored"


def test_the_curves_show_every_row(tmp_path: Path, figures: list[Figure]):
    rows = [
        {"epoch": 1, "train_loss": 2.0, "dice/a/lv": 0.1, "dice/b/lv": 0.2, "mean_dice": 0.15},
        {"epoch": 2, "train_loss": 1.0},  # not validated
        {"epoch": 3, "train_loss": 0.5, "dice/a/lv": 0.5, "dice/b/lv": 0.6, "dice/b/la": 0.3, "mean_dice": 0.5},
    ]
    draw_curves(rows, CLASSES, tmp_path / "new" / "curves.png")
    loss, dice = figures[0].axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 2.0], [2, 1.0], [3, 0.5]]
    lines = {line.get_label(): line for line in dice.lines}
    assert lines["lv, a"].get_xydata().tolist() == [[1, 0.1], [3, 0.5]]
    assert lines["lv, b"].get_xydata().tolist() == [[1, 0.2], [3, 0.6]]
    assert lines["la, b"].get_xydata().tolist() == [[3, 0.3]]
    assert [lines[name].get_color() for name in ("lv, a", "lv, b", "la, b")] == [colour(1), colour(1), colour(2)]
    assert lines["lv, a"].get_linestyle() != lines["lv, b"].get_linestyle() == lines["la, b"].get_linestyle()
    assert min(size(tmp_path / "new" / "curves.png")) > 200
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["curves.png"]


def test_curves_without_validation_are_drawn(tmp_path: Path):
    draw_curves([{"epoch": 1, "train_loss": 2.0}], CLASSES, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file()


def test_every_foreground_class_has_its_colour():
    assert len({colour(index) for index in range(1, 8)}) == 7
    assert colour(8) == colour(1)


def test_examples_are_a_table_of_datasets_and_rows(tmp_path: Path, figures: list[Figure]):
    image = np.zeros((8, 8))
    overlay = np.zeros((8, 8), int)
    overlay[2:5, 2:5] = 2
    empty = overlay * 0
    columns = [("first", [(image, empty), (image, overlay)]), ("second", [(image, empty), (image, empty)])]
    draw_examples(columns, ("image", "annotation"), CLASSES, tmp_path / "examples.png")
    grid = figures[0].axes
    assert [axes.get_title() for axes in grid[:2]] == ["first", "second"]
    assert [axes.get_ylabel() for axes in grid[::2]] == ["image", "annotation"]
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["lv", "la"]
    assert [len(axes.images) for axes in grid] == [1, 1, 2, 1], "the grey image, and a shade where a class is"
    shade = np.asarray(grid[2].images[1].get_array())
    np.testing.assert_array_equal(shade[..., 3] > 0, overlay == 2)
    assert size(tmp_path / "examples.png")[0] > 100


def evaluated(examples: Examples, datasets: list[list[int]]) -> None:
    """Hand batches to the handler as an evaluator would; image n is grey n / 100, predicted class n % 3."""
    examples._start(SimpleNamespace())
    number = 0
    for batch in datasets:
        numbers = torch.arange(number, number + len(batch))
        number += len(batch)
        values = (numbers % 2).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
        label = LABELS.encode_batch(values, torch.tensor(batch))
        image = (numbers / 100).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
        pred = torch.nn.functional.one_hot(numbers % 3, 3).float().view(-1, 3, 1, 1).expand(-1, 3, 4, 4)
        state = SimpleNamespace(
            batch={"image": image, "label": label, "dataset": torch.tensor(batch), "index": numbers},
            output={"pred": pred},
        )
        examples._keep(SimpleNamespace(state=state))


def test_the_first_images_of_each_dataset_are_kept(tmp_path: Path, figures: list[Figure]):
    examples = Examples(CLASSES, ["full", "lv_only"], count=2)
    evaluated(examples, [[0, 0, 0], [1, 0, 1, 1]])
    kept = {
        dataset: [
            (round(float(one["image"][0, 0]) * 100), int(one["truth"][0, 0]), int(one["prediction"][0, 0]))
            for one in items
        ]
        for dataset, items in examples.kept.items()
    }
    assert kept == {0: [(0, 0, 0), (1, 1, 1)], 1: [(3, 1, 0), (5, 1, 2)]}
    examples.draw(tmp_path / "examples.png")
    assert [axes.get_title() for axes in figures[0].axes[:4]] == ["full", "full", "lv_only", "lv_only"]
    evaluated(examples, [[1]])
    assert list(examples.kept) == [1], "each evaluation starts afresh"


def test_what_was_kept_is_saved_for_comparisons(tmp_path: Path):
    examples = Examples(CLASSES, ["full", "lv_only"], count=2)
    evaluated(examples, [[0, 0, 0], [1, 0, 1, 1]])
    examples.save(tmp_path / "kept.npz", [{"image": f"/data/scan{number}.png"} for number in range(7)])
    with np.load(tmp_path / "kept.npz") as kept:
        assert kept["name"].tolist() == ["scan0.png", "scan1.png", "scan3.png", "scan5.png"]
        assert kept["dataset"].tolist() == ["full", "full", "lv_only", "lv_only"]
        assert kept["classes"].tolist() == CLASSES
        assert kept["image"].shape == kept["truth"].shape == kept["prediction"].shape == (4, 4, 4)
        assert kept["image"][:, 0, 0].tolist() == [0, 3, 8, 13]  # n / 100 of 255
        assert kept["truth"][:, 0, 0].tolist() == [0, 1, 1, 1]
        assert kept["prediction"][:, 0, 0].tolist() == [0, 1, 0, 2]
        assert kept["annotated"].tolist() == [[True] * 3] * 2 + [[False, True, False]] * 2


def test_a_trainer_draws_what_exists_when_it_ends(tmp_path: Path):
    examples = Examples(CLASSES, ["full", "lv_only"])
    pictures = Pictures(examples, tmp_path)
    engine = SimpleNamespace(state=SimpleNamespace(history=[], epoch=1))
    pictures(engine)
    assert list(tmp_path.iterdir()) == [], "a training that was finished before"
    engine.state.history, engine.state.epoch = [{"epoch": 1, "train_loss": 1.0}], 2
    pictures(engine)
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    evaluated(examples, [[0, 1]])
    pictures(engine)
    assert len(list(tmp_path.iterdir())) == 1, "drawn already"
    engine.state.epoch = 3
    pictures(engine)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "validation_examples.png"]


@pytest.mark.parametrize(("end", "saved"), [(9, [False, False, True]), (2, [False])])
def test_pictures_are_there_when_the_last_epoch_is_saved_or_a_training_ends_early(
    tmp_path: Path, end: int, saved: list[bool]
):
    def step(engine: Engine, _: object) -> None:
        engine.state.history = [{"epoch": engine.state.epoch, "train_loss": 1.0}]
        if engine.state.epoch == end:
            engine.terminate()

    there = list[bool]()
    trainer = Engine(step)
    Pictures(Examples(CLASSES, ["full"]), tmp_path).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: there.append((tmp_path / "curves.png").is_file()))
    trainer.run([0], max_epochs=3)
    assert there == saved
    assert (tmp_path / "curves.png").is_file()

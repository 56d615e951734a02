"""Error of the ejection fraction of predicted masks."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_heart import MM, NAMES, SIDE, heart, volume
from ignite.engine import Engine
from PIL import Image
from torch.nn.functional import one_hot
from two_processes import in_two_processes

from common.heart import EjectionFractionError
from common.label_sets import LabelSets

SETS = {"full": [[name] for name in NAMES], "cavity": [["background", *NAMES[2:]], ["lv_cavity"]]}
LABELS = LabelSets(NAMES, SETS)
DRAWN = {"ED": heart(), "ES": heart(50, 16)}
EF = 100 * (1 - volume(50, 16) / volume())


@pytest.fixture
def image(tmp_path) -> str:
    Image.new("L", (SIDE, SIDE)).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def items(image: str, dataset: str = "full", spacing: list | None = None) -> list[dict]:
    shared = {"image": image, "dataset": dataset, "patient": "p", "view": "4CH", "spacing": spacing or [MM, MM]}
    return [{**shared, "phase": phase} for phase in DRAWN]


def batch(predicted: list[np.ndarray], dataset: str = "full") -> dict[str, torch.Tensor]:
    drawn = [DRAWN["ED"], DRAWN["ES"]]
    if dataset == "cavity":
        drawn = [(labels == 1).astype(np.uint8) for labels in drawn]
    return {
        "pred": one_hot(torch.from_numpy(np.stack(predicted)).long(), 4).movedim(-1, 1).float(),
        "label": torch.stack([LABELS.encode(torch.from_numpy(labels)[None], dataset) for labels in drawn]),
        "dataset": torch.full((2,), list(SETS).index(dataset)),
        "index": torch.arange(2),
    }


def test_the_error_is_the_difference_of_the_fractions(image: str):
    metric = EjectionFractionError(NAMES, list(SETS), items(image))
    metric.update(batch([heart(), heart(50, 16)]))
    assert metric.compute() == 0
    metric.reset()
    metric.update(batch([heart(), heart(50, 18)]))
    wrong = 100 * (1 - volume(50, 18) / volume())
    assert metric.compute() == pytest.approx(EF - wrong, abs=1.0)


def test_a_perfect_prediction_has_no_error_where_the_cavity_alone_is_annotated(image: str):
    """The wall of the prediction, too short on one side, would turn its axis; nothing turns that of the annotation."""
    rows, columns = np.indices((SIDE, SIDE))
    predicted = [DRAWN["ED"], np.where((DRAWN["ES"] == 2) & (rows > 130) & (columns < 128), 0, DRAWN["ES"])]
    found = []
    for dataset in SETS:
        metric = EjectionFractionError(NAMES, list(SETS), items(image, dataset))
        metric.update(batch(predicted, dataset))
        found.append(metric.compute())
    assert found[0] > 0.1
    assert found[1] == 0


def test_several_frames_of_a_phase_are_averaged_in_any_order(image: str):
    """A second ES frame that is predicted as ED: by hand, the mean of both ES volumes counts."""
    data = [*items(image), items(image)[1]]
    frames = batch([heart(), heart(50, 16)])
    again = {key: value[1:] for key, value in {**batch([heart(), heart()]), "index": torch.tensor([0, 2])}.items()}
    found = []
    for order in ((frames, again), (again, frames), (frames, again, again)):
        metric = EjectionFractionError(NAMES, list(SETS), data)
        for part in order:
            metric.update(part)
        found.append(metric.compute())
    wrong = 100 * (1 - (volume(50, 16) + volume()) / 2 / volume())
    assert found == pytest.approx([EF - wrong] * 3, abs=1.0)
    assert found[0] == found[1] == found[2]


def test_visits_of_a_patient_are_not_averaged(image: str):
    """Two visits whose predictions are exchanged: the errors would cancel."""
    drawn, wrong = [heart(), heart(50, 16)], [heart(), heart(50, 20)]
    data = [
        {**item, "visit": visit, "quality": place % 3} for visit in "abc" for place, item in enumerate(items(image))
    ]
    metric = EjectionFractionError(NAMES, list(SETS), data)
    metric.update({**batch(wrong), "index": torch.tensor([0, 1])})
    other = batch(drawn)
    label = torch.stack([LABELS.encode(torch.from_numpy(labels)[None], "full") for labels in wrong])
    metric.update({**other, "label": label, "index": torch.tensor([2, 3])})
    metric.update({key: value[:1] for key, value in {**other, "index": torch.tensor([4])}.items()})  # ED alone
    apart = 100 * (volume(50, 20) - volume(50, 16)) / volume()
    assert metric.compute() == pytest.approx(apart, abs=1.0)


def test_ignored_pixels_are_left_out_of_both_masks(image: str):
    perfect = batch([heart(), heart(50, 16)])
    perfect["label"][:, :, 90:130, :100] = 0  # cuts a part of the ventricle
    metric = EjectionFractionError(NAMES, list(SETS), items(image))
    metric.update(perfect)
    assert metric.compute() == 0


def test_an_annotation_of_the_cavity_alone_is_enough(image: str):
    metric = EjectionFractionError(NAMES, list(SETS), items(image, "cavity"))
    metric.update(batch([heart(), heart(50, 16)], "cavity"))
    assert metric.compute() < 3  # by another axis


def test_the_engine_receives_the_errors_and_the_fraction_that_could_not_be_measured(image: str):
    data = [*items(image), *({**item, "patient": "q"} for item in items(image))]
    metric = EjectionFractionError(NAMES, list(SETS), data)
    metric.update(batch([heart(), heart(50, 18)]))
    nothing = batch([np.zeros((SIDE, SIDE), np.uint8)] * 2)
    metric.update({**nothing, "index": torch.tensor([2, 3])})
    engine = Engine(lambda *_: None)
    engine.state.metrics = {"ef_mae/former": 3.0, "dice/full/lv_cavity": 0.5}
    metric.completed(engine, "ef_mae")
    found = engine.state.metrics
    assert found["ef_unmeasured/full"] == 0.5
    assert found["ef_patients/full"] == 1
    assert found["ef_bias/full"] == -found["ef_mae/full"] < 0
    assert found["ef_mae"] == found["ef_mae/full"]
    assert "ef_mae/former" not in found
    assert found["dice/full/lv_cavity"] == 0.5


def test_the_limits_of_agreement_hold_the_bias_between_them(image: str):
    """Two patients with errors of a and b: bias (a + b) / 2, standard deviation |a - b| / sqrt(2)."""
    data = [*items(image), *({**item, "patient": "q"} for item in items(image))]
    metric = EjectionFractionError(NAMES, list(SETS), data)
    engine = Engine(lambda *_: None)
    metric.update(batch([heart(), heart(50, 18)]))
    metric.completed(engine, "ef_mae")
    first = engine.state.metrics["ef_bias/full"]
    assert not any(name.startswith("ef_limits") for name in engine.state.metrics), "one patient has no spread"
    metric.update({**batch([heart(), heart(50, 16)]), "index": torch.tensor([2, 3])})
    metric.completed(engine, "ef_mae")
    low, bias, high = (engine.state.metrics[f"{name}/full"] for name in ("ef_limits_low", "ef_bias", "ef_limits_high"))
    assert bias == pytest.approx(first / 2)
    assert (low, high) == pytest.approx((bias - 1.96 * abs(first) / 2**0.5, bias + 1.96 * abs(first) / 2**0.5))


def test_frames_without_phase_or_partner_and_other_anatomies_are_ignored(image: str):
    single = items(image)
    single[1]["phase"] = None
    metric = EjectionFractionError(NAMES, list(SETS), single)
    metric.update(batch([heart(), heart(50, 16)]))
    assert math.isnan(metric.compute())
    other = EjectionFractionError(["background", "sector"], ["full"], items(image))
    other.update(batch([heart(), heart(50, 16)]))
    assert math.isnan(other.compute())


def test_the_images_own_spacing_decides_where_pixels_are_not_square(image: str):
    """An oblique axis changes its length when pixels are taken for squares; an upright one scales with the rows."""
    metric = EjectionFractionError(NAMES, list(SETS), items(image, spacing=[2 * MM, MM]))
    metric.update(batch([heart(), heart(50, 18)]))
    square = EjectionFractionError(NAMES, list(SETS), items(image))
    square.update(batch([heart(), heart(50, 18)]))
    assert metric.compute() == pytest.approx(square.compute(), abs=0.5)  # ratios of ellipsoids do not care


def test_frames_with_and_without_spacing_are_measured_in_one_unit(image: str):
    """Of the ES frame alone nothing is known: millimetres of the other would make any fraction of it."""
    both, none, one = (items(image, spacing=[0.8 * MM, 0.8 * MM]) for _ in range(3))
    for item in [*none, one[1]]:
        item["spacing"] = None
    found = []
    for data in (both, none, one):
        metric = EjectionFractionError(NAMES, list(SETS), data)
        metric.update(batch([heart(), heart(50, 18)]))
        found.append(metric.compute())
    assert found[0] > 1
    assert found == pytest.approx([found[0]] * 3, abs=0.01)


def test_the_frames_of_a_patient_may_be_in_two_processes(image: str, tmp_path: Path):
    def errors(frames: list[int]) -> dict[str, float]:
        metric, engine = EjectionFractionError(NAMES, list(SETS), items(image)), Engine(lambda *_: None)
        both = batch([heart(), heart(50, 18)])
        for frame in frames:
            metric.update({name: value[frame : frame + 1] for name, value in both.items()})
        engine.state.metrics = {}
        metric.completed(engine, "ef_mae")
        return engine.state.metrics

    expected = errors([0, 1])
    assert expected["ef_mae/full"] > 0
    for result in in_two_processes(lambda rank: errors([rank]), tmp_path):
        assert result == pytest.approx(expected)

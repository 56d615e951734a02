"""Weights say how they are used: nothing is repeated, and what contradicts them is refused in one line."""

import json
import re
import shutil
from pathlib import Path

import forked
import pytest
import torch

from common.identity import fingerprint

pytestmark = pytest.mark.slow
ECHO = "bundles/echo_segmentation"
TINY = {"image_size": 32, "batch_size": 8, "epochs": 2}


def run(folder: Path, workflow: str, ok: bool = True, **settings: object) -> str:
    given = {"config_file": f"{ECHO}/configs/{workflow}.yaml", "bundle_root": ECHO, **settings}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    result = forked.run(["monai.bundle", "run", *words], cwd=folder)
    assert (result.returncode == 0) == ok, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_weights_say_how_they_were_trained_and_what_contradicts_them_is_one_line(folder: Path):
    channels = {"networks::unet::channels": "[4,8,8,8,8]"}
    run(folder, "train", **TINY, **channels, loss="marginal_dice_ce", output_dir="runs/narrow")
    checkpoint = {"checkpoint": "runs/narrow/model.pt"}
    run(folder, "evaluate", **checkpoint, **channels)  # true, and not needed
    swapped = "['background', 'lv_myocardium', 'lv_cavity', 'left_atrium']"
    for own, message in (
        ({"image_size": 64}, r"trained with image_size 32, not 64"),
        ({"loss": "adaptive_bce"}, r"trained with loss marginal_dice_ce, not adaptive_bce"),
        ({"classes": swapped}, r"trained with classes \['background', 'lv_cavity', .*, not \['background', 'lv_myo"),
        ({"network": "attention_unet"}, r"trained with network unet, not attention_unet"),
        (
            {"networks::unet::channels": "[4,8,8,8,16]"},
            r"trained with channels \[4, 8, 8, 8, 8\], not --networks::unet",
        ),
    ):
        refused = run(folder, "evaluate", ok=False, **checkpoint, **own)
        assert re.search(message, refused), refused
        assert "Traceback" not in refused
    record = folder / "runs/narrow/model.json"
    right = record.read_text()
    record.write_text(json.dumps({**json.loads(right), "image_size": 40}))
    (folder / "runs/narrow/config.yaml").rename(folder / "runs/narrow/put_aside.yaml")  # it would contradict the record
    refused = run(folder, "evaluate", ok=False, **checkpoint)
    assert re.search(r"cannot take --image_size 40; the nearest that fit are 32 and 48", refused), refused
    assert "Traceback" not in refused
    record.write_text(right)
    refused = run(folder, "inference", ok=False, **checkpoint, image_size=32, dataset_dir="data/phantom/images")
    assert re.search(r"trained with another network: .*4.*, not .*16.*; evaluate\.yaml and measure", refused), refused


def test_a_loss_of_any_name_is_read_as_it_was_trained(folder: Path):
    (folder / "mine.yaml").write_text("losses::mine: {_target_: common.losses.AdaptiveBCELoss}\n")
    both = [f"{ECHO}/configs/train.yaml", "mine.yaml"]
    run(folder, "train", **TINY, loss="adaptive_bce", output_dir="runs/named")
    run(folder, "train", **TINY, loss="mine", output_dir="runs/mine", config_file=both)
    summaries = []
    for name in ("named", "mine"):  # as a softmax, background now never wins
        path = folder / "runs" / name / "model.pt"
        weights = torch.load(path, weights_only=True)
        bias = [value for value in weights.values() if value.shape == (4,)][-1]
        bias[0] = -100.0
        torch.save(weights, path)
        record = json.loads(path.with_suffix(".json").read_text())
        path.with_suffix(".json").write_text(json.dumps({**record, "weights": fingerprint(path)}))
    for name in ("named", "mine"):
        run(folder, "evaluate", checkpoint=f"runs/{name}/model.pt")
        (summary,) = (folder / "runs" / name).glob("evaluations/*/summary.json")
        summaries.append(json.loads(summary.read_text()))
    assert summaries[0] == summaries[1]
    mine = {"checkpoint": "runs/mine/model.pt"}
    refused = run(folder, "evaluate", ok=False, **mine, activation="softmax")
    assert re.search(r"was trained with activation sigmoid, not softmax; .* use --activation sigmoid", refused)
    shutil.copy(folder / "runs/mine/model.pt", folder / "foreign.pt")  # as of another project
    by_hand = {"checkpoint": "foreign.pt", "image_size": 32, "network": "unet"}
    by_hand["classes"] = "['background', 'lv_cavity', 'lv_myocardium', 'left_atrium']"
    refused = run(folder, "evaluate", ok=False, **by_hand)
    assert re.search(r"foreign\.pt has no record that says its activation .*--activation softmax", refused)
    run(folder, "evaluate", **by_hand, activation="softmax")
    (summary,) = folder.glob("runs/echo_segmentation/evaluations/*/summary.json")
    assert json.loads(summary.read_text()) != summaries[0], "the reading matters"

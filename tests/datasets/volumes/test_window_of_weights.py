"""Volumes are standardised as their weights say, and hold all that the network looks at."""

import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from common.datasets import intensity_of
from common.datasets.volumes.layout import VOLUMES

CONFIGS = Path(__file__).parents[3] / "bundles/ct_partial_overlap/configs"
OWN = [-200, 200]


def prepared(folder: Path, window: list[int] | None, **facts: object) -> str:
    (folder / "provenance.json").write_text(json.dumps({"kind": VOLUMES, "window": window, **facts}))
    return str(folder)


@pytest.mark.parametrize(
    ("trained", "clipped"), [(OWN, OWN), (OWN, [-1000, 1000]), (OWN, [-200, 300]), (OWN, None), (None, None)]
)
def test_volumes_with_all_values_of_the_window_are_standardised(tmp_path: Path, trained, clipped):
    intensity = intensity_of({"window": trained, "mean": 1.0, "sd": 2.0}, prepared(tmp_path, clipped))
    assert (intensity.window, intensity.mean, intensity.sd) == (trained, 1.0, 2.0)


@pytest.mark.parametrize("workflow", ["evaluate", "pseudo_label"])
@pytest.mark.parametrize(
    ("trained", "clipped", "message"),
    [
        (OWN, [-50, 50], r"trained with \[-200, 200\]; prepare them with the window \[-200, 200\]\."),
        (OWN, [-200, 100], r"window \[-200, 100\] when they were prepared"),
        (OWN, [-100, 300], r"window \[-100, 300\] when"),
        (None, OWN, r"clipped to the window \[-200, 200\] .*, the network was trained with none; .* without a window"),
    ],
)
def test_a_narrower_window_than_that_of_the_weights_is_refused(tmp_path: Path, workflow, trained, clipped, message):
    parser = ConfigParser(ConfigParser.load_config_file(CONFIGS / f"{workflow}.yaml"))
    normalisation = {"window": trained, "mean": 1.0, "sd": 2.0}
    parser.update({"data": prepared(tmp_path, clipped), "normalisation": normalisation})
    with pytest.raises(RuntimeError) as raised:
        parser.get_parsed_content("intensity")
    with pytest.raises(ValueError, match=message):
        raise raised.value.__cause__


def test_weights_of_volumes_without_a_record_need_a_normalisation_by_hand(tmp_path: Path):
    with pytest.raises(ValueError, match=r"the weights have no record\. State --normalisation \"\{window: "):
        intensity_of(None, prepared(tmp_path, OWN))


@pytest.mark.parametrize("trained", [True, False])
def test_weights_of_standardised_volumes_and_others_are_not_exchanged(tmp_path: Path, trained: bool):
    normalisation = {"window": None, "mean": 1.0, "sd": 2.0, "standardised": trained}
    alike, other = (tmp_path / name for name in ("alike", "other"))
    for folder, facts in ((alike, {"standardised": trained}), (other, {} if trained else {"standardised": True})):
        folder.mkdir()
        prepared(folder, None, **facts)
    assert intensity_of(normalisation, alike).normalisation.get("standardised", False) == trained
    with pytest.raises(ValueError, match="prepare them by the same command"):
        intensity_of(normalisation, other)

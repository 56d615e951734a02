"""Volumes are standardised as their weights say, and hold all that the network looks at."""

import json
from pathlib import Path
from shutil import copy2

import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import SimpleInferer

from common.datasets import WholeVolumes, intensity_of, read_datalist, stated_label_sets, stated_normalisation
from common.datasets.phantom.atrium_dataset import atria
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import VOLUMES
from common.datasets.volumes.pseudo_labels import write_volume_pseudo_labels
from common.label_sets import LabelSets

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


def test_pseudo_labels_of_standardised_volumes_say_so(tmp_path: Path):
    folder, out = tmp_path / "atria", tmp_path / "completed"
    prepare_volumes(atria(10, spacing=8.0), folder, (8.0,) * 3, workers=1)
    items = read_datalist(folder, "validation")
    labels = LabelSets(["background", "left_atrium"], stated_label_sets(folder, ["background", "left_atrium"]))
    normalisation = stated_normalisation(folder)
    volumes = WholeVolumes(items, labels, intensity_of(normalisation, folder))
    network = torch.nn.Conv3d(1, 2, 1)
    (weights := tmp_path / "model.pt").touch()
    write_volume_pseudo_labels(volumes, network, SimpleInferer(), weights, "1d", folder, out)
    assert intensity_of(normalisation, out).standardised

    class Changing(SimpleInferer):
        """Another preparation replaces a volume when the teacher has seen it."""

        def __call__(self, inputs: torch.Tensor, network: torch.nn.Module, *_: object, **__: object) -> torch.Tensor:
            copy2(items[1]["image"], items[0]["image"])
            return torch.as_tensor(network(inputs))

    with pytest.raises(ValueError, match=r"is not what was prepared"):
        write_volume_pseudo_labels(volumes, network, Changing(), weights, "2d", folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()

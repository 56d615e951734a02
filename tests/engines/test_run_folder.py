"""A new training keeps the folders of earlier ones; weights are used as they were trained."""

from pathlib import Path

import pytest
import yaml

from common.engines import require_checkpoint, run_folder


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path):
    run_folder(tmp_path / "runs" / "first", resume=False)
    assert (tmp_path / "runs" / "first").is_dir()


def test_old_trainings_are_numbered_and_never_overwritten(tmp_path: Path):
    folder = tmp_path / "run"
    for number in range(4):
        run_folder(str(folder), resume=False)
        assert list(folder.iterdir()) == []
        (folder / "model.pt").write_text(str(number))
    names = {path.name: (path / "model.pt").read_text() for path in tmp_path.iterdir()}
    assert names == {"run": "3", "run.previous-1": "0", "run.previous-2": "1", "run.previous-3": "2"}


def test_a_gap_in_the_numbers_overwrites_nothing(tmp_path: Path):
    for name in ("run", "run.previous-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.pt").write_text(name)
    run_folder(tmp_path / "run", resume=False)
    assert (tmp_path / "run.previous-1" / "model.pt").read_text() == "run"
    assert (tmp_path / "run.previous-2" / "model.pt").read_text() == "run.previous-2"


def test_resuming_keeps_the_folder(tmp_path: Path):
    (tmp_path / "last.pt").write_text("precious")
    run_folder(tmp_path, resume=True)
    assert (tmp_path / "last.pt").read_text() == "precious"
    run_folder(tmp_path / "new", resume=True)
    assert (tmp_path / "new").is_dir()


def test_an_empty_folder_is_used_as_it_is(tmp_path: Path):
    (tmp_path / "run").mkdir()
    run_folder(tmp_path / "run", resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"loss": "marginal", "network": "unet", "epochs": 3}))
    (tmp_path / "model.pt").touch()
    return tmp_path / "model.pt"


def test_weights_are_used_with_the_settings_of_their_training(weights: Path):
    require_checkpoint(weights, {"loss": "marginal", "network": "unet"})
    with pytest.raises(ValueError, match=r"model\.pt was trained with --loss marginal; use it with the same settings"):
        require_checkpoint(str(weights), {"loss": "adaptive_bce", "network": "unet"})
    with pytest.raises(ValueError, match=r"was trained with --loss marginal --network unet; use it"):
        require_checkpoint(weights, {"loss": "adaptive_bce", "network": "big"})


def test_weights_without_a_configuration_are_accepted(weights: Path):
    with pytest.raises(ValueError, match=r"was trained with --loss marginal"):
        require_checkpoint(weights, {"loss": "adaptive_bce"})
    weights.with_name("config.yaml").unlink()
    assert require_checkpoint(weights, {"loss": "adaptive_bce"}) is None, "nothing is known that could differ"


def test_a_setting_that_the_training_did_not_record_is_accepted(weights: Path):
    assert require_checkpoint(weights, {"loss": "marginal", "reading": "masked_softmax"}) is None
    with pytest.raises(ValueError, match=r"was trained with --loss marginal; use it"):
        require_checkpoint(weights, {"loss": "adaptive_bce", "reading": "masked_softmax"})


def test_the_error_for_missing_weights_explains_how_to_get_them(tmp_path: Path):
    message = (
        r"model\.pt is missing\. Train first with the same --loss, .* or choose other weights with --checkpoint PATH"
    )
    with pytest.raises(FileNotFoundError, match=message):
        require_checkpoint(tmp_path / "model.pt", {})

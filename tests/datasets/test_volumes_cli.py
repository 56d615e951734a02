"""`python -m common.datasets`: commands for volumes."""

import json
import sys
from pathlib import Path

import pytest
from own_volumes import describe_ward, write_ward

from common.datasets.__main__ import main
from common.datasets.prepared.layout import read_datalist, read_provenance


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["common.datasets", *map(str, words)])
    main()


def test_own_volumes_are_prepared_and_exported_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    root, out, exported, again = write_ward(tmp_path / "ward"), tmp_path / "out", tmp_path / "nn", tmp_path / "again"
    description = describe_ward(root, spacing=2, window=[-200, 200])
    command = ("volumes", root, out, "--description", description, "--workers", 1)
    run(monkeypatch, *command)
    assert "3 images (" in capsys.readouterr().out
    assert read_provenance(out)["request"]["name"] == "volumes"
    run(monkeypatch, *command)
    assert "nothing changed" in capsys.readouterr().out
    run(monkeypatch, "export-nnunet", out, exported)
    assert f"{exported}: 3 volumes in the layout of nnU-Net" in capsys.readouterr().out
    assert json.loads((exported / "dataset.json").read_text())["name"] == "ward"
    run(monkeypatch, "nnunet", exported, again, "--workers", 1, "--spacing", 4, "--window", -100, 100)
    stated = read_provenance(again)
    assert (stated["spacing"], stated["window"]) == ([4.0, 4.0, 4.0], [-100, 100])
    assert [item["spacing"] for item in read_datalist(again)] == [[4.0, 4.0, 4.0]] * 3


def test_volumes_are_not_moved_to_an_ultrasound_scanner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    description = describe_ward(write_ward(tmp_path / "ward"))
    run(monkeypatch, "volumes", tmp_path / "ward", tmp_path / "out", "--description", description, "--workers", 1)
    with pytest.raises(SystemExit, match=r"moved: .*holds volumes; the second scanner is an ultrasound scanner"):
        run(monkeypatch, "moved", tmp_path / "out", tmp_path / "moved")


def test_columns_that_are_not_used_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    root = write_ward(tmp_path / "ward")
    rows = [f"ct/p{number}.nii.gz,masks/p{number}.nii.gz,{number}" for number in (1, 2, 3)]
    (root / "cases.csv").write_text("image,label,scanner\n" + "\n".join(rows) + "\n")
    description = describe_ward(root, files=None, table="cases.csv")
    run(monkeypatch, "volumes", root, tmp_path / "out", "--description", description, "--workers", 1)
    assert "columns not used: scanner; list a column under 'keep' to copy it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--spacing", "2", "2"], "spacing is"),
        (["--window", "5", "6"], "window is"),
    ],
)
def test_wrong_options_stop_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
):
    (tmp_path / "dataset.json").write_text("{}")
    write_ward(tmp_path)
    from common.datasets.prepared.source import Source
    from common.datasets.readers import nnunet

    monkeypatch.setattr(nnunet, "nnunet", lambda _: Source("x", [], "", "", {}))
    with pytest.raises(SystemExit, match=f"nnunet: {message}"):
        run(monkeypatch, "nnunet", tmp_path, tmp_path / "out", *words)

"""The weights of a run are those of a named training, of the only one, or of a path."""

from pathlib import Path

import pytest

from common.engines import find_weights


def trainings(runs: Path, *names: str) -> Path:
    for name in names:
        (runs / name).mkdir(parents=True)
        (runs / name / "model.pt").touch()
    return runs


def test_the_only_training_needs_no_name(tmp_path: Path):
    runs = trainings(tmp_path, "2024", "2024.previous-1")
    (runs / "evaluations").mkdir()
    assert find_weights(runs, None, None) == find_weights(runs, 2024, None) == f"{runs}/2024/model.pt"
    assert find_weights(runs, "2024.previous-1", None) == f"{runs}/2024.previous-1/model.pt"
    assert find_weights(runs, None, Path("w.pt")) == "w.pt"


@pytest.mark.parametrize(
    ("names", "name", "checkpoint", "error", "message"),
    [
        (["a", "b"], None, None, ValueError, r"holds 2 trainings; name one: --run_name a \| b$"),
        ([], None, None, FileNotFoundError, r"holds no training with weights \(model\.pt\)\. Train first, or choose"),
        (["first"], "frist", None, FileNotFoundError, r"frist/model\.pt is missing; there are first\. Did you mean"),
        (
            ["a/b"],
            "a/b",
            None,
            ValueError,
            r"--run_name a/b: expected the name of a .* with --checkpoint .*a/b/model\.pt",
        ),
        (["a"], "a", "w.pt", ValueError, r"give --run_name a or --checkpoint w\.pt, not both"),
    ],
)
def test_what_is_not_clear_is_one_line(tmp_path, names, name, checkpoint, error, message):
    with pytest.raises(error, match=message) as caught:
        find_weights(trainings(tmp_path, *names), name, checkpoint)
    assert "\n" not in str(caught.value)

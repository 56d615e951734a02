"""Jobs of a grid before they run: their hash and configurations."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from monai.bundle import ConfigParser

from common.configuration import resolve
from common.datasets import checksum
from common.experiments.grid import Run
from common.experiments.run import _Work
from common.experiments.training import OF_GRID, Job, carry_out
from common.tracking import connect, log_finished_run
from common.tracking.outbox import read_run

ROOT = Path(__file__).parents[2]
INTER = ROOT / "bundles" / "echo_inter_domain"


def job(**settings: Any) -> Job:
    return Job(INTER, {"loss": "marginal", "image_size": 32, **settings}, ["/data/a"], "c0ffee")


def test_the_hash_covers_everything_that_changes_the_result():
    one = job()
    others = [
        job(seed=1),
        job(loss="adaptive_ce"),
        job(withheld={}),
        replace(one, checksum="beef"),
        replace(one, teacher=job(complete_only=True)),
        replace(one, teacher=job(complete_only=True, seed=1)),
        replace(job(pseudo_labels_among="all"), teacher=job(complete_only=True)),
        replace(one, bundle=ROOT / "bundles" / "echo_intra_domain"),
    ]
    assert len({one.hash, *(other.hash for other in others)}) == len(others) + 1


def test_a_job_and_the_training_that_it_starts_agree_on_their_identity(tmp_path: Path):
    stated = {"checksum": "c0ffee", "label_sets": {"clinic": [["background"], ["lv_cavity"]]}}
    (tmp_path / "provenance.json").write_text(json.dumps(stated))
    (tmp_path / "datalist.json").write_text("[]")
    first = replace(job(seed=3, complete_only="true"), data=[str(tmp_path)], checksum=checksum([tmp_path]))
    teacher = first.place(tmp_path, "teacher", {"role": "teacher"}, "sqlite:///x.db")
    student = replace(job(loss="adaptive_ce"), teacher=teacher).place(tmp_path, "student", {}, "sqlite:///y.db")
    for one in (teacher, student):
        parser = ConfigParser(one.train())
        assert parser.get_parsed_content("digest") == one.hash
        assert parser.get_parsed_content("settings")["augmentation::scale"] == 0.25
        assert [name for name in parser.get_parsed_content("settings") if name.startswith("losses::")] == [
            f"losses::{one.settings['loss']}::_target_"
        ]


def test_the_hash_does_not_depend_on_paths():
    placed = replace(job(), data=["/elsewhere/a"]).place(Path("/runs"), "name", {"role": "result"}, "sqlite:///x.db")
    assert placed.hash == job().hash == job(network="unet").hash, "a default that is spelt out changes nothing"
    assert placed.folder == Path(f"/runs/name-{job().hash[:8]}")


def test_the_training_gets_its_place_and_its_tags():
    config = job(seed=3).place(Path("/runs"), "n", {"role": "result"}, "sqlite:////x.db").train()
    assert config["seed"] == 3
    assert config["data"] == ["/data/a"]
    assert config["output_dir"] == f"/runs/{config['run_name']}"
    assert (config["tags"], config["tracking_uri"], config["resume"]) == ({"role": "result"}, "sqlite:////x.db", True)
    assert config["withheld"]["unity_like"] == ["left_atrium"]


def test_the_evaluation_hides_nothing_and_sees_all_datasets_and_the_weights_say_the_rest():
    placed = job(withheld={"unity_like": ["lv_cavity"]}, train_on=["camus_like"]).place(Path("/runs"), "n", {}, "uri")
    config = placed.evaluate()
    assert config["checkpoint"] == f"{placed.folder}/model.pt"
    assert (config["tracking_uri"], config["fold"]) == ("uri", "test")
    assert replace(placed, fold="validation").evaluate()["fold"] == "validation"
    for name in ("loss", "image_size", "classes", "network", "activation"):
        assert config[name].startswith("$@trained"), name
    assert config["labels"] == {
        "_target_": "common.label_sets.LabelSets",
        "classes": "@classes",
        "label_sets": "@label_sets",
    }
    assert config["label_sets"]["folders"] == config["items"]["folders"] == "@data"
    assert "withheld" not in str(config["labels"]) + str(config["items"])


def test_the_settings_that_a_training_gets_beside_its_own_belong_to_the_grid():
    teacher = job(complete_only=True).place(Path("/runs"), "t", {}, "uri")
    student = replace(job(), teacher=teacher).place(Path("/runs"), "s", {"role": "result"}, "uri")
    stated = resolve(INTER / "configs/train.yaml", student.settings)
    assert {name for name, value in student.train().items() if value != stated[name]} - {"bundle_root"} <= {*OF_GRID}


def test_a_setting_deep_within_the_configuration_reaches_the_training():
    assert job(**{"networks::swin_unet::embed_dim": 96}).train()["networks"]["swin_unet"]["embed_dim"] == 96


def test_a_student_trains_on_the_pseudo_labels_of_its_teacher():
    teacher = job(loss="adaptive_bce", complete_only=True).place(Path("/runs"), "teacher", {}, "")
    settings = {"loss": "categorical_ce", "images": {"unity_like": 8}, "pseudo_labels_among": "all"}
    student = replace(job(**settings), teacher=teacher).place(Path("/runs"), "s", {}, "")
    filling, training = student.pseudo_label(), student.train()
    assert filling["checkpoint"] == f"{teacher.folder}/model.pt"
    assert filling["activation"] == "$@trained['activation']", "of the teacher"
    assert filling["images"] == {"unity_like": 8}
    assert filling["withheld"]["unity_like"] == ["left_atrium"]
    assert filling["data"] == ["/data/a"]
    assert filling["pseudo_labels_among"] == "all"
    assert training["data"] == filling["out"] != "/data/a"
    assert training["loss"] == "categorical_ce"
    assert training["label_sets"]["folders"] == "@data", "which state that every class is annotated"
    then = [step["then"] for step in training["run"] if "check_unchanged" in str(step)]
    assert then == ["@prepared"], "data_checksum states what the pseudo-labels are made from"
    assert training["prepared"]["folders"] == "@data"
    assert student.evaluate()["data"] == ["/data/a"]


def test_a_job_without_teacher_makes_no_pseudo_labels():
    with pytest.raises(ValueError, match="has no teacher"):
        job().pseudo_label()


def test_a_setting_that_the_bundle_does_not_have_is_named():
    with pytest.raises(ValueError, match=r"--epoch is not a setting of this bundle. Did you mean --epochs\?"):
        job(epoch=3).train()
    with pytest.raises(ValueError, match=r"--loss: expected one of .*, got 'margnal'"):
        job(loss="margnal").train()


def test_a_teacher_that_is_a_result_too_has_one_folder_wherever_it_was_trained(tmp_path: Path):
    store = SimpleNamespace(finished=dict, tags=lambda *_: {})
    teacher = Run({"role": "teacher"}, {"loss": "marginal"}, role="teacher")
    student, result = Run({"method": "PL"}, {"seed": 1}, teacher=teacher), Run({"method": "ACE"}, teacher.settings)
    work = _Work(store, job(), tmp_path, "sqlite:///x.db", lambda: None)
    (of_teacher, of_result), other = (work.job(run) for run in (teacher, result)), work.job(student)
    assert of_teacher.folder == of_result.folder == other.teacher.folder != other.folder
    (tmp_path / f"ACE-{of_result.hash[:8]}").mkdir()  # trained by an earlier grid, as a result
    again = _Work(store, job(), tmp_path, "sqlite:///x.db", lambda: None)
    assert again.job(student).teacher.folder.name == f"ACE-{of_result.hash[:8]}"


def test_a_finished_teacher_whose_folder_was_deleted_trains_again_for_an_unfinished_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    teacher = Run({"role": "teacher"}, {"loss": "marginal"}, role="teacher")
    student = Run({"method": "PL"}, {"seed": 1}, teacher=teacher)
    first = _Work(SimpleNamespace(finished=dict, tags=lambda *_: {}), job(), tmp_path, "sqlite:///x.db", lambda: None)
    own, of_teacher = first.job(student), first.job(teacher)
    monkeypatch.setattr("common.experiments.run._interrupt_on_sigterm", lambda: None)
    monkeypatch.setattr(
        _Work, "_wave", lambda work, jobs, _: trained.extend(one for one in jobs if one.hash not in work.finished)
    )

    def trained_with(*finished: Job) -> list[Job]:
        trained.clear()
        store = SimpleNamespace(finished=lambda: {one.hash: "0" for one in finished}, tags=lambda *_: {})
        work = _Work(store, job(), tmp_path, "sqlite:///x.db", lambda: None)
        work.carry_out([work.job(student)], "")
        return [*trained]

    trained: list[Job] = []
    assert [one.hash for one in trained_with(of_teacher)] == [of_teacher.hash, own.hash]
    assert trained_with(of_teacher, own) == []
    own.pseudo_labels.mkdir(parents=True)
    assert [one.hash for one in trained_with(of_teacher)] == [own.hash], "it has made them already"
    own.pseudo_labels.rmdir()
    of_teacher.folder.mkdir()
    (of_teacher.folder / "model.pt").touch()
    assert [one.hash for one in trained_with(of_teacher)] == [own.hash]


@pytest.mark.parametrize("deleted", ["train", "evaluate"])
def test_a_run_that_was_deleted_in_mlflow_is_named_with_its_restore_command(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deleted: str
):
    def log(one: Job, workflow: str, _: object) -> None:
        folder = one.folder if workflow == "train" else one.folder / "evaluations" / "test"
        folder.mkdir(parents=True, exist_ok=True)
        log_finished_run(folder, store, "deleted", workflow, {"workflow": workflow}, {})

    monkeypatch.setattr("common.experiments.training._run", log)
    placed = job().place(tmp_path, "one", {}, store)
    run_id = carry_out(placed)
    assert carry_out(placed) == run_id
    places = {"train": placed.folder, "evaluate": placed.folder / "evaluations" / "test"}
    lost = str((read_run(places[deleted]) or {})["run_id"])
    connect(store).delete_run(lost)
    message = rf"^the run '{deleted}' is deleted; restore it: mlflow runs restore --run-id {lost}$"
    with pytest.raises(RuntimeError, match=message):
        carry_out(placed)
    connect(store).restore_run(lost)
    assert carry_out(placed) == run_id

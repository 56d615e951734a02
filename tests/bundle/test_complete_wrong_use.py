"""What cannot become a complete configuration is refused: the message names the file and the remedy."""

from pathlib import Path

import pytest
from small_bundle import parsed, variant, write

from common.bundle import complete as joining
from common.bundle.complete import complete


def test_a_setting_written_twice_is_refused(bundle: Path):
    write(bundle, "epochs: 1\nloss: marginal\nepochs: 2\n")
    with pytest.raises(ValueError, match=r"bundle\.yaml repeats \['epochs'\]"):
        complete(bundle)


def test_text_that_is_not_yaml_is_named(bundle: Path):
    write(bundle, "classes: [background\n")
    with pytest.raises(ValueError, match=r"bundle\.yaml is not YAML"):
        complete(bundle)["train.yaml"]


def test_a_folder_without_settings_is_not_a_bundle(bundle: Path):
    (bundle / "configs" / "bundle.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"configs/bundle\.yaml is missing; it states the facts of the bundle"):
        complete(bundle)["train.yaml"]


@pytest.mark.parametrize("key", ["optimiser::lr", "optimizer::lr::first", "epochs::first", "optimizer::a::b"])
def test_a_nested_key_whose_parents_no_workflow_has_is_refused(bundle: Path, key: str):
    write(bundle, f"{key}: 1\n")
    parent = key.rpartition("::")[0]
    with pytest.raises(ValueError, match=rf"bundle\.yaml sets {key}, but no workflow has {parent}\."):
        complete(bundle)


def test_an_item_that_a_list_lacks_is_refused_with_those_it_has(bundle: Path):
    write(bundle, "handlers::7: 1\n")
    with pytest.raises(ValueError, match=r"bundle\.yaml sets handlers::7, but handlers has the entries 0 to 1\."):
        complete(bundle)


def test_a_misspelt_setting_is_refused_with_the_nearest(bundle: Path):
    write(bundle, "epoch: 3\n")
    message = r"configs/bundle\.yaml sets epoch, which no workflow uses\. Did you mean 'epochs'\? Refer to .* as @epoch"
    with pytest.raises(ValueError, match=message):
        complete(bundle)
    leaf = variant(bundle, "leaf", "base: bundle\n")
    with pytest.raises(ValueError, match=r"/bundle/configs/bundle\.yaml sets epoch, "):
        complete(leaf)


def test_a_setting_of_ones_own_is_one_that_a_value_refers_to(bundle: Path):
    write(bundle, "momentum: 0.8\nrate: 0.1\noptimizer::momentum: '@momentum'\noptimizer::lr: $@rate * 2\n")
    assert parsed(bundle)["optimizer"] == {"momentum": "@momentum", "lr": "$@rate * 2"}
    write(bundle, "momentum: 0.8\noptimizer::lr: 1.0  # not @momentum\n")
    with pytest.raises(ValueError, match=r"sets momentum, which no workflow uses"):
        complete(bundle)


def test_a_block_that_only_a_workflow_refers_to_may_be_added(bundle: Path):
    (joining.WORKFLOWS / "measure.yaml").write_text('run: ["@subject"]\n')
    write(bundle, "subject: {size: 1}\n")
    assert parsed(bundle, "measure.yaml")["subject"] == {"size": 1}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("scal: 0.1", r"bundle\.yaml: augmentation::scal is not a setting .* Did you mean augmentation::scale\?"),
        (
            "scale: strong",
            r"augmentation::scale: expected a number, like its default 0\.25, got 'strong'",
        ),
    ],
)
def test_an_argument_that_a_component_does_not_take_is_refused(tmp_path: Path, own: str, message: str):
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    write(bundle, f"augmentation::{own}\n")
    with pytest.raises(ValueError, match=message):
        complete(bundle)
    write(bundle, "augmentation::scale: 0.1\nnetworks::unet::dropout: 0.2\nlosses::mine: {_target_: mine.Focal}\n")
    settings = parsed(bundle)
    assert settings["networks"]["unet"]["dropout"] == 0.2
    assert settings["losses"]["mine"]["_target_"] == "mine.Focal"


@pytest.mark.parametrize(("name", "value"), [("on", "True"), ("null", "None"), ("no", "False")])
def test_a_name_that_yaml_reads_as_something_else_is_refused(bundle: Path, name: str, value: str):
    write(bundle, f"optimizer::{name}: 1\n")
    with pytest.raises(ValueError, match=rf"bundle\.yaml: YAML reads the name '{name}' as {value}; choose another"):
        complete(bundle)


def test_a_nested_setting_written_in_both_ways_is_repeated(bundle: Path):
    write(bundle, "optimizer::lr: 1.0\noptimizer#lr: 2.0\n")
    with pytest.raises(ValueError, match=r"bundle\.yaml repeats \['optimizer::lr'\]"):
        complete(bundle)


@pytest.mark.parametrize("line", ["epochs:\t[3", "optimizer::lr:\t[1.0", "optimizer::lr:\t1.0", "optimizer::lr: [1"])
def test_a_tab_or_an_open_bracket_is_reported_with_the_name_of_the_file(bundle: Path, line: str):
    write(bundle, f"{line}\n")
    with pytest.raises(ValueError, match=r"configs/bundle\.yaml is not YAML"):
        complete(bundle)


@pytest.mark.parametrize("base", ["null", "../bundle", "3", "[bundle]"])
def test_a_base_that_is_not_a_name_is_refused(bundle: Path, base: str):
    leaf = variant(bundle, "leaf", f"base: {base}\n")
    with pytest.raises(ValueError, match=r"leaf/configs/bundle\.yaml has base: .*; expected the name of a bundle"):
        complete(leaf)


@pytest.mark.parametrize("text", ["- a\n- b\n", "epochs: 1\n'quoted name': 2\n", "just text\n"])
def test_settings_that_are_not_plain_names_are_refused(bundle: Path, text: str):
    write(bundle, text)
    with pytest.raises(
        ValueError, match=r"bundle\.yaml: expected lines 'name: value' or 'a::b: value' at the top level"
    ):
        complete(bundle)


def test_a_base_that_is_missing_is_named_with_the_nearest(bundle: Path):
    leaf = variant(bundle, "leaf", "base: bundel\n")
    message = r"leaf/configs/bundle\.yaml has base: bundel, but .*bundel/configs/bundle\.yaml is missing\. Did you mean"
    with pytest.raises(FileNotFoundError, match=message + " 'bundle'"):
        complete(leaf)


def test_bundles_based_on_each_other_are_refused(bundle: Path):
    write(bundle, "base: leaf\n")
    leaf = variant(bundle, "leaf", "base: bundle\n")
    with pytest.raises(ValueError, match=r"in a circle: leaf -> bundle -> leaf\."):
        complete(leaf)

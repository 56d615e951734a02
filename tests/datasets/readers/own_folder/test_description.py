"""Wrong descriptions, tables and sources of a folder of one's own, and the descriptions of the documentation."""

import re
from pathlib import Path
from typing import Any

import pytest
from own_folder import describe, tabulate, write_clinic

from common.datasets.readers.own_folder.description import MAX_BYTES
from common.datasets.readers.own_folder.reader import folder


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    return write_clinic(tmp_path / "clinic")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lisence": "x"}, r"unknown key 'lisence'. Did you mean 'licence'\? Known are \["),
        ({"colour": "x"}, r"unknown key 'colour'. Known are \["),
        ({"dataset": None}, "'dataset' is missing or no text"),
        ({"dataset": "my data"}, r"dataset is 'my data'; a name has letters"),
        ({"licence": None}, "'licence' is missing or no text"),
        ({"values": None}, "'values' maps each annotation value"),
        ({"values": {}}, "'values' maps each annotation value"),
        ({"values": {256: "lv_cavity"}}, "'values' holds '256'; annotation values are the integers 0 to 255"),
        ({"values": {True: "lv_cavity"}}, "'values' holds 'True'"),
        ({"values": {"0": "background"}}, "'values' holds '0'"),
        ({"values": {0: []}}, "value 0 stands for a class or a list"),
        ({"values": {0: ["left atrium"]}}, "value 0 has a class that is no name"),
        ({"table": "cases.csv"}, "either 'files', a naming pattern, or 'table', a CSV"),
        ({"files": None}, "either 'files', a naming pattern, or 'table', a CSV"),
        ({"files": "images"}, "'files' holds two naming patterns, 'image' and 'label'"),
        ({"files": {"image": "x"}}, "'files' holds two naming patterns, 'image' and 'label'"),
        ({"files": {"image": "{a}", "label": "{b}"}}, r"the pattern of 'label' has \['b'\], which that of 'image' has"),
        ({"files": {"image": "{pateint}", "label": "x"}}, r"'pateint' is unknown. Did you mean 'patient'\?"),
        ({"files": {"image": "{label}", "label": "x"}}, r"the pattern of 'image' has \['label'\], which have another"),
        ({"spacing": 0.3}, "the spacing is two positive numbers"),
        ({"spacing": [0.3, 0]}, "the spacing is two positive numbers"),
        ({"spacing": [0.3, 0.3, 1]}, "the spacing is two positive numbers"),
        ({"keep": "device"}, "'keep' is a list of columns"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(clinic: Path, changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=rf"clinic\.yaml: .*{message}"):
        folder(clinic, describe(clinic, **changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "is not readable YAML"),
        (b"[" * 500, "is not readable YAML"),
        (b"\xff\xfe\x00", "is not readable YAML"),
        (b"!!python/object/apply:os.getcwd []", "is not readable YAML"),
        (b"just words", "'key: value' is expected"),
        (b"", "'key: value' is expected"),
        (b"#" * (MAX_BYTES + 1), "has more than 1048576 bytes"),
    ],
)
def test_what_is_no_description_is_refused(clinic: Path, content: bytes, message: str):
    path = describe(clinic)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"clinic\.yaml.* {message}"):
        folder(clinic, path)


ED = "images/p_1_4CH_ED.png,masks/p_1_4CH_ED_mask.png"
ES = "images/p_1_4CH_ES.png,masks/p_1_4CH_ES_mask.png"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image"], r"clinic\.yaml: .*cases\.csv: columns \['image'\]; .* \['image', 'label'\] are needed"),
        ([], r"clinic\.yaml: .*cases\.csv: columns \[\];"),
        (["image,label,label", f"{ED},x"], "each has a name of its own"),
        (["image,label,Pateint", f"{ED},x"], r"cases\.csv: 'Pateint' is unknown. Did you mean 'patient'\?"),
        (["image,label", f"{ED},x"], r"cases\.csv: line 2 has 3 cells, the header 2"),
        (["image,label,ef", f"{ED},high"], r"cases\.csv, line 2: ef is 'high', a number is expected"),
        (["image,label,ef", f"{ED},nan"], r"cases\.csv, line 2: ef is 'nan', a number is expected"),
        (["image,label,frame", f"{ED},1.5"], r"cases\.csv, line 2: frame is '1\.5', a number is expected"),
        (["image,label,fold", f"{ED},train"], r"line 2: fold is 'train', allowed are \['training', 'validation'"),
        (["image,label,unlabelled", f"{ED},la"], r"line 2: unlabelled names \['la'\], which are not among"),
        (["image,label,spacing_row", f"{ED},0.3"], "line 2: the spacing is two positive numbers"),
        (["image,label", ED, ED], r"cases\.csv, line 3: images_p_1_4CH_ED is there already"),
        (
            ["image,label,patient,fold", f"{ED},one,test", f"{ES},one,training"],
            r"cases\.csv, line 3: patient 'one' is in the fold 'test' already, not 'training'",
        ),
    ],
)
def test_a_wrong_table_says_what_is_wrong(clinic: Path, lines: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        folder(clinic, tabulate(clinic, *lines))


def test_a_kept_column_takes_no_name_of_the_prepared_set(clinic: Path):
    with pytest.raises(ValueError, match=r"\['dataset'\] cannot be kept"):
        folder(clinic, tabulate(clinic, "image,label,dataset", f"{ED},x", keep=["dataset"]))
    with pytest.raises(ValueError, match=r"\['image', 'label', 'device'\] are needed"):
        folder(clinic, tabulate(clinic, "image,label", ED, keep=["device"]))


def test_a_table_in_another_encoding_is_refused(clinic: Path):
    with pytest.raises(ValueError, match=r"cases\.csv is not UTF-8"):
        folder(clinic, tabulate(clinic, "image,label", "Bücher.png,x.png", encoding="latin-1"))


@pytest.mark.parametrize("size", [10, 500_000])
def test_a_cell_without_end_is_refused(clinic: Path, size: int):
    with pytest.raises(ValueError, match=r"cases\.csv: (field larger|unexpected end)"):
        folder(clinic, tabulate(clinic, "image,label", f'{ED[:30]},"{"x" * size}'))


def test_a_wrong_source_says_what_is_meant(clinic: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is no folder; SOURCE holds the images and masks"):
        folder(clinic / "nowhere", describe(clinic))
    with pytest.raises(FileNotFoundError, match=r"mine\.yaml is missing: the YAML file that describes the folder"):
        folder(clinic, clinic / "mine.yaml")
    with pytest.raises(FileNotFoundError, match=r"no file in .*clinic is named like the image '\{patient\}\.dcm'"):
        folder(clinic, describe(clinic, files={"image": "{patient}.dcm", "label": "{patient}.png"}))
    for table in ("other.csv", "../clinic.yaml"):
        with pytest.raises(FileNotFoundError, match=r"is missing or leaves SOURCE; its path is relative to SOURCE"):
            folder(clinic, describe(clinic, files=None, table=table))


@pytest.mark.parametrize("number", [0, 1])
def test_the_descriptions_of_the_documentation_work(clinic: Path, number: int):
    page = (Path(__file__).parents[4] / "docs/own_data.md").read_text()
    description = clinic.parent / "clinic.yaml"
    description.write_text(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[number])
    (clinic / "images" / "p_1_4CH_ED.nii.gz").touch()
    (clinic / "cases.csv").write_text(f"image,label,device\n{ED},S5\n")
    found = folder(clinic, description)
    assert len(found.jobs) == 1
    assert found.facts["bundle_line"].strip() in page or number == 1

"""Wrong descriptions, tables and sources of your own folder, and the descriptions in the documentation."""

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
        ({"lisence": "x"}, r"unknown key 'lisence'. Did you mean 'licence'\? Allowed: \["),
        ({"colour": "x"}, r"unknown key 'colour'. Allowed: \["),
        ({"dataset": None}, "'dataset' is missing or not text"),
        ({"dataset": "my data"}, r"dataset is 'my data', expected a name of letters"),
        ({"licence": None}, "'licence' is missing or not text"),
        ({"values": None}, "'values' must map annotation values"),
        ({"values": {}}, "'values' must map annotation values"),
        ({"values": {256: "lv_cavity"}}, "'values' has '256', expected integers from 0 to 255"),
        ({"values": {True: "lv_cavity"}}, "'values' has 'True'"),
        ({"values": {"0": "background"}}, "'values' has '0'"),
        ({"values": {0: []}}, "value 0 needs a class or a list"),
        ({"values": {0: "lv_cavity"}}, r"value 0 is \['lv_cavity'\]: it also fills what is beyond the border"),
        ({"values": {0: "background", 1: ["ignore", "a"]}}, r"value 1 is \['ignore', 'a'\]; 'ignore' stands alone"),
        ({"values": {0: "Background"}}, "value 0 is 'Background', which would be a structure; write 'background'"),
        (
            {"values": {0: "background", 255: "Ignore"}},
            "value 255 is 'Ignore', .* write 'ignore'",
        ),
        ({"modality": "USA"}, r"modality is 'USA', expected one of \['US', 'CT', .*\]\. Did you mean 'US'\?"),
        ({"values": {0: ["left atrium"]}}, r"value 0 is \['left atrium'\], expected names of letters"),
        ({"table": "cases.csv"}, "either 'files', naming patterns, or 'table', a CSV"),
        ({"files": None}, "either 'files', naming patterns, or 'table', a CSV"),
        ({"files": "images"}, "'files' must have two naming patterns, 'image' and 'label'"),
        ({"files": {"image": "x"}}, "'files' must have two naming patterns, 'image' and 'label'"),
        (
            {"files": {"image": "{a}", "label": "{b}"}},
            r"the pattern of 'label' has \['b'\], which the pattern of 'image' lacks",
        ),
        ({"files": {"image": "{pateint}", "label": "x"}}, r"'pateint' is unknown. Did you mean 'patient'\?"),
        ({"files": {"image": "{label}", "label": "x"}}, r"the pattern of 'image' has \['label'\], which are reserved"),
        ({"spacing": 0.3}, "spacing is 0.3, expected two positive numbers"),
        ({"spacing": [0.3, 0]}, r"spacing is \[0.3, 0\], expected two positive numbers"),
        ({"spacing": [0.3, 0.3, 1]}, "expected two positive numbers"),
        ({"keep": "device"}, "'keep' must be a list of columns"),
    ],
)
def test_a_wrong_description_is_explained(clinic: Path, changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=rf"clinic\.yaml: .*{message}"):
        folder(clinic, describe(clinic, **changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "is not readable YAML"),
        (b"[" * 500, "is not readable YAML"),
        (b"\xff\xfe\x00", "is not readable YAML"),
        (b"!!python/object/apply:os.getcwd []", "is not readable YAML"),
        (b"values: {0: background, 1: lv_cavity, 1: left_atrium}", "line 1 repeats 1; give it once"),
        (b"dataset: a\nlicence: b\ndataset: c", "line 3 repeats 'dataset'; give it once"),
        (b"values: {0x1: lv, 1: la}", "line 1 repeats 1; give it once"),
        (b"just words", "expected 'key: value'"),
        (b"", "expected 'key: value'"),
        (b"#" * (MAX_BYTES + 1), "has 1048577 bytes, expected at most 1048576"),
    ],
)
def test_a_file_that_is_not_a_description_is_refused(clinic: Path, content: bytes, message: str):
    path = describe(clinic)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"clinic\.yaml.* {message}"):
        folder(clinic, path)


ED = "images/p_1_4CH_ED.png,masks/p_1_4CH_ED_mask.png"
ES = "images/p_1_4CH_ES.png,masks/p_1_4CH_ES_mask.png"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image"], r"clinic\.yaml: .*cases\.csv: the columns are \['image'\], expected .* \['image', 'label'\]"),
        ([], r"clinic\.yaml: .*cases\.csv: the columns are \[\],"),
        (["image,label,label", f"{ED},x"], "expected unique names"),
        (["image,label,Pateint", f"{ED},x"], r"cases\.csv: 'Pateint' is unknown. Did you mean 'patient'\?"),
        (["image,label", f"{ED},x"], r"cases\.csv: line 2 has 3 cells, the header 2"),
        (["image,label,ef", f"{ED},high"], r"cases\.csv, line 2: ef is 'high', expected a number"),
        (["image,label,ef", f"{ED},nan"], r"cases\.csv, line 2: ef is 'nan', expected a number"),
        (["image,label,ef", f"{ED},0.55"], r"cases\.csv, line 2: ef is 0\.55, expected a percentage between 1 and 100"),
        (["image,label,ef", f"{ED},-5"], r"cases\.csv, line 2: ef is -5, expected a percentage"),
        (["image,label,edv", f"{ED},-100"], r"cases\.csv, line 2: edv is -100, expected a volume in ml"),
        (["image,label,frame", f"{ED},1.5"], r"cases\.csv, line 2: frame is '1\.5', expected a number"),
        (["image,label,fold", f"{ED},train"], r"line 2: fold is 'train', expected one of \['training', 'validation'"),
        (["image,label,unlabelled", f"{ED},background"], r"unlabelled names \['background'\], which are not among"),
        (["image,label,unlabelled", f"{ED},la"], r"line 2: unlabelled names \['la'\], which are not among"),
        (["image,label,spacing_row", f"{ED},0.3"], r"line 2: spacing is \['0.3'\], expected two positive numbers"),
        (["image,label", ED, ED], r"cases\.csv, line 3: images_p_1_4CH_ED exists already"),
        (
            ["image,label,patient,fold", f"{ED},one,test", f"{ES},one,training"],
            r"cases\.csv, line 3: patient 'one' is in the fold 'test' already, not 'training'",
        ),
        (
            ["image,label,patient,fold", f"{ED},P1,training", f"{ES},p1,test"],
            r"cases\.csv, line 3: patient 'p1' is spelt 'P1' before; spell one patient the same",
        ),
        (  # a letter and its mark, as macOS writes file names, or one composed letter
            ["image,label,patient", f"{ED},Mu\u0308ller", f"{ES},M\u00fcller"],
            r"patient 'M\u00fcller' is spelt in another Unicode form \('Mu\\u0308ller', here 'M\\xfcller';",
        ),
        (
            ["image,label,patient", f"{ED},MU\u0308LLER", f"{ES},m\u00fcller"],
            r"line 3: patient 'm\u00fcller' is spelt 'MU\u0308LLER' before; spell one patient the same",
        ),
    ],
)
def test_a_wrong_table_is_explained(clinic: Path, lines: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        folder(clinic, tabulate(clinic, *lines))


def test_a_kept_column_must_not_have_the_name_of_a_prepared_field(clinic: Path):
    with pytest.raises(ValueError, match=r"\['dataset'\] cannot be kept"):
        folder(clinic, tabulate(clinic, "image,label,dataset", f"{ED},x", keep=["dataset"]))
    with pytest.raises(ValueError, match=r"expected unique names that include \['image', 'label', 'device'\]"):
        folder(clinic, tabulate(clinic, "image,label", ED, keep=["device"]))


def test_a_table_in_another_encoding_is_refused(clinic: Path):
    with pytest.raises(ValueError, match=r"cases\.csv is not UTF-8"):
        folder(clinic, tabulate(clinic, "image,label", "Bücher.png,x.png", encoding="latin-1"))


@pytest.mark.parametrize("size", [10, 500_000])
def test_an_unterminated_cell_is_refused(clinic: Path, size: int):
    with pytest.raises(ValueError, match=r"cases\.csv: (field larger|unexpected end)"):
        folder(clinic, tabulate(clinic, "image,label", f'{ED[:30]},"{"x" * size}'))


def test_a_wrong_source_is_explained(clinic: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a directory; SOURCE is the folder that .* describes"):
        folder(clinic / "nowhere", describe(clinic))
    with pytest.raises(FileNotFoundError, match=r"mine\.yaml is missing or not a file"):
        folder(clinic, clinic / "mine.yaml")
    with pytest.raises(FileNotFoundError, match=r"no file in .*clinic matches the pattern '\{patient\}\.dcm'"):
        folder(clinic, describe(clinic, files={"image": "{patient}.dcm", "label": "{patient}.png"}))
    for table in ("other.csv", "../clinic.yaml"):
        with pytest.raises(FileNotFoundError, match=r"is missing or outside SOURCE; its path is relative to SOURCE"):
            folder(clinic, describe(clinic, files=None, table=table))


@pytest.mark.parametrize("number", [0, 1])
def test_the_descriptions_in_the_documentation_work(clinic: Path, number: int):
    page = (Path(__file__).parents[4] / "docs/own_data.md").read_text()
    description = clinic.parent / "clinic.yaml"
    description.write_text(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[number])
    (clinic / "images" / "p_1_4CH_ED.nii.gz").touch()
    (clinic / "cases.csv").write_text(f"image,label,device\n{ED},S5\n")
    assert len(folder(clinic, description).jobs) == 1

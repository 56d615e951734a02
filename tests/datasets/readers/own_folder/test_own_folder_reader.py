"""Your own folder, described by naming patterns or by a table."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_folder import COLUMNS, ROWS, describe, mask, picture, scan, tabulate, write_clinic

from common.datasets.prepared.layout import read_datalist, read_label_sets, read_provenance
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Source
from common.datasets.readers.own_folder.reader import folder
from common.datasets.sector.finder import FoundSector


def metaimage(path: Path, pixels: np.ndarray, *spacing: float) -> None:
    sizes, lengths = (" ".join(map(str, axes[::-1])) for axes in (pixels.shape, spacing))
    header = f"NDims = {pixels.ndim}\nDimSize = {sizes}\nElementSpacing = {lengths}\nElementType = MET_UCHAR\n"
    path.write_bytes(header.encode() + b"ElementDataFile = LOCAL\n" + pixels.tobytes())


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    return write_clinic(tmp_path / "clinic")


def items(source: Source) -> dict[str, dict[str, Any]]:
    return {job.id: dict(job.item) for job in source.jobs}


def test_masks_need_a_pattern_of_their_own(clinic: Path):
    pattern = "images/{patient}_{view}_{phase}.png"
    with pytest.raises(ValueError, match=r"clinic\.yaml: 'image' and 'label' have the same pattern 'images/\{patient"):
        folder(clinic, describe(clinic, files={"image": pattern, "label": pattern}))


def test_a_naming_pattern_finds_images_masks_and_fields(clinic: Path):
    found = folder(clinic, describe(clinic))
    assert items(found) == {
        f"images_{patient}_4CH_{phase}": {
            "dataset": "clinic",
            "patient": patient,
            "view": "4CH",
            "phase": phase,
            "fold": None,
        }
        for patient in ("p_1", "p_2")
        for phase in ("ED", "ES")
    }
    assert (found.name, found.licence, found.citation, found.skipped) == ("clinic", "private", "", {})
    frame = found.jobs[2].read()
    np.testing.assert_array_equal(frame.image, scan(2))
    np.testing.assert_array_equal(frame.label, mask(0, 1, 2))
    assert frame.spacing is None


def test_your_own_folder_is_prepared(clinic: Path, tmp_path: Path):
    prepare(folder(clinic, describe(clinic, spacing=[0.3, 0.15])), tmp_path / "out", size=16, workers=1)
    prepared = read_datalist(tmp_path / "out")
    assert [item["patient"] for item in prepared] == ["p_1", "p_1", "p_2", "p_2"]
    assert prepared[0]["spacing"] == pytest.approx([0.3 * ROWS / 16, 0.15 * COLUMNS / 16])
    assert prepared[0]["values"] == [0, 1, 2]
    provenance = read_provenance(tmp_path / "out")
    assert provenance["label_sets"] == {
        "clinic": {"0": ["background", "left_atrium"], "1": ["lv_cavity"], "2": ["lv_myocardium"]}
    }
    assert str(clinic) not in json.dumps(provenance)


def test_masks_keep_their_values(clinic: Path, tmp_path: Path):
    picture(clinic / "masks" / "p_1_4CH_ED_mask.png", mask(255, 0, 7, 1, 2))
    values = {255: "ignore", 0: "background", 7: "left_atrium", 1: "lv_cavity", 2: "lv_myocardium"}
    found = folder(clinic, describe(clinic, values=values))
    np.testing.assert_array_equal(found.jobs[0].read().label, mask(255, 0, 7, 1, 2))
    prepare(found, tmp_path / "out", size=32, workers=1)
    assert read_datalist(tmp_path / "out")[0]["values"] == [0, 1, 2, 7, 255]
    stated = {0: ["background"], 1: ["lv_cavity"], 2: ["lv_myocardium"], 7: ["left_atrium"], 255: ["ignore"]}
    assert read_label_sets(tmp_path / "out") == {"clinic": stated}


def test_ignored_pixels_outside_the_sector_are_not_annotation_outside_it(clinic: Path, tmp_path: Path):
    values = {0: "background", 1: "lv_cavity", 2: "ignore"}  # columns of 11, 11 and 10 pixels, from left to right

    def left(image: np.ndarray, _: object) -> FoundSector:
        return FoundSector(np.arange(image.shape[1])[None].repeat(len(image), axis=0) < 22, "threshold", 1.0)

    for meaning, outside in ((values, 0.0), (values | {2: "lv_myocardium"}, 10 / 21)):
        out = tmp_path / str(outside)
        prepare(folder(clinic, describe(clinic, values=meaning)), out, size=32, workers=1, sector_finder=left)
        assert read_datalist(out)[0]["outside_sector"] == pytest.approx(outside, abs=1e-3)


def test_the_modality_is_recorded(clinic: Path):
    assert folder(clinic, describe(clinic, modality="CT")).facts["modality"] == "CT"
    assert "modality" not in folder(clinic, describe(clinic)).facts


def test_a_placeholder_may_occur_in_folders_and_more_than_once(clinic: Path):
    picture(clinic / "site_a" / "x" / "x.png", scan())
    picture(clinic / "site_a" / "x" / "y.png", scan())
    picture(clinic / "site_a" / "x" / "x_seg.png", mask(0, 1))
    files = {"image": "{site}/{patient}/{patient}.png", "label": "{site}/{patient}/{patient}_seg.png"}
    found = folder(clinic, describe(clinic, files=files))
    ((name, item),) = items(found).items()
    assert name == "site_a_x_x"
    assert (item["site"], item["patient"], item["view"], item["phase"]) == ("site_a", "x", None, None)


def test_a_mask_beside_its_image_is_not_taken_for_an_image(clinic: Path):
    for name in ("a.png", "b.png"):
        picture(clinic / name, scan())
    picture(clinic / "a_mask.png", mask(0, 1))
    found = folder(clinic, describe(clinic, files={"image": "{patient}.png", "label": "{patient}_mask.png"}))
    assert list(items(found)) == ["a"]
    assert found.skipped == {"b.png": "label b_mask.png is missing"}


def test_the_frame_in_the_name_of_a_still_becomes_a_field(clinic: Path):
    picture(clinic / "x_017.png", scan())
    picture(clinic / "x_017_mask.png", mask(0, 1))
    files = {"image": "{patient}_{frame}.png", "label": "{patient}_{frame}_mask.png"}
    (job,) = folder(clinic, describe(clinic, files=files)).jobs
    assert job.item["frame"] == 17
    np.testing.assert_array_equal(job.read().image, scan())


def test_an_unknown_view_is_left_out(clinic: Path):
    (clinic / "images" / "p_1_4CH_ED.png").rename(clinic / "images" / "p_1_PLAX_ED.png")
    (clinic / "masks" / "p_1_4CH_ED_mask.png").rename(clinic / "masks" / "p_1_PLAX_ED_mask.png")
    found = folder(clinic, describe(clinic))
    assert len(found.jobs) == 3
    assert found.skipped == {
        "images/p_1_PLAX_ED.png": "view 'PLAX' is not among ['2CH', 'A2C', 'AP2', '4CH', 'A4C', 'AP4']"
    }


def test_a_table_provides_fields_that_names_lack(clinic: Path):
    description = tabulate(
        clinic,
        "image,label,patient,view,phase,fold,ef,age,sex,unlabelled,born,device",
        "images/p_1_4CH_ED.png,masks/p_1_4CH_ED_mask.png,one,a4c,ed,test,55.5,61,F,lv_myocardium left_atrium,1950,S5",
        "images/p_2_4CH_ED.png,masks/p_2_4CH_ED_mask.png,two,,,training,,,,,1960,",
        keep=["device"],
    )
    found = folder(clinic, description)
    assert items(found) == {
        "images_p_1_4CH_ED": {
            "dataset": "clinic",
            "patient": "one",
            "view": "4CH",
            "phase": "ED",
            "fold": "test",
            "ef": 55.5,
            "age": 61.0,
            "sex": "F",
            "unlabelled": ["lv_myocardium", "left_atrium"],
            "device": "S5",
        },
        "images_p_2_4CH_ED": {"dataset": "clinic", "patient": "two", "view": None, "phase": None, "fold": "training"},
    }
    assert found.facts["columns_left_out"] == ["born"]


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_is_read_as_spreadsheets_write_it(clinic: Path, delimiter: str, encoding: str):
    (clinic / "images" / "p_1_4CH_ED.png").rename(clinic / "images" / "Bücher, alt; neu.png")
    line = f'"images/Bücher, alt; neu.png"{delimiter}masks/p_1_4CH_ED_mask.png\r\n\r\n'
    found = folder(clinic, tabulate(clinic, f"image{delimiter}label\r", line, encoding=encoding))
    assert [job.id for job in found.jobs] == ["images_B_cher_alt_neu"]
    np.testing.assert_array_equal(found.jobs[0].read().image, scan())


def test_frames_of_one_clip_are_separate_images(clinic: Path):
    clip = np.stack([scan(0), scan(50), scan(100)])
    metaimage(clinic / "clip.mha", clip, 1.0, 0.3, 0.15)
    metaimage(clinic / "masks.mha", np.stack([mask(0, 1), mask(0, 2)]), 1.0, 0.3, 0.15)
    description = tabulate(
        clinic,
        "image,label,patient,phase,frame,label_frame",
        "clip.mha,masks.mha,one,ED,0,0",
        "clip.mha,masks.mha,one,ES,2,1",
    )
    first, second = folder(clinic, description).jobs
    assert (first.id, second.id) == ("clip_0", "clip_2")
    assert (first.item["frame"], second.item["frame"]) == (0, 2)
    np.testing.assert_array_equal(second.read().image, clip[2])
    np.testing.assert_array_equal(second.read().label, mask(0, 2))
    assert second.read().spacing == pytest.approx((0.3, 0.15))


def test_an_image_without_patient_counts_as_a_patient_and_this_is_recorded(clinic: Path):
    line = "images/p_1_4CH_ED.png,masks/p_1_4CH_ED_mask.png"
    found = folder(clinic, tabulate(clinic, "image,label", line))
    assert found.jobs[0].item["patient"] == found.jobs[0].id
    assert "images without patient count as patients of their own" in found.facts["patients"]
    assert "patients" not in folder(clinic, describe(clinic)).facts


@pytest.mark.parametrize(
    ("image", "label", "reason"),
    [
        ("../secret.png", "masks/p_1_4CH_ED_mask.png", "image ../secret.png is outside SOURCE"),
        ("images/p_1_4CH_ED.png", "{root}/secret.png", "label {root}/secret.png is outside SOURCE"),
        ("link.png", "masks/p_1_4CH_ED_mask.png", "image link.png is outside SOURCE"),
        ("outside/secret.png", "masks/p_1_4CH_ED_mask.png", "image outside/secret.png is outside SOURCE"),
        ("loop.png", "masks/p_1_4CH_ED_mask.png", "image loop.png is missing"),
        ("images", "masks/p_1_4CH_ED_mask.png", "image images is missing"),
        ("images/p_9.png", "masks/p_1_4CH_ED_mask.png", "image images/p_9.png is missing"),
        ("images/p_1_4CH_ED.png", "", "label is not given"),
    ],
)
def test_missing_and_outside_files_are_left_out_with_reasons(clinic: Path, image: str, label: str, reason: str):
    root = clinic.parent
    picture(root / "secret.png", scan())
    (clinic / "link.png").symlink_to(root / "secret.png")
    (clinic / "outside").symlink_to(root)
    (clinic / "loop.png").symlink_to(clinic / "loop.png")
    good = "images/p_2_4CH_ED.png,masks/p_2_4CH_ED_mask.png"
    found = folder(clinic, tabulate(clinic, "image,label", f"{image},{label}".format(root=root), good))
    assert len(found.jobs) == 1
    assert found.skipped == {"cases.csv, line 2": reason.format(root=root)}


def test_a_folder_linked_into_the_source_is_not_searched(clinic: Path):
    picture(clinic.parent / "elsewhere" / "p_3_4CH_ED.png", scan())
    (clinic / "more").symlink_to(clinic.parent / "elsewhere")
    files = {"image": "{part}/{patient}_{view}_{phase}.png", "label": "masks/{patient}_{view}_{phase}_mask.png"}
    assert all("p_3" not in job.id for job in folder(clinic, describe(clinic, files=files)).jobs)


def read_first(clinic: Path, **changes: Any) -> None:
    folder(clinic, describe(clinic, **changes)).jobs[0].read()


def test_a_value_that_the_description_lacks_is_an_error(clinic: Path):
    picture(clinic / "masks" / "p_1_4CH_ED_mask.png", mask(0, 1, 3, 9))
    message = r"p_1_4CH_ED_mask\.png has the annotation values \[3, 9\], expected values among \[0, 1, 2\]"
    with pytest.raises(ValueError, match=message):
        read_first(clinic)


def test_a_mask_of_another_shape_is_an_error(clinic: Path):
    picture(clinic / "masks" / "p_1_4CH_ED_mask.png", mask(0, 1)[:-1])
    with pytest.raises(ValueError, match=r"p_1_4CH_ED_mask\.png has shape \(23, 32\), its image \(24, 32\)"):
        read_first(clinic)


def test_contradicting_spacings_are_an_error(clinic: Path):
    metaimage(clinic / "a.mha", scan(), 0.3, 0.15)
    metaimage(clinic / "a_mask.mha", mask(0, 1), 0.3, 0.3)
    files = {"image": "{patient}.mha", "label": "{patient}_mask.mha"}
    with pytest.raises(ValueError, match=r"a\.mha has spacing \(0\.3.*\) mm, .*a_mask\.mha \(0\.3.*\) mm\. Correct"):
        read_first(clinic, files=files)
    metaimage(clinic / "a_mask.mha", mask(0, 1), 0.3, 0.15)
    with pytest.raises(ValueError, match=r"a\.mha has spacing .* mm, the description \(0\.4, 0\.15\) mm\."):
        read_first(clinic, files=files, spacing=[0.4, 0.15])
    read_first(clinic, files=files, spacing=[0.3, 0.15])


def test_the_spacing_in_a_row_overrides_that_of_the_description(clinic: Path):
    lines = [f"images/p_{n}_4CH_ED.png,masks/p_{n}_4CH_ED_mask.png,{cells}" for n, cells in ((1, "0.1,0.2"), (2, ","))]
    header = "image,label,spacing_row,spacing_column"
    first, second = folder(clinic, tabulate(clinic, header, *lines, spacing=[0.5, 0.6])).jobs
    assert first.read().spacing == (0.1, 0.2)
    assert second.read().spacing == (0.5, 0.6)

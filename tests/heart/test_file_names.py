"""View, phase and study from file names."""

from pathlib import PurePath

import pytest

from common.heart.file_names import recognise


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("patient0001/patient0001_2CH_ES.nii.gz", ("patient0001/patient0001", "2CH", "ES")),
        ("patient0001_4CH_half_sequence.nii.gz", ("patient0001_half_sequence", "4CH", "")),
        ("case 7 a4c ed.PNG", ("case 7", "4CH", "ED")),
        ("AP2.avi", (".", "2CH", "")),
        ("edge_4ch.dcm", ("edge", "4CH", "")),  # "ed" inside a word does not count
        ("1.2.840.10008.7", ("1.2.840.10008.7", "", "")),  # a DICOM file without suffix
        ("IM_0001", ("IM_0001", "", "")),
    ],
)
def test_views_and_phases_are_words_of_the_name(name: str, expected: tuple[str, str, str]):
    assert recognise(PurePath(name)) == expected


def test_both_views_and_phases_of_a_patient_share_a_study():
    names = [f"a/p1_{view}_{phase}.mhd" for view in ("2CH", "4CH") for phase in ("ED", "ES")]
    assert len({recognise(PurePath(name))[0] for name in names}) == 1
    assert recognise(PurePath("b/p1_2CH_ED.mhd"))[0] != recognise(PurePath("a/p1_2CH_ED.mhd"))[0]

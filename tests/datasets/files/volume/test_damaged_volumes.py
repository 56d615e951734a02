"""Damaged and hostile volumes: a volume or a clear error, in bounded time, whatever bytes change."""

from pathlib import Path

import itk
import numpy as np
import pytest
from ct_series import write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_volumes import ct, save

from common.datasets.files.volume.volume_file import read_voxels

pytestmark = pytest.mark.slow
NAMES = ("scan.nii", "scan.nii.gz", "scan.mha", "packed.mha", "scan.nrrd", "packed.nrrd", "series")
HEADER = 400  # bytes: most changes are made there


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    image = itk.image_from_array(np.ascontiguousarray(ct().T))
    for name in ("scan.nii", "scan.nii.gz"):
        save(folder / name, ct())
    for name in ("mha", "nrrd"):
        itk.imwrite(image, str(folder / f"scan.{name}"))
        itk.imwrite(image, str(folder / f"packed.{name}"), compression=True)
    write_series(folder / "series", ct().transpose(2, 1, 0))
    return folder


def damaged(content: bytes, how: str, place: float, salt: bytes, in_header: bool) -> bytes:
    at = int(place * (min(HEADER, len(content)) if in_header else len(content)))
    match how:
        case "cut":
            return content[:at]
        case "replaced":
            return content[:at] + salt + content[at + len(salt) :]
        case "inserted":
            return content[:at] + salt + content[at:]
        case _:
            return content[:at] + content[at + len(salt) :]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    how=st.sampled_from(["cut", "replaced", "inserted", "removed"]),
    place=st.floats(0, 1, exclude_max=True),
    salt=st.binary(min_size=1, max_size=8) | st.sampled_from([b"9", b"-1", b"\xff\xff", b"nan ", b"\n\n", b"../x"]),
    in_header=st.booleans(),
)
def test_a_damaged_volume_is_read_or_refused(
    sound: Path, tmp_path: Path, name: str, how: str, place: float, salt: bytes, in_header: bool
):
    path = tmp_path / name
    if name == "series":
        path.mkdir(exist_ok=True)
        for number, part in enumerate(sorted((sound / name).iterdir())):
            content = part.read_bytes()
            (path / part.name).write_bytes(content if number else damaged(content, how, place, salt, in_header))
    else:
        path.write_bytes(damaged((sound / name).read_bytes(), how, place, salt, in_header))
    voxels, message = None, ""
    try:
        voxels = read_voxels(path)
    except ValueError as error:
        message = str(error)
    if voxels is None:
        assert name in message
        assert "Doe" not in message
        return
    assert voxels.values.ndim == 3
    assert voxels.values.size < 10_000
    assert voxels.affine is None or np.isfinite(voxels.affine).all()

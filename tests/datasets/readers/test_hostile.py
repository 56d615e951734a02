"""Damaged and hostile releases: clear errors, bounded memory, and nothing written outside the output folder."""

import gzip
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts.camus_layout import write_camus, write_camus_2019
from layouts.echonet_layout import write_echonet_dynamic
from layouts.unity_layout import write_unity

from common.datasets.prepared.layout import read_datalist, read_provenance
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Source
from common.datasets.readers.camus import camus
from common.datasets.readers.echonet_dynamic import echonet_dynamic
from common.datasets.readers.unity.reader import unity

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
PATIENTS = 2
READERS: dict[str, Callable[[Path], Source]] = {
    "camus": camus,
    "camus-2019": camus,
    "echonet-dynamic": echonet_dynamic,
    "unity": unity,
}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("releases")
    writers = {"camus": write_camus, "camus-2019": write_camus_2019, "unity": write_unity}
    for name, write in writers.items():
        (root / name).mkdir()
        write(root / name, PATIENTS)
    (root / "echonet-dynamic").mkdir()
    write_echonet_dynamic(root / "echonet-dynamic", PATIENTS, frames=4)
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def damaged(content: bytes, how: str, place: float, salt: bytes) -> bytes:
    at = int(place * len(content))
    match how:
        case "cut":
            return content[:at]
        case "flipped":
            return content[:at] + salt + content[at + len(salt) :]
        case "grown":
            return content[:at] + salt * 50 + content[at:]
        case "twice":
            return content + content
        case "lines":  # tables and texts lose or repeat a line
            lines = content.split(b"\n")
            number = min(int(place * len(lines)), len(lines) - 1)
            return b"\n".join(lines[:number] + lines[number + 1 :] + lines[:number][-1:])
        case _:
            return salt * 10


def attempt(reader: Callable[[Path], Source], source: Path, out: Path) -> str:
    """Prepare; return the error message, or "" on success. Any other exception is a fault."""
    try:
        prepare(reader(source), out, size=32, workers=1)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_costs_only_images(releases: Path, name: str, data: st.DataObject):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "source"
        shutil.copytree(releases / name, source)
        target = source / data.draw(st.sampled_from(sorted(files(source))))
        how = data.draw(st.sampled_from(["cut", "flipped", "grown", "twice", "lines", "other"]))
        salt = data.draw(
            st.sampled_from([b"\0", b"\xff" * 8, b"-1", b"1e400", b"nan", b"../../../x", b'"', b"\x89PNG"])
        )
        target.write_bytes(damaged(target.read_bytes(), how, data.draw(st.floats(0, 0.99)), salt))
        before = files(folder)
        message = attempt(READERS[name], source, folder / "out")
        if message:
            assert len(message) > 20, "an error says what is wrong"
        else:
            items, left_out = read_datalist(folder / "out"), read_provenance(folder / "out")["skipped"]
            assert 0 < len(items) <= 2 * PATIENTS
            assert len(items) == 2 * PATIENTS or left_out, "missing images have their reasons"
        after = files(folder)
        assert {key: after.pop(key) for key in before} == before, "the source is unchanged"
        assert all(key.startswith(("out/", "out.partial/")) for key in after)


def bomb(rows: int, columns: int, gibibytes: float) -> bytes:
    """A gzipped NIfTI image of zeros with a much longer stream than its header states."""
    header = bytearray(352)
    struct.pack_into("<i8h", header, 0, 348, *[0] * 8)
    struct.pack_into("<8h", header, 40, 2, columns, rows, 1, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 2, 8)
    struct.pack_into("<8f", header, 76, 1, 0.3, 0.3, 1, 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123], header[344:348] = 2, b"n+1\0"
    block = gzip.compress(bytes(2**24))
    return gzip.compress(bytes(header)) + block * int(gibibytes * 64)


MEASURE = """
import pathlib, runpy, sys
sys.argv = ["common.datasets", *sys.argv[1:]]
try:
    runpy.run_module("common.datasets", run_name="__main__")
finally:
    # not ru_maxrss, which a process inherits from the one that started it
    print("MiB", int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel reports the peak memory of a process in /proc")
def test_bombs_cost_no_memory(releases: Path, tmp_path: Path):
    source = tmp_path / "source"
    shutil.copytree(releases / "camus", source)
    home = source / "database_nifti/patient0001"
    (home / "patient0001_4CH_ED.nii.gz").write_bytes(bomb(500, 600, 20))  # much longer than its header states
    (home / "patient0001_4CH_ES.nii.gz").write_bytes(bomb(32767, 32767, 1))  # claims one frame of a gigabyte
    arguments = ["camus", str(source), str(tmp_path / "out"), "--size", "32", "--workers", "1"]
    command = [sys.executable, "-c", MEASURE, *arguments]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split("MiB ")[1]) < 1024
    left_out = read_provenance(tmp_path / "out")["skipped"]
    assert "patient0001_4CH_ES" in left_out
    assert len(read_datalist(tmp_path / "out")) + len([name for name in left_out if "patient" in name]) == 2 * PATIENTS


@pytest.mark.parametrize(
    ("name", "file", "honest", "hostile"),
    [
        ("echonet-dynamic", "FileList.csv", "{clip}", "../../outside"),
        ("echonet-dynamic", "VolumeTracings.csv", "{clip}", "/etc/passwd"),
        ("unity", "labels/labels-train.json", "01-", "../../01-"),
        ("camus-2019", "training/patient0001/patient0001_4CH_ED.mhd", "patient0001_4CH_ED.raw", "../../../outside.raw"),
        ("camus", "database_split/subgroup_training.txt", "patient0001", "../../outside"),
    ],
)
def test_no_name_leads_outside(releases: Path, tmp_path: Path, name: str, file: str, honest: str, hostile: str):
    source = tmp_path / "deep" / "source"
    shutil.copytree(releases / name, source)
    if "{clip}" in honest:
        honest = sorted((source / "Videos").iterdir())[0].stem
    text = (source / file).read_text()
    assert honest in text
    (source / file).write_text(text.replace(honest, hostile))
    (source / "labels/labels-all.json").unlink(missing_ok=True)  # it names the images again
    (tmp_path / "outside.raw").write_bytes(bytes(10**6))
    before = files(tmp_path)
    out = source.parent / "out"
    message = attempt(READERS[name], source, out)
    if message:
        assert hostile in message
    else:
        assert len(read_datalist(out)) < 2 * PATIENTS
        assert read_provenance(out)["skipped"]
    after = files(tmp_path)
    assert {key: after.pop(key) for key in before} == before
    assert all(key.startswith(("deep/out/", "deep/out.partial/")) for key in after)

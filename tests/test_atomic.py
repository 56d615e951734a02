"""Every file that measurement writes is whole or missing."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage

from common.atomic import remove_partial_files, whole_file
from common.inference.dicom_seg import write_dicom_seg
from common.inference.label_map import write_label_map
from common.inference.overlay import Display, Moment, overlay_mp4, overlay_png

SPECKLE = np.random.default_rng(0).integers(0, 200, (3, 60, 80), dtype=np.uint8)  # does not compress
LABELS = np.zeros_like(SPECKLE)
LABELS[:, 10:50, 20:60] = SPECKLE[:, 10:50, 20:60] // 60
NAMES = ["background", "lv_cavity", "lv_myocardium", "left_atrium"]


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Limit files to `size` bytes: the system raises the error of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def label_map(out: Path) -> Path:
    (out.parents[1] / "clip.avi").touch()
    return write_label_map(LABELS, out.parents[1] / "clip.avi", out, (0.5, 0.5), 50.0)


def label_png(out: Path) -> Path:
    return write_label_map(LABELS[:1], Path("still.png"), out, None, None)


def dicom_seg(out: Path) -> Path:
    source = out.parents[1] / "source.dcm"
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundImageStorage, "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.4", "1.2.5"
    dataset.Rows, dataset.Columns = LABELS.shape[1:]
    if not source.exists():
        dataset.save_as(source, enforce_file_format=True)
    structures = dict.fromkeys(NAMES[1:], codes.SCT.AnatomicalStructure)
    return write_dicom_seg(LABELS[0], structures, source, out, "a", "1.0", "b")


def moments() -> tuple[list[Moment], Display]:
    return [Moment(frame, labels) for frame, labels in zip(SPECKLE, LABELS, strict=True)], Display(
        NAMES, np.ones(LABELS.shape[1:], bool), None
    )


def png(out: Path) -> Path:
    shown, display = moments()
    return overlay_png(shown[:1], display, out)


def mp4(out: Path) -> Path:
    return overlay_mp4(*moments(), 25.0, out)


WRITERS = [label_map, label_png, dicom_seg, png, mp4]


@pytest.mark.parametrize("write", WRITERS)
def test_a_writer_leaves_its_file_and_no_other(tmp_path: Path, write: Callable[[Path], Path]):
    folder = tmp_path / "results"
    folder.mkdir()
    path = write(folder / "1.2.840.heart")
    assert path.name.startswith("1.2.840.heart_")
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_is_reported_and_costs_nothing(tmp_path: Path, write: Callable[[Path], Path]):
    folder = tmp_path / "results"
    folder.mkdir()
    earlier = write(folder / "heart")
    content = earlier.read_bytes()
    for size in (0, len(content) // 2, len(content) - 64):  # the unique identifiers of a SEG vary by some bytes
        with full_disk(size), pytest.raises(OSError, match=rf"{earlier.name} could not be written.*Nothing was lost"):
            write(folder / "heart")
        assert list(folder.iterdir()) == [earlier]
        assert earlier.read_bytes() == content


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path, write: Callable[[Path], Path]):
    (tmp_path / "results").write_text("a file where a folder is expected")
    with pytest.raises(OSError, match=r"results/heart_.* could not be written \(Not a directory\).*a writable folder"):
        write(tmp_path / "results" / "heart")


def test_other_errors_pass_and_leave_no_part(tmp_path: Path):
    def stumble() -> None:
        with whole_file(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        stumble()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_the_earlier_file_until_the_new_one_is_whole(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with whole_file(path) as partial:
        partial.write_text("later")
        assert path.read_text() == "earlier"
        assert partial.suffix == ".txt"
    assert path.read_text() == "later"


def test_what_killed_processes_left_is_removed_beside_files_that_another_writes(tmp_path: Path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, written = (tmp_path / f".partial-{process}-examples.png" for process in (ended.pid, os.getppid()))
    for path in (left, written):
        path.touch()
    remove_partial_files(tmp_path, alone=False)
    assert list(tmp_path.iterdir()) == [written]
    remove_partial_files(tmp_path)
    assert list(tmp_path.iterdir()) == []

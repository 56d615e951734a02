"""Datasets that this project reads or draws. A new reader is one file and one line of `READERS`."""

from __future__ import annotations

__all__ = [
    "ATRIUM_LABELS",
    "DRAWN",
    "DRAWN_VOLUMES",
    "HEART_LABELS",
    "MOVED",
    "READERS",
    "VOLUME_READERS",
    "dataset_names",
]

# command -> module and help; the module has a function of the dataset's name, which is the command with "_" for "-",
# and may state OPTIONS (words -> arguments of argparse) and SECTOR (its images show more than the ultrasound sector)
READERS = {
    "camus": ("readers.camus", "CAMUS, the NIfTI release or the release of 2019"),
    "echonet-dynamic": ("readers.echonet_dynamic", "EchoNet-Dynamic"),
    "unity": ("readers.unity.reader", "Unity Imaging"),
}
VOLUME_READERS = {  # likewise
    "open-kbp": ("readers.open_kbp", "OpenKBP, the public release or as NIfTI"),
    "left-atrium": ("readers.left_atrium", "Left Atrium Segmentation Challenge 2018, as HDF5 of UA-MT or as NIfTI"),
    "nnunet": ("readers.nnunet", "a dataset in the layout of nnU-Net or of the Decathlon"),
}
DRAWN = ("camus_like", "unity_like", "echonet_like", "clinic_like", "screens")  # phantoms
DRAWN_VOLUMES = ("pelvis_supine", "pelvis_prone", "atrium_a", "atrium_b")
MOVED = "_moved"  # ends the name of a dataset on a simulated second scanner

# annotation values of CAMUS, which the reader of Unity and the phantom draw, too; entry i names the class of value i
HEART_LABELS = (("background",), ("lv_cavity",), ("lv_myocardium",), ("left_atrium",))

ATRIUM_LABELS = (("background",), ("left_atrium",))  # likewise, of the volumes of left atria, read or drawn


def dataset_names() -> list[str]:
    """Return the names of the datasets that this project can make, moved to a second scanner or not."""
    names = [*(name.replace("-", "_") for name in READERS), *DRAWN]
    volumes = [name.replace("-", "_") for name in VOLUME_READERS if name != "nnunet"]  # a layout of any dataset
    return [*names, *(name + MOVED for name in names), *volumes, "open_kbp_partial", *DRAWN_VOLUMES]

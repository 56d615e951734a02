"""Compare how fast patches of volumes are drawn and trained on with MONAI's way, and with the bare network.

    python -m benchmarks.training_3d                   # patches a second, and training; minutes
    python -m benchmarks.training_3d --volumes 1000    # memory and start-up of so many volumes

Volumes are phantoms of the pelvis, written to a temporary folder. The first line has training steps of MONAI's UNet on
batches of `ResidentVolumes` with the batch transforms of a bundle (label-set maps, affine, intensity, flip that
exchanges left and right) and the marginal loss, by a SupervisedTrainer, and bare steps of the same network on a
constant batch with cross entropy, in turns. The others have augmented patches a second without a network, in turns:
of the same loader, and of MONAI's `CacheDataset` with dictionary transforms that do the same to integer annotations,
each with 0, 1 and 2 workers. MONAI cuts both patches of a batch from one volume, which is its fastest way; ours draws a
patient for each.
"""

from __future__ import annotations

import argparse
import copy
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai import transforms as mt
from monai.data import CacheDataset, list_data_collate
from monai.engines import SupervisedTrainer
from monai.networks.nets import UNet
from torch.utils.data import DataLoader

from common.datasets import Intensity, ResidentVolumes
from common.datasets.phantom.pelvis import DOMAINS, PELVIS_LABELS, draw_pelvis
from common.engines import SeedEachEpoch
from common.label_sets import LabelSets
from common.losses import MarginalLoss
from common.transforms import EncodeLabelSetsd, RandAugmentVolumed, RandFlipd

CLASSES = [names[0] for names in PELVIS_LABELS]
LABELS = LabelSets(CLASSES, dict.fromkeys(DOMAINS, PELVIS_LABELS))
INTENSITY = Intensity([-200, 200], mean=-50.0, sd=110.0)
SIDES = [["left_femoral_head", "right_femoral_head"]]
BATCH = 2
DRAWN = 20  # different phantoms
AHEAD = 4  # batches that two workers make in advance


def write_volumes(folder: Path, count: int) -> list[dict[str, Any]]:
    """Write phantoms as a prepared folder has them; beyond `DRAWN`, copies under other names."""
    pelves = [draw_pelvis(list(DOMAINS)[number % 2], number) for number in range(min(count, DRAWN))]
    items = []
    for number in range(count):
        pelvis = pelves[number % len(pelves)]
        paths = {key: folder / f"{number}_{key}.nii" for key in ("image", "label")}
        for path, voxels in zip(paths.values(), (pelvis.image, pelvis.label), strict=True):
            nib.Nifti1Image(voxels, np.diag([*pelvis.spacing, 1])).to_filename(path)
        item = {"dataset": list(DOMAINS)[number % 2], "patient": str(number), "spacing": list(pelvis.spacing)}
        items.append({**item, "size": list(pelvis.image.shape), **{key: str(path) for key, path in paths.items()}})
    return items


def own_loader(
    data: list[dict[str, Any]], side: int, patches: int, device: torch.device, workers: int = 0
) -> tuple[DataLoader[Any], list[Any]]:
    """Return the loader of this project, and what needs seeds."""
    dataset = ResidentVolumes(data, LABELS, [side] * 3, patches, INTENSITY, device=device)
    steps = mt.Compose(
        [
            EncodeLabelSetsd(LABELS),
            RandAugmentVolumed(rotation=(10, 10, 10), scale=0.1),
            RandFlipd(0, CLASSES, exchanged=SIDES),
        ]
    )
    persistent = workers > 0
    loader = DataLoader(dataset, BATCH, collate_fn=steps, num_workers=workers, persistent_workers=persistent)
    return loader, [steps, dataset]


def monai_loader(data: list[dict[str, Any]], side: int, workers: int) -> DataLoader[Any]:
    """Return MONAI's way: what does not vary is cached, indices of the classes included."""
    both = ["image", "label"]
    steps = [
        mt.LoadImaged(both),
        mt.EnsureChannelFirstd(both),
        mt.ScaleIntensityRanged("image", -200, 200, -1.36, 2.27, clip=True),
        mt.ClassesToIndicesd("label", num_classes=len(CLASSES)),
        mt.RandCropByLabelClassesd(
            both, "label", [side] * 3, num_classes=len(CLASSES), num_samples=BATCH, indices_key="label_cls_indices"
        ),
        mt.RandAffined(
            both,
            prob=1.0,
            rotate_range=[np.pi / 18] * 3,
            scale_range=[0.1] * 3,
            mode=["bilinear", "nearest"],
            padding_mode=["border", "zeros"],
        ),
        mt.RandFlipd(both, prob=0.5, spatial_axis=0),
        mt.RandScaleIntensityd("image", 0.1, prob=1.0),
        mt.RandShiftIntensityd("image", 0.1, prob=1.0),
    ]
    files = [{key: item[key] for key in both} for item in data]
    dataset = CacheDataset(files, mt.Compose(steps), num_workers=1, progress=False)
    return DataLoader(
        dataset,
        batch_size=1,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=list_data_collate,
    )


def patches_per_second(batches: Iterator[Any], count: int, device: torch.device) -> float:
    """Return the rate of the next batches, on the device, after those that workers made in advance."""
    for _ in islice(batches, AHEAD):
        pass
    start = time.perf_counter()
    for batch in islice(batches, count):
        image, label = batch["image"].to(device), batch["label"].to(device)
        if image.shape[0] != BATCH or label.shape[2:] != image.shape[2:]:
            raise RuntimeError(f"expected batches of {BATCH}, got {tuple(image.shape)} and {tuple(label.shape)}.")
    _synchronize(device)
    return BATCH * count / (time.perf_counter() - start)


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield batches of one epoch after the other."""
    while True:
        yield from loader


def compare_patches(data: list[dict[str, Any]], side: int, turns: int, device: torch.device) -> None:
    """Print augmented patches a second, and the ratio to MONAI's best."""
    numbers = (0, 1, 2) if device.type == "cpu" else (0,)  # volumes on a GPU are cut and augmented there
    ways = {}
    for workers in numbers:
        loader, random = own_loader(data, side, 10_000, device, workers)
        random[-1].set_key(0)
        ways[f"resident, {workers} workers"] = endless(loader)
    ways |= {f"MONAI, {workers} workers": endless(monai_loader(data, side, workers)) for workers in (0, 1, 2)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, batches in ways.items():
            rate = patches_per_second(batches, 4 if turn == 0 else 20, device)
            rates[name] += [rate] if turn else []  # the first warms up
    middle = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in middle.items():
        print(f"{name:20} {rate:8.1f} patches/s")
    own, other = (
        [max(values) for values in zip(*(rates[name] for name in rates if name.startswith(start)), strict=True)]
        for start in ("resident", "MONAI")
    )
    ratio = statistics.median(one / best for one, best in zip(own, other, strict=True))
    print(f"{ratio:.1f} times MONAI's, each with its best number of workers (median of {turns} turns)")


def compare_training(data: list[dict[str, Any]], side: int, steps: int, turns: int, device: torch.device) -> None:
    """Print training steps a second beside bare steps."""
    torch.manual_seed(0)
    network = UNet(3, 1, len(CLASSES), channels=[16, 32, 64, 128], strides=[2, 2, 2], num_res_units=2, norm="batch")
    network, loss = network.to(device, memory_format=torch.channels_last_3d), MarginalLoss()
    twin = copy.deepcopy(network)
    loader, random = own_loader(data, side, BATCH * steps, device)
    optimizers = [torch.optim.SGD(one.parameters(), 1e-3, momentum=0.9) for one in (network, twin)]
    trainer = SupervisedTrainer(
        device, 1, loader, network, optimizers[0], loss, decollate=False, train_handlers=[SeedEachEpoch(0, random)]
    )
    batch = next(iter(loader))
    image, label = batch["image"], batch["label"][:, 0].long() % len(CLASSES)
    seconds: list[tuple[float, float]] = []
    for turn in range(turns + 1):
        trainer.state.max_epochs = turn + 1
        start = time.perf_counter()
        trainer.run()
        _synchronize(device)
        middle = time.perf_counter()
        for _ in range(steps):
            optimizers[1].zero_grad()
            torch.nn.functional.cross_entropy(twin(image), label).backward()
            optimizers[1].step()
        _synchronize(device)
        seconds.append((middle - start, time.perf_counter() - middle))
    own, bare = zip(*seconds[1:], strict=True)
    ratio = statistics.median(bare / own for own, bare in seconds[1:])
    print(
        f"training {steps / statistics.median(own):.2f} steps/s, bare {steps / statistics.median(bare):.2f} steps/s, "
        f"ratio {ratio:.2f} (median of {turns} turns)"
    )


def start_up(data: list[dict[str, Any]], side: int, device: torch.device) -> None:
    """Print memory and seconds of holding volumes, and of mapping them."""
    voxels = sum(int(np.prod(item["size"])) for item in data)
    print(f"{len(data)} volumes, {voxels / 1e6:.0f} million voxels, {3 * voxels / 2**30:.2f} GiB in int16 and uint8")
    for memory in (0.0, None):
        before, start = _resident_memory(), time.perf_counter()
        dataset = ResidentVolumes(data, LABELS, [side] * 3, 1000, INTENSITY, memory=memory, device=device)
        ready, more = time.perf_counter() - start, _resident_memory() - before
        dataset.set_key(0)
        loader = DataLoader(dataset, batch_size=BATCH)
        rate = patches_per_second(iter(DataLoader(dataset, batch_size=BATCH, collate_fn=dict)), 50, device)
        del loader, dataset
        print(
            f"{'held' if memory is None else 'mapped':7} ready in {ready:.1f} s, {more / 2**30:.2f} GiB more memory, "
            f"then {rate:.0f} patches/s before augmentation"
        )


def _resident_memory() -> int:
    """Return the bytes that this process holds now (Linux), or held at most."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(one for one in status.read_text().splitlines() if one.startswith("RssAnon"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure in turns and print ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_3d",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--volumes", type=int, help="measure memory and start-up of this many volumes instead")
    parser.add_argument("--patients", type=int, default=20, help="of the comparisons (%(default)s)")
    parser.add_argument("--side", type=int, default=48, help="voxels a side of the patches (%(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="of a turn of training (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="after one that warms up (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of torch in each process (%(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        data = write_volumes(Path(folder), arguments.volumes or arguments.patients)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {device}")
        if arguments.volumes:
            start_up(data, arguments.side, device)
        else:
            compare_training(data, arguments.side, arguments.steps, arguments.turns, device)
            compare_patches(data, arguments.side, arguments.turns, device)
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()

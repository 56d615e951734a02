"""Prepare datasets, draw the phantom, check prepared folders."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..command import command
from .catalogue import READERS, VOLUME_READERS
from .prepared.layout import OWN, PROVENANCE
from .prepared.source import Source

__all__ = ["main"]

EXAMPLES = (
    "phantom OUT",
    "organs OUT --classes liver spleen kidney",
    "pelvis OUT",
    "atria OUT",
    f"{{{','.join(READERS)}}} SOURCE OUT",
    "folder SOURCE OUT --description mine.yaml",
    "volumes SOURCE OUT --description mine.yaml",
    f"{{{','.join(VOLUME_READERS)}}} SOURCE OUT",
    "export-nnunet PREPARED OUT",
    "moved PREPARED OUT",
    "check OUT...",
)
NOT_CONTENT = {"out", "workers", "strict"}  # arguments that do not affect the content
SHOWN = 5  # images left out that are printed; provenance.json lists all


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=command("datasets"),
        description="\n".join([str(__doc__), "", *(command(f"datasets {example}") for example in EXAMPLES)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = parser.add_subparsers(dest="name", required=True)

    written = argparse.ArgumentParser(add_help=False)
    written.add_argument("--workers", type=int, default=0, help="processes; 0 starts one per core")
    written.add_argument("out", type=Path, metavar="OUT", help="the prepared folder to create, or to bring up to date")
    drawn = argparse.ArgumentParser(add_help=False, parents=[written])
    drawn.add_argument("--size", type=int, default=256, help="rows and columns of the images (%(default)s)")
    output = argparse.ArgumentParser(add_help=False, parents=[written])
    output.add_argument(
        "--size",
        type=_size,
        default=256,
        help="rows and columns of the prepared images, or own: each keeps its own, training resizes once (%(default)s)",
    )
    seeded = argparse.ArgumentParser(add_help=False)
    seeded.add_argument("--seed", type=int, default=0)
    read = argparse.ArgumentParser(add_help=False)
    read.add_argument("source", type=Path, metavar="SOURCE", help="the folder of the dataset")
    read.add_argument("--strict", action="store_true", help="stop at the first unreadable image")
    sector = argparse.ArgumentParser(add_help=False)
    sector.add_argument(
        "--sector",
        choices=("auto", "fit", "off"),
        default="auto",
        help="blacken pixels outside the ultrasound sector: fit finds it by geometry, auto uses a network if the "
        "fit is not confident (auto)",
    )
    sector.add_argument(
        "--sector-bundle", type=Path, default=Path("bundles/sector_segmentation"), help="of the network (%(default)s)"
    )

    phantom = names.add_parser("phantom", parents=[drawn, seeded], help="draw the phantom")
    phantom.add_argument("--patients", type=int, default=100, help="number in each scanner domain (%(default)s)")
    phantom.add_argument("--domain", action="append", help="scanner domain, may be repeated (all)")
    screens = names.add_parser("screens", parents=[drawn, seeded], help="draw phantom screens for sector_segmentation")
    screens.add_argument("--patients", type=int, default=1000, help="number of screens (%(default)s)")
    organs = names.add_parser(
        "organs", parents=[drawn, seeded], help="draw organs of any names; each site annotates one of them"
    )
    organs.add_argument("--classes", nargs="+", required=True, metavar="CLASS", help="names of the organs")
    organs.add_argument("--sites", type=int, help="number of sites (one for each class)")
    organs.add_argument("--patients", type=int, default=20, help="number at each site (%(default)s)")
    pelvis = names.add_parser("pelvis", parents=[written, seeded], help="draw CT volumes of pelves, supine and prone")
    pelvis.add_argument("--patients", type=int, default=40, help="number in each domain (%(default)s)")
    pelvis.add_argument("--spacing", type=float, default=4.0, metavar="MM", help="of the voxels (%(default)s)")
    atria = names.add_parser("atria", parents=[written, seeded], help="draw MRI of left atria from two scanners")
    atria.add_argument("--patients", type=int, default=40, help="number at each scanner (%(default)s)")
    atria.add_argument("--spacing", type=float, default=2.0, metavar="MM", help="of the voxels (%(default)s)")
    for name, (place, about) in READERS.items():
        # readers need different libraries: import only the requested one
        module = import_module(f".{place}", __package__) if name in sys.argv else None
        parents = [read, output, sector] if getattr(module, "SECTOR", False) else [read, output]
        reader = names.add_parser(name, parents=parents, help=about)
        for option, facts in getattr(module, "OPTIONS", {}).items():
            reader.add_argument(option, **facts)
    folder = names.add_parser("folder", parents=[read, output, sector], help="your own images and masks")
    folder.add_argument("--description", type=Path, required=True, help="YAML with files, values and licence")
    at = argparse.ArgumentParser(add_help=False)
    at.add_argument("--spacing", type=float, nargs="+", metavar="MM", help="resample to mm along x y z (each its own)")
    at.add_argument("--window", type=int, nargs=2, metavar=("LOW", "HIGH"), help="clip values beyond (keep all)")
    for name, (_, about) in VOLUME_READERS.items():
        names.add_parser(name, parents=[read, at, written], help=about)
    volumes = names.add_parser("volumes", parents=[read, written], help="your own volumes and masks")
    volumes.add_argument("--description", type=Path, required=True, help="YAML with files, values, spacing and window")
    prepared = argparse.ArgumentParser(add_help=False)
    prepared.add_argument("prepared", type=Path, metavar="PREPARED", help="a prepared folder; it is not changed")
    moved = names.add_parser(
        "moved", parents=[prepared, written, seeded], help="simulate a second scanner for a fraction of the patients"
    )
    moved.add_argument("--share", type=float, default=0.5, help="fraction of the patients of each fold (%(default)s)")
    moved.add_argument("--size", type=_size, help="rows and columns, or own (as PREPARED)")
    export = names.add_parser(
        "export-nnunet", parents=[prepared], help="write a prepared folder of volumes in the layout of nnU-Net"
    )
    export.add_argument("out", type=Path, metavar="OUT", help="the folder to create, such as Dataset101_Clinic")
    check = names.add_parser("check", help="find leaks, damage and implausible annotations in prepared folders")
    check.add_argument("out", type=Path, nargs="+", metavar="OUT", help="prepared folders, checked together")
    check.add_argument("--page", type=Path, default=Path("check.html"), help="HTML with thumbnails (%(default)s)")
    return parser.parse_args()


def _size(given: str) -> int | str:
    return OWN if given == OWN else int(given)


def _source(arguments: argparse.Namespace) -> Source:
    if arguments.name in READERS:
        module = import_module(f".{READERS[arguments.name][0]}", __package__)
        options = [option.lstrip("-").replace("-", "_") for option in getattr(module, "OPTIONS", {})]
        read = getattr(module, arguments.name.replace("-", "_"))
        source: Source = read(arguments.source, **{option: getattr(arguments, option) for option in options})
        return source
    match arguments.name:
        case "phantom":
            from .phantom.dataset import phantom
            from .phantom.study import DOMAINS

            return phantom(arguments.size, arguments.patients, arguments.domain or tuple(DOMAINS), arguments.seed)
        case "organs":
            from .phantom.organs import organs

            return organs(arguments.size, arguments.classes, arguments.sites, arguments.patients, arguments.seed)
        case "screens":
            from .phantom.screens import phantom_screens

            return phantom_screens(arguments.size, arguments.patients, arguments.seed)
        case "moved":
            from .phantom.second_scanner_dataset import moved

            return moved(arguments.prepared, arguments.share, arguments.seed)
        case _:
            from .readers.own_folder.reader import folder

            return folder(arguments.source, arguments.description)


def _prepare(arguments: argparse.Namespace) -> None:
    request = {key: str(value) for key, value in sorted(vars(arguments).items()) if key not in NOT_CONTENT}
    out: Path = arguments.out
    if "source" in arguments and not arguments.source.is_dir():
        sys.exit(f"{arguments.source} is not a directory; SOURCE is the folder of the unpacked dataset.")
    of_volumes = arguments.name in ("pelvis", "atria", "volumes", *VOLUME_READERS)
    source, items = (_volumes if of_volumes else _pictures)(arguments, request)
    folds = Counter(item["fold"] for item in items)
    print(f"{out}: {len(items)} images ({', '.join(f'{count} {fold}' for fold, count in folds.items())})")
    for name, reason in list(source.skipped.items())[:SHOWN]:
        print(f"  left out: {name}, {reason}")
    if len(source.skipped) > SHOWN:
        print(f"  and {len(source.skipped) - SHOWN} more: {out / PROVENANCE}")
    if unused := source.facts.get("columns_left_out"):
        from .readers.own_folder.reader import COLUMNS
        from .readers.own_folder.records import unused_columns
        from .readers.own_volumes.reader import VOLUME_COLUMNS

        known = VOLUME_COLUMNS if arguments.name == "volumes" else COLUMNS
        print(f"  columns not used: {unused_columns(unused, known)}; list a column under 'keep' to copy it")


def _pictures(arguments: argparse.Namespace, request: Mapping[str, str]) -> tuple[Source, list[dict[str, Any]]]:
    from .prepared.preparation import prepare

    source = _source(arguments)
    source.facts["request"] = request
    choice = _sector(arguments, source)
    finder = None
    if choice != "off":
        from .sector.finder import SectorFinder

        finder = SectorFinder(arguments.sector_bundle if choice == "auto" else None)
    strict = getattr(arguments, "strict", False)
    size = source.facts["origin"]["size"] if arguments.size is None else arguments.size
    return source, prepare(source, arguments.out, None if size == OWN else size, arguments.workers, strict, finder)


def _volumes(arguments: argparse.Namespace, request: Mapping[str, str]) -> tuple[Source, list[dict[str, Any]]]:
    from .volumes.form import prepare_volumes
    from .volumes.volume import checked_spacing, checked_window

    if arguments.name == "volumes":
        from .readers.own_volumes.description import read_volumes_description
        from .readers.own_volumes.reader import volumes

        about = read_volumes_description(arguments.description)
        source, spacing, window = volumes(arguments.source, about), about.spacing, about.window
    elif arguments.name == "pelvis":
        from .phantom.pelvis_dataset import WINDOW, pelves

        source = pelves(arguments.patients, arguments.spacing, arguments.seed)
        spacing, window = (arguments.spacing,) * 3, WINDOW
    elif arguments.name == "atria":
        from .phantom.atrium_dataset import atria

        source = atria(arguments.patients, arguments.spacing, arguments.seed)
        spacing, window = (arguments.spacing,) * 3, None
    else:
        module = import_module(f".{VOLUME_READERS[arguments.name][0]}", __package__)
        source = getattr(module, arguments.name.replace("-", "_"))(arguments.source)
        lengths = arguments.spacing
        spacing = checked_spacing(lengths[0] if lengths and len(lengths) == 1 else lengths)
        window = checked_window(arguments.window)
    source.facts["request"] = request
    strict = getattr(arguments, "strict", False)
    return source, prepare_volumes(source, arguments.out, spacing, window, arguments.workers, strict)


def _sector(arguments: argparse.Namespace, source: Source) -> str:
    """Return how to find the ultrasound sector: other modalities have none."""
    choice: str = getattr(arguments, "sector", "off")
    modality = source.facts.get("modality", "US")
    if modality == "US":
        return choice
    if choice == "fit":
        raise ValueError(f"--sector fit needs ultrasound, but the description states the modality {modality}.")
    return "off"


def _export(arguments: argparse.Namespace) -> None:
    from .volumes.export_nnunet import export_nnunet

    print(f"{arguments.out}: {export_nnunet(arguments.prepared, arguments.out)} volumes in the layout of nnU-Net")


def _check(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from .checks.check import check
    from .checks.page import terminal_tables, write_page

    report = check(arguments.out)
    for table in terminal_tables(report):
        Console().print(table)
    write_page(report, arguments.page)
    print(f"Thumbnails of suspicious images: {arguments.page}")
    sys.exit(int(report.counts["error"] > 0))


def main() -> None:
    """Run the command line; repeating a preparation resumes it, or prepares again what has changed."""
    arguments = _arguments()
    work = {"check": _check, "export-nnunet": _export}.get(arguments.name, _prepare)
    try:
        work(arguments)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{arguments.name}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"\n{arguments.name}: interrupted; finished images are kept; run the same command again.")


if __name__ == "__main__":
    main()

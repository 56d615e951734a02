"""Prepare a dataset: `python -m common.datasets phantom OUT` or `python -m common.datasets camus SOURCE OUT`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.datasets.prepared import PROVENANCE, Source, prepare, read_provenance

__all__ = ["main"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m common.datasets", description=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--size", type=int, default=256, help="pixels a side of the prepared images (256)")
    shared.add_argument("--workers", type=int, default=0, help="processes; 0 takes one a core")
    names = parser.add_subparsers(dest="name", required=True)
    phantom = names.add_parser("phantom", parents=[shared], help="draw the phantom")
    phantom.add_argument("--patients", type=int, default=100, help="in each scanner domain (100)")
    phantom.add_argument("--domain", action="append", help="a scanner domain; can be repeated (all)")
    phantom.add_argument("--seed", type=int, default=0)
    camus = names.add_parser("camus", parents=[shared], help="the NIfTI release of CAMUS")
    camus.add_argument("source", type=Path, metavar="SOURCE", help="holds database_nifti and database_split")
    camus.add_argument("--skip-incomplete", action="store_true", help="leave out images whose files are missing")
    for sub in (phantom, camus):
        sub.add_argument("out", type=Path, metavar="OUT", help="the prepared folder to make")
    return parser.parse_args()


def _source(arguments: argparse.Namespace) -> Source:
    # each reader brings its own libraries: import the one that is asked for
    if arguments.name == "phantom":
        from common.datasets.phantom import DOMAINS
        from common.datasets.phantom_set import phantom

        return phantom(arguments.size, arguments.patients, arguments.domain or tuple(DOMAINS), arguments.seed)
    from common.datasets.camus import camus

    return camus(arguments.source, skip_incomplete=arguments.skip_incomplete)


def main() -> None:
    """Prepare the dataset that the command line names; the same command again finds it done."""
    arguments = _arguments()
    # what decides the content
    request = {key: str(value) for key, value in sorted(vars(arguments).items()) if key not in {"out", "workers"}}
    out: Path = arguments.out
    if out.exists():
        made = read_provenance(out).get("request") if (out / PROVENANCE).is_file() else None
        if made == request:
            print(f"{out} is prepared already.")
            return
        sys.exit(f"{out} exists and was not made by this command ({made}); remove it or choose another folder.")
    try:
        source = _source(arguments)
        source.facts["request"] = request
        items = prepare(source, out, arguments.size, arguments.workers)
    except (OSError, ValueError) as error:
        sys.exit(f"{arguments.name}: {error}")
    folds = {fold: sum(item["fold"] == fold for item in items) for fold in dict.fromkeys(i["fold"] for i in items)}
    print(f"{out}: {len(items)} images ({', '.join(f'{count} {fold}' for fold, count in folds.items())})")
    for name, reason in source.skipped.items():
        print(f"  left out: {name}, {reason}")


if __name__ == "__main__":
    main()

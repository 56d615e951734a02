"""Draw the phantom in the on-disk layout of a public dataset: python -m tests.layouts camus OUT."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import LAYOUTS


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.layouts", description=__doc__)
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to create")
    parser.add_argument("--patients", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        LAYOUTS[arguments.layout](arguments.out, arguments.patients, arguments.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"{arguments.layout}: {error}")
    print(f"{arguments.out}: {arguments.patients} phantom patients in the layout of {arguments.layout}")


if __name__ == "__main__":
    main()

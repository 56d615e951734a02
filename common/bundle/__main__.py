"""Publish a bundle, or write its complete configurations.

With BUNDLE OUT, write the published form of a bundle.
With --complete BUNDLE ..., join configs/bundle.yaml with the shared workflows into configs/<workflow>.yaml. A
top-level block of the bundle replaces the block of the workflow; comments are kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..command import command
from .complete import write_complete
from .publish import publish

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog=command("bundle"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="BUNDLE OUT, or bundles after an option")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--complete", action="store_true", help="write the complete configurations of the bundles")
    mode.add_argument("--check", action="store_true", help="write nothing; fail if a complete configuration is stale")
    arguments = parser.parse_args()
    if not arguments.complete and not arguments.check:
        if len(arguments.paths) != 2:
            parser.error(f"publishing needs a bundle and a folder to create: {command('bundle BUNDLE OUT')}")
        bundle, out = arguments.paths
        try:
            publish(bundle, out)
        except OSError as error:
            sys.exit(str(error))
        wanted = (out / "configs" / "inference.json").is_file() and not (out / "models" / "model.pt").is_file()
        print(f"wrote {out}" + (f"; add {out / 'models' / 'model.pt'}" if wanted else ""))
        return
    try:
        changed = [path for bundle in arguments.paths for path in write_complete(bundle, arguments.check)]
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    for path in changed:
        print(f"{'stale' if arguments.check else 'wrote'} {path}")
    if arguments.check and changed:
        sys.exit("run 'make bundles'")


if __name__ == "__main__":
    main()

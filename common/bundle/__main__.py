"""The forms of a bundle: complete where it is read, self-contained when published.

With --complete BUNDLE ..., write configs/<workflow>.yaml from configs/bundle.yaml and workflows/<workflow>.yaml,
including comments; a top-level block that the bundle defines replaces the workflow's.
With BUNDLE OUT, write the published form.
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
    """Publish a bundle, or write or check complete configurations."""
    parser = argparse.ArgumentParser(prog=command("bundle"), description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="BUNDLE OUT, or bundles with an option")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--complete", action="store_true", help="write the complete configurations of the bundles")
    mode.add_argument("--check", action="store_true", help="change nothing; fail if a complete configuration is stale")
    arguments = parser.parse_args()
    if not arguments.complete and not arguments.check:
        if len(arguments.paths) != 2:
            parser.error(f"publishing takes a bundle and the folder to create: {command('bundle BUNDLE OUT')}")
        bundle, out = arguments.paths
        try:
            files = publish(bundle, out)
        except OSError as error:
            sys.exit(str(error))
        weights = out / "models" / "model.pt"
        print(f"{out}: {len(files)} files of code in scripts" + ("" if weights.is_file() else f"; add {weights}"))
        return
    stale = [path for bundle in arguments.paths for path in write_complete(bundle, arguments.check)]
    for path in stale:
        print(f"{'stale' if arguments.check else 'wrote'} {path}")
    if arguments.check and stale:
        sys.exit("run 'make bundles'")


if __name__ == "__main__":
    main()

"""Publish a bundle, complete or check its configurations, or begin a new one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..command import command
from .complete import write_complete
from .new import new_bundle
from .publish import publish

__all__ = ["main"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=command("bundle"), description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    publishing = names.add_parser("publish", help="write the self-contained form that the model zoo uses")
    publishing.add_argument("bundle", type=Path, metavar="BUNDLE")
    publishing.add_argument("out", type=Path, metavar="OUT", help="folder to create; its name names the bundle")
    completing = names.add_parser("complete", help="join bundle.yaml with the shared workflows into complete files")
    checking = names.add_parser("check", help="write nothing; fail if a complete file is stale")
    for one in (completing, checking):
        one.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    beginning = names.add_parser("new", help="begin a bundle, with all its files, that trains on a drawn phantom")
    beginning.add_argument("bundle", metavar="NAME", help="lower-case words joined by underscores")
    beginning.add_argument("--like", required=True, metavar="BUNDLE", help="take network and hyper-parameters from it")
    beginning.add_argument(
        "--classes", required=True, nargs="+", metavar="CLASS", help="to segment, without background"
    )
    beginning.add_argument("--folder", type=Path, default=Path("bundles"), help="to create it in (%(default)s)")
    return parser.parse_args()


def _publish(bundle: Path, out: Path) -> None:
    publish(bundle, out)
    wanted = (out / "configs" / "inference.json").is_file() and not (out / "models" / "model.pt").is_file()
    print(f"wrote {out}" + (f"; add model.pt and model.json of a training to {out / 'models'}" if wanted else ""))


def _complete(bundles: list[Path], check: bool) -> None:
    changed = {bundle: paths for bundle in bundles if (paths := write_complete(bundle, check))}
    for path in (path for paths in changed.values() for path in paths):
        print(f"{'stale' if check else 'wrote' if path.exists() else 'removed'} {path}")
    if check and changed:
        sys.exit(f"run '{command('bundle complete')} {' '.join(map(str, changed))}'")


def main() -> None:
    """Run the command."""
    arguments = _arguments()
    try:
        if arguments.name == "publish":
            _publish(arguments.bundle, arguments.out)
        elif arguments.name == "new":
            bundle = new_bundle(arguments.bundle, arguments.like, arguments.classes, arguments.folder)
            print(f"wrote {bundle}; {bundle / 'docs' / 'README.md'} shows its commands")
        else:
            _complete(arguments.bundles, check=arguments.name == "check")
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

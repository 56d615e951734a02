"""Run the experiments of the papers, report the results, and check the claims of the papers."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..command import command
from ..configuration import given_settings, without_password

__all__ = ["main"]

EXAMPLES = (
    "run bundles/echo_inter_domain --scale demo",
    "run bundles/echo_segmentation --scale demo --data data/clinic --learning_rate 0.01",
    "report bundles/echo_inter_domain --scale demo",
    "claims --scale demo",
)
URI = "sqlite:///runs/mlflow.db"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=command("experiments"),
        description="\n".join([str(__doc__), "", *(command(f"experiments {example}") for example in EXAMPLES)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = parser.add_subparsers(dest="name", required=True)
    scale = argparse.ArgumentParser(add_help=False)
    scales = "smoke (a minute), demo (small, 3 seeds) or paper (GPUs); default: demo"
    scale.add_argument("--scale", default="demo", help=scales)
    run = names.add_parser(
        "run",
        parents=[scale],
        help="run the grid of a bundle, or continue it",
        epilog='Further options are settings of every training: --train_on clinic --withheld "{clinic: [lv]}"',
        allow_abbrev=False,
    )
    run.add_argument("bundle", type=Path, metavar="BUNDLE")
    run.add_argument(
        "--data", type=Path, nargs="+", action="extend", default=[], help="prepared folders (default: a phantom)"
    )
    folds = "that is evaluated (default: test); validation where test patients are held back"
    run.add_argument("--fold", choices=("test", "validation"), default="test", help=folds)
    place = run.add_mutually_exclusive_group()
    place.add_argument("--workers", type=int, default=0, help="trainings in parallel (default: one per core)")
    place.add_argument("--address", help="address of a Ray cluster, such as ray://host:10001")
    report = names.add_parser("report", parents=[scale], help="write figures and tables of a bundle's results")
    report.add_argument("bundle", type=Path, metavar="BUNDLE")
    report.add_argument("--out", type=Path, help="folder to write (default: beside the runs)")
    claims = names.add_parser("claims", parents=[scale], help="compare the claims of the papers with the results")
    claims.add_argument("bundles", type=Path, nargs="*", metavar="BUNDLE", help="(default: all bundles)")
    arguments, rest = parser.parse_known_args()
    if rest and (arguments.name != "run" or not rest[0].startswith("--")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        arguments.settings = given_settings(rest)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _run(arguments: argparse.Namespace) -> None:
    from .run import run_grid

    place = (arguments.data, arguments.workers, arguments.address)
    outcome = run_grid(arguments.bundle, arguments.scale, *place, arguments.settings, arguments.fold)
    print(f"{outcome.finished} results, {outcome.skipped} of them from earlier runs")
    for name, reason in outcome.failed.items():
        print(f"  failed: {name}: {reason}")
    if outcome.failed:
        sys.exit(f"{len(outcome.failed)} trainings failed; run the same command to repeat them.")
    if (arguments.bundle / "configs" / "report.yaml").is_file():
        print(f"Report: {command(f'experiments report {arguments.bundle} --scale {arguments.scale}')}")


def _report(arguments: argparse.Namespace) -> None:
    from ..tracking import tracking_uri
    from .reports.report import report

    print(report(arguments.bundle, arguments.scale, tracking_uri(URI), arguments.out))


def _claims(arguments: argparse.Namespace) -> None:
    from ..tracking import tracking_uri
    from .reports.claims.claims import claims

    found = arguments.bundles or sorted(path.parents[1] for path in Path("bundles").glob("*/configs/report.yaml"))
    claims(found, arguments.scale, tracking_uri(URI))


def main() -> None:
    """Run the command."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    arguments = _arguments()
    try:
        {"run": _run, "report": _report, "claims": _claims}[arguments.name](arguments)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{arguments.name}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"\n{arguments.name}: interrupted; finished trainings are kept, and the same command continues.")
    except Exception as error:
        if not type(error).__module__.startswith("mlflow"):  # MLflow takes a second to import, also for --help
            raise
        from ..tracking import tracking_uri
        from ..tracking.delivery import cause

        fault = f"MLflow at {without_password(tracking_uri(URI))}: {cause(error)}"
        sys.exit(f"{arguments.name}: {fault}; repeat when it answers, or name another with MLFLOW_TRACKING_URI.")


if __name__ == "__main__":
    main()

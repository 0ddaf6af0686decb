"""The command line of reports: `python -m report runs|check|tables|figures|page|compare …`."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from diffclip.errors import UserError
from diffclip.study import figures as names
from report.collect import collect
from report.study import read_study


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, or 2 for what a user can mend."""
    logging.basicConfig(format="%(message)s")
    # Only ours: at this level, libraries tell of every letter that they put into a PDF.
    logging.getLogger("report").setLevel(logging.INFO)
    # A figure is a tree of thousands of small objects that are all needed until it is written: looking for garbage
    # among them as often as Python does by default takes a seventh of the time.
    gc.set_threshold(200_000, 20, 100)
    options = _parser().parse_args(arguments)
    try:
        for made in options.make(options):
            sys.stdout.write(f"{made}\n")
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--study", type=Path, required=True, help="the study's folder, results/NAME")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--scene", help="only this scene; default: all of the study's")
    chosen.add_argument("--protocol", help="only this protocol; default: all of the study's")

    runs = commands.add_parser("runs", parents=[common], help="records -> runs.csv, one row per run")
    runs.set_defaults(make=_runs)
    check = commands.add_parser(
        "check",
        parents=[common],
        help="stored predictions against records -> predictions.csv",
    )
    check.set_defaults(make=_check)
    tables = commands.add_parser("tables", parents=[common, chosen], help="runs.csv -> tables (.md, .tex, .csv, .html)")
    tables.add_argument("--overviews", action="store_true", help="only the tables over all scenes")
    tables.set_defaults(make=_tables)
    figures = commands.add_parser("figures", parents=[common, chosen], help="runs.csv -> figures (.pdf, .png)")
    figures.add_argument(
        "--kind", choices=names.KINDS, action="append", help="only this kind, may be repeated; default: all"
    )
    figures.add_argument("--sweep", metavar="NAME", help="only this sweep; default: all of the study's")
    figures.add_argument("--method", help="only inspected runs of this method; default: all of the study's")
    figures.add_argument("--variant", help="only inspected runs of this variant; default: all of the study's")
    figures.add_argument("--overviews", action="store_true", help="only the figures over all scenes")
    figures.set_defaults(make=_figures)
    page = commands.add_parser("page", parents=[common], help="runs.csv, tables and figures -> index.html, one page")
    page.set_defaults(make=_page)
    compare = commands.add_parser("compare", help="two studies side by side, as Markdown here and as files")
    compare.add_argument("first", type=Path, metavar="A", help="a study's folder: before")
    compare.add_argument("second", metavar="B", help="another's: after; or 'published' for published numbers")
    compare.add_argument(
        "--metric", choices=("oa", "aa", "kappa"), help="default: oa; published numbers are shown with their own"
    )
    compare.add_argument(
        "--out", type=Path, default=Path("results/comparisons"), help="folder of the files; default: %(default)s"
    )
    compare.set_defaults(make=_compare)
    publish = commands.add_parser(
        "publish", parents=[common], help="keep runs, tables and figures; refresh pages that show them"
    )
    publish.set_defaults(make=_publish)
    return parser


def _runs(options: argparse.Namespace) -> Iterable[Path]:
    return [collect(read_study(options.study))]


# What a command needs is imported by it: pandas and matplotlib take longer to load than `runs` takes.
def _check(options: argparse.Namespace) -> Iterable[Path]:
    from report.predictions import check

    return [check(read_study(options.study))]


def _refuse_choice(options: argparse.Namespace, *keys: str) -> None:
    """See that nothing is chosen among what single scenes have where only what is over all scenes is asked for."""
    given = [key for key in keys if getattr(options, key) is not None]
    if options.overviews and given:
        raise UserError(f"--{given[0]}: found it beside --overviews, which is of all scenes; leave one of both out")


def _tables(options: argparse.Namespace) -> Iterable[Path]:
    from report.frame import read_runs
    from report.tables import make_overviews, make_tables

    _refuse_choice(options, "scene", "protocol")
    study = read_study(options.study)
    runs = read_runs(study)
    if not options.overviews:
        yield from make_tables(study, runs, options.scene, options.protocol)
    if options.overviews or (options.scene is None and options.protocol is None):
        yield from make_overviews(study, runs)


def _figures(options: argparse.Namespace) -> Iterable[Path]:
    from report.figures import make_figures, make_overview_figures
    from report.frame import read_runs

    _refuse_choice(options, "scene", "protocol", "kind", "sweep", "method", "variant")
    study = read_study(options.study)
    runs = read_runs(study)
    chosen = (options.scene, options.protocol, options.kind, options.sweep, options.method, options.variant)
    if not options.overviews:
        yield from make_figures(study, runs, *chosen)
    if options.overviews or not any(chosen):
        yield from make_overview_figures(study, runs)


def _page(options: argparse.Namespace) -> Iterable[Path]:
    from report.frame import read_runs
    from report.page import make_page

    study = read_study(options.study)
    return [make_page(study, read_runs(study))]


def _compare(options: argparse.Namespace) -> Iterable[str]:
    from report.compare import compare

    text, files = compare(options.first, options.second, options.metric, options.out)
    logging.getLogger("report").info("written to %s", ", ".join(map(str, files)))
    return [text.rstrip("\n")]


def _publish(options: argparse.Namespace) -> Iterable[Path]:
    from report.publish import publish

    return publish(read_study(options.study))


if __name__ == "__main__":
    raise SystemExit(main())

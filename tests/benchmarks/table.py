"""Write measurements into docs/performance.md: `python tests/benchmarks/table.py FILE` (of `--benchmark-json`).

With folders of records in the place of the file, it writes how accurate each precision was.

Every device has a table of its own there, between two comments; measuring on one leaves the others as they are.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tabulate import tabulate

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
# The DiffCLIP part of the paper's grid: 3 scenes x 6 shots, and 9 mask ratios x 5 windows. Shots share stage 1.
TRAININGS, CELLS = {"stage 1": 3 + 9 * 5}, 3 * 6 + 9 * 5
HEADS = ("measured", "seconds", "plain, seconds", "times faster", "work per second", "GFLOP per second")


def rows(found: dict[str, Any]) -> list[list[str]]:
    """Return a row for every measurement: the least of its rounds, against the least of the baseline's."""
    return [_row(one) for one in found["benchmarks"]]


def _row(one: dict[str, Any]) -> list[str]:
    facts, seconds = one["extra_info"], one["stats"]["min"]
    plain = min(facts.get("plain") or [0.0])
    gflop = facts.get("gflop", 0.0)
    work = [f"{count / seconds:.4g} {name}" for name, count in facts.get("work", {}).items()]
    return [
        _words(one),
        f"{seconds:.3g}",
        f"{plain:.3g}" if plain else "",
        f"{plain / seconds:.2f}" if plain else "",
        ", ".join(work),
        f"{gflop / seconds:.0f}" if gflop > 0.1 else "",
    ]


def _words(one: dict[str, Any]) -> str:
    return str(one["name"]).removeprefix("test_").replace("_", " ").replace("[", ", ").removesuffix("]")


def readying(found: dict[str, Any]) -> list[str]:
    """Return a line on what on a GPU took a second or longer before it was measured; none where nothing did."""
    spent = {_words(one): one["extra_info"].get("until_ready", 0.0) for one in found["benchmarks"]}
    long = [f"{words} {seconds:.0f} s" for words, seconds in spent.items() if seconds >= 1]
    return [f"Before that, kernels were compiled and graphs captured: {'; '.join(long)}."] if long else []


def table(found: dict[str, Any]) -> str:
    """Return a Markdown table under a line that says what it was measured on."""
    facts = next(one["extra_info"] for one in found["benchmarks"] if "device_name" in one["extra_info"])
    counted = "seconds on the clock" if facts["device"] == "cuda" else "processor seconds"
    threads = "" if facts["device"] == "cuda" else f", {facts['threads']} thread{'s' if facts['threads'] > 1 else ''}"
    line = f"{facts['device_name']} ({facts['device']}{threads}), {found['datetime'][:10]}, {counted}."
    whole = [grid(one["extra_info"]) for one in found["benchmarks"] if "parts" in one["extra_info"]]
    before = readying(found) if facts["device"] == "cuda" else []
    rendered = tabulate(rows(found), HEADS, tablefmt="github", disable_numparse=True)
    return "\n\n".join([line, rendered, *before, *whole]) + "\n"


def grid(facts: dict[str, Any]) -> str:
    """Return what the parts of several seeds' cell took, and what the paper's grid takes by that measure."""
    parts: dict[str, float] = facts["parts"]
    minutes = sum(seconds * TRAININGS.get(part, CELLS) for part, seconds in parts.items()) / 60
    listed = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts.items())
    work = f"{TRAININGS['stage 1']} trainings of stage 1, {CELLS} of stage 2 with their tests"
    return (
        f"The cell of {facts['seeds']} seeds in {facts['precision']}: {listed}. By that measure, every window counted "
        f"as this one, the DiffCLIP part of the paper's grid ({work}) takes {minutes:.0f} minutes."
    )


def large(one: dict[str, Any]) -> str:
    """Return a line on the scene that lies mapped on disk."""
    facts = one["extra_info"]
    return (
        f"{facts['memory_mb']:.0f} MB at most; {facts['opened_and_scaled']:.0f} processor seconds to open and scale, "
        f"{facts['seconds_of_500']:.2f} to classify 500 pixels, {facts['seconds_of_1000']:.2f} to classify 1,000.\n"
    )


def accuracy(folders: list[Path]) -> str:
    """Return a Markdown table with a row for every folder of records: one cell in one precision."""
    rows = []
    for folder in folders:
        records = [json.loads(path.read_text()) for path in sorted(folder.glob("seed-?.json"))]
        found = [one["metrics"]["oa"] for one in records]
        spent = [one["cost"]["fit_seconds"] + one["cost"]["predict_seconds"] for one in records]
        spread = stdev(found) if len(found) > 1 else 0.0
        seeds = ", ".join(f"{oa:.2f}" for oa in found)
        identity, precision = records[0]["identity"], records[0]["options"].get("precision", "fp32")
        cell = f"{identity['scene']}, {identity['protocol']}, {identity['variant']}, {identity['shots']} shots"
        rows.append([cell, precision, f"{mean(found):.2f} ± {spread:.2f}", seeds, f"{mean(spent):.0f}"])
    heads = ["cell", "precision", "OA, %", "of each seed", "seconds on the clock"]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True) + "\n"


def written(page: str, found: dict[str, Any]) -> str:
    """Return the page with the table of the measurements' device in its place.

    Raises:
        SystemExit: they were made with tiny sizes, or the page has no place for them.
    """
    if any(one["extra_info"].get("tiny") for one in found["benchmarks"]):
        raise SystemExit("found measurements of tiny sizes, expected those of the paper's")
    if all("memory_mb" in one["extra_info"] for one in found["benchmarks"]):
        place = re.compile(r"(<!-- large scene -->\n).*?(<!-- end -->)", re.DOTALL)
        return place.sub(lambda match: f"{match[1]}\n{large(found['benchmarks'][0])}\n{match[2]}", page, count=1)
    device = next(one["extra_info"]["device"] for one in found["benchmarks"] if "device" in one["extra_info"])
    place = re.compile(rf"(<!-- measured on {device} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not place.search(page):
        raise SystemExit(f"{PAGE}: found no place for {device}")
    return place.sub(lambda match: f"{match[1]}\n{table(found)}\n{match[2]}", page, count=1)


def main(paths: list[Path]) -> None:
    """Write what was measured into the page."""
    page = PAGE.read_text()
    if paths[0].is_dir():
        place = re.compile(r"(<!-- accuracy -->\n).*?(<!-- end -->)", re.DOTALL)
        PAGE.write_text(place.sub(lambda match: f"{match[1]}\n{accuracy(paths)}\n{match[2]}", page, count=1))
    else:
        PAGE.write_text(written(page, json.loads(paths[0].read_text())))


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])

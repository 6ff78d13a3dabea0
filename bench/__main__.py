"""Runs the benches that are named, or all; prints what they find and keeps it: a page, and every single value."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import explain, fairness, start, waiting
from bench.figures import Report, machine

BENCHES: Mapping[str, Callable[[], Coroutine[Any, Any, Report]]] = {
    "waiting": waiting.measure,
    "fairness": fairness.measure,
    "explain": explain.measure,
    "start": start.measure,
}
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "figures.md"
RESULTS = Path(__file__).with_name("results")
HEAD = """\
<!-- Written by make bench. Do not edit. -->

# Figures

What `make bench` measured, each part on the machine that it names. The figures say what to expect and show what a
change did; they are not promised. Load: how many processes wanted to run in the minute before. p99: 99 of 100
values are no greater. The values behind the medians are in `bench/results`.
"""


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"there is no bench {unknown[0]}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    for name in names or BENCHES:
        where = machine()
        report = asyncio.run(BENCHES[name]())
        section = "\n".join(report.lines(f"make bench BENCH={name}", where))
        print(section, flush=True)
        report.keep(RESULTS / f"{name}.csv")
        _put(report.title, section)
    return 0


def _put(title: str, section: str) -> None:
    """The section in its place on the page, the others as they are."""
    sections = {**_sections(), title: section.strip()}
    PAGE.write_text("\n\n".join([HEAD.strip(), *(sections[one] for one in sorted(sections))]) + "\n", "utf-8")


def _sections() -> Mapping[str, str]:
    text = PAGE.read_text("utf-8") if PAGE.exists() else ""
    return {one[1]: one[0].strip() for one in re.finditer(r"^## (.+)\n(?:(?!## ).*\n)*", text, re.M)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

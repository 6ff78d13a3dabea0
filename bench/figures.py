"""How figures are written down: medians and tails, tables, and the machine that they were made on."""

from __future__ import annotations

import asyncio
import csv
import inspect
import math
import os
import platform
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workdocket.storage.engine import SQLITE_VERSION

SPREAD = ("rounds", "median", "p99", "worst")


@dataclass(frozen=True)
class Table:
    """Rows of texts under a head; the first column names what was measured."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def lines(self) -> Iterator[str]:
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        yield _line(self.head, widths)
        yield f"|{'|'.join('-' * (width + 1) + (':' if n else '-') for n, width in enumerate(widths))}|"
        yield from (_line(row, widths) for row in self.rows)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
    return f"| {' | '.join(padded)} |"


@dataclass(frozen=True)
class Report:
    """What one bench found. ``parts`` are paragraphs and tables in the order of reading, ``raw`` is every single value
    under the name of its series."""

    title: str
    parts: Sequence[str | Table]
    raw: Sequence[tuple[str, float]]

    def lines(self, command: str, where: str) -> Iterator[str]:
        yield f"## {self.title}"
        yield ""
        yield f"`{command}` on {where}."
        for part in self.parts:
            yield ""
            yield from part.lines() if isinstance(part, Table) else [" ".join(inspect.cleandoc(part).split())]
        yield ""

    def keep(self, file: Path) -> None:
        """Write the raw values, one line for each series."""
        file.parent.mkdir(exist_ok=True)
        series: dict[str, list[str]] = {}
        for name, value in self.raw:
            series.setdefault(name, []).append(f"{value:.3f}".rstrip("0").rstrip("."))
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows([name, *values] for name, values in series.items())


def machine() -> str:
    """Asked before a bench, so that its own load is not in it."""
    sqlite = ".".join(map(str, SQLITE_VERSION))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, {python}, SQLite {sqlite}, load {_load()}"


def _load() -> str:
    """How many processes wanted to run in the last minute, on average."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def spread(values: Sequence[float], digits: int = 1) -> list[str]:
    """The cells under ``SPREAD``."""
    return [str(len(values)), *(f"{quantile(values, share):.{digits}f}" for share in (0.5, 0.99, 1))]


def main(measure: Callable[..., Coroutine[Any, Any, Report]]) -> None:
    """Measure and print; each argument of ``measure`` is an option of the command line."""
    module = inspect.getmodule(measure)
    name = module.__spec__.name if module and module.__spec__ else ""
    parser = ArgumentParser(prog=f"python -m {name}", description=module.__doc__ if module else None)
    for one in inspect.signature(measure).parameters.values():
        parser.add_argument(f"--{one.name}", type=type(one.default), default=one.default)
    options, where = vars(parser.parse_args()), machine()
    report = asyncio.run(measure(**options))
    print("\n".join(report.lines(" ".join([parser.prog, *sys.argv[1:]]), where)))

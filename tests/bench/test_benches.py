"""The benches still run: each one, with tiny numbers, finds something to put into its tables."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.pages import REPOSITORY, SECONDS

TINY = {
    "waiting": (["--rounds=2", "--waiters=3", "--seconds=0.2"], ["checkout, changed by another process", "3 checkout"]),
    "fairness": (["--items=12", "--others=2", "--workers=2", "--seconds=10"], ["crowd", "jo"]),
    "explain": (["--orders=14", "--rounds=3"], ["the queue", "a blocked order", "a leased item"]),
    "start": (["--rounds=1"], ["bare, 2025-11-25", "workdocket, new database, 2026-07-28", "workdocket --help"]),
}


@pytest.mark.slow
@pytest.mark.scenario("benches-run")
@pytest.mark.parametrize("name", TINY)
def test_a_bench_prints_its_figures_under_the_machine_and_the_command(name: str) -> None:
    options, measured = TINY[name]

    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *options],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    head, _, tables = done.stdout.partition("\n|")
    assert f"`python -m bench.{name} {' '.join(options)}` on " in head
    assert re.search(r"\d CPUs, .+, SQLite 3\.\d+", head)
    for row in measured:
        assert re.search(rf"^\|? {row}[^|]*\|[ \d.|-]*\d[ \d.|-]*$", tables, re.M), (row, tables)


@pytest.mark.scenario("benches-run")
def test_every_bench_is_run_by_name_and_an_unknown_one_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "tea"], cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == f"there is no bench tea; there are {', '.join(TINY)}"

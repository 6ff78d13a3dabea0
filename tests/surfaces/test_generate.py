"""workdocket generate: generators run by hand, or tried out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.support import raw
from tests.support.harness import TYPES

HEAD = "from workdocket import Generator, Proposal\n"
ALLOCATOR = """
class Allocator(Generator):
    name = "allocator"

    def discover(self, slot):
        return [
            Proposal("test.echo", {"message": "one"}, priority=7, meta={"shelf": "a"}),
            Proposal("test.echo", {"message": "two"}, priority=3, meta={"shelf": "b"}),
        ]
"""
PLANNER = """
class Planner(Generator):
    name = "planner"
    schedule = "0 3 * * *"

    async def discover(self, slot):
        for batches in (1, 2):
            yield Proposal("test.batch", {"batches": batches}, priority=5, meta={"plan": True})
"""
FLAKY = """
class Flaky(Generator):
    name = "flaky"

    def discover(self, slot):
        yield Proposal("test.echo", {})
        yield Proposal("test.echo", {"message": "kept"}, dedupe_key="kept")
        raise RuntimeError("the source is gone")
"""

Cli = Callable[..., Result]


@pytest.fixture
def folder(bare: Path) -> Path:
    """With nothing but the types of the tests."""
    (bare / "workdocket.toml").write_text(f'database = "work.db"\norder_types = [{str(TYPES)!r}]\n')
    return bare


def generators(folder: Path, *sources: str) -> None:
    """Those in the folder from now on, and no others."""
    (folder / "generators.py").write_text(HEAD + "".join(sources))
    settings = folder / "workdocket.toml"
    settings.write_text(settings.read_text() + 'generators = ["generators.py"]\n')


def orders(folder: Path) -> list[dict[str, Any]]:
    found = raw.rows(folder, "SELECT type, priority, meta, requester_type, requester_id FROM orders ORDER BY number")
    return [{**row, "meta": json.loads(row["meta"])} for row in found]


def order(type: str, priority: int, **meta: Any) -> dict[str, Any]:
    by = {"requester_type": "system", "requester_id": "scheduler"}
    return {"type": type, "priority": priority, "meta": meta, **by}


BY_ALLOCATOR = [order("test.echo", 7, shelf="a"), order("test.echo", 3, shelf="b")]
BY_PLANNER = [order("test.batch", 5, plan=True)] * 2


@pytest.mark.scenario("X14")
def test_without_generators_there_is_a_warning_and_success(cli: Cli) -> None:
    done = cli("generate")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "no generators are known: name some in the setting generators\n"


@pytest.mark.scenario("X14")
@pytest.mark.parametrize(
    "sources, expected",
    [([ALLOCATOR], BY_ALLOCATOR), ([PLANNER], BY_PLANNER), ([ALLOCATOR, PLANNER], [*BY_ALLOCATOR, *BY_PLANNER])],
    ids=["an allocator", "a planner", "both"],
)
def test_what_they_propose_is_filed_by_the_scheduler(
    cli: Cli, folder: Path, sources: list[str], expected: list[dict[str, Any]]
) -> None:
    generators(folder, *sources)

    done = cli("generate")

    assert (done.exit_code, done.stderr) == (0, "")
    assert orders(folder) == expected


@pytest.mark.scenario("X16")
def test_a_dry_run_creates_nothing_and_names_the_types(cli: Cli, folder: Path) -> None:
    generators(folder, ALLOCATOR, PLANNER)

    done = cli("generate", "--dry-run")

    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["generator", "would", "file", "duplicates", "refused", "types", "error"]
    assert lines[1:3] == [
        ["allocator", "2", "0", "0", "2", "test.echo"],
        ["planner", "2", "0", "0", "2", "test.batch"],
    ]
    assert done.stdout.splitlines()[3].startswith("planner: next slot 20")
    assert orders(folder) == []
    assert raw.rows(folder, "SELECT * FROM answers UNION ALL SELECT generator, schedule, at, state FROM slots") == []


def test_those_that_are_named_are_run(cli: Cli, folder: Path) -> None:
    generators(folder, ALLOCATOR, PLANNER)

    done = cli("generate", "planner", "--json")

    [row] = json.loads(done.stdout)["generators"]
    assert (row["generator"], row["filed"], row["orders"]) == ("planner", 2, ["WO-1", "WO-2"])
    assert orders(folder) == BY_PLANNER
    unknown = cli("generate", "planer")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("not_found: there is no generator 'planer'")


@pytest.mark.scenario("generator-raises", "proposal-refused", "exit-codes")
def test_one_that_raises_is_told_and_the_rest_is_done(cli: Cli, folder: Path) -> None:
    generators(folder, FLAKY, PLANNER)

    done = cli("generate")

    assert done.exit_code == 1
    assert "generator flaky: proposal 1 is refused: test.echo refuses the payload" in done.stderr
    assert "generator flaky raised: RuntimeError: the source is gone" in done.stderr
    assert done.stdout.splitlines()[1].split()[:4] == ["flaky", "1", "0", "1"]
    assert orders(folder) == [order("test.echo", 0), *BY_PLANNER]

    again = json.loads(cli("generate", "flaky", "--json").stdout)["generators"][0]
    assert {name: again[name] for name in ("filed", "duplicates", "refused", "error")} == {
        "filed": 0, "duplicates": 1, "refused": 1, "error": "RuntimeError: the source is gone",
    }  # fmt: skip
    assert again["refusals"][0]["code"] == "invalid_payload"


@pytest.mark.scenario("generators-refused-at-start")
def test_a_broken_generator_stops_every_command_with_file_and_line(cli: Cli, folder: Path) -> None:
    generators(folder, PLANNER.replace("0 3", "0 33"))

    done = cli("orders", "list")

    assert (done.exit_code, done.stdout) == (1, "")
    assert (
        done.stderr == f"{folder / 'generators.py'}:3: Planner: '0 33 * * *': bad hour. Mend schedule or time_zone.\n"
    )

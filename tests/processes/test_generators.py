"""Generators among several servers: one runs a slot, and when it is killed another finishes what it began."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import doomed, raw
from tests.support.harness import LIMIT, house
from tests.support.process import START_LIMIT, Server, comes_true, serving
from workdocket.app import SystemClock

DOOMED = ("-P", doomed.__file__, "serve")

SOURCE = """
import os
from pathlib import Path
from workdocket import Generator, Proposal

HERE = Path(__file__).parent

class Yearly(Generator):
    name = "yearly"
    schedule = "0 0 1 1 *"

    def discover(self, slot):
        with (HERE / "runs").open("a") as runs:
            runs.write(f"{os.getpid()}\\n")
        for n in (1, 2, 3):
            yield Proposal("test.free", {"n": n, "slot": slot.isoformat()})
            if n == 1 and (HERE / "fifo").exists():
                (HERE / "fifo").write_text("here")
"""
SECONDS_APART = "0.05"


async def due(folder: Path) -> dict[str, str]:
    """The environment of a server for which a slot of the generator is due."""
    file = folder / "generators.py"
    file.write_text(SOURCE)
    async with house(folder, clock=SystemClock(), generators=[str(file)]) as home:  # type: ignore[arg-type]
        await home.app.sweeper.sweep()
        async with asyncio.timeout(LIMIT):
            while home.app.scheduler.busy:  # noqa: ASYNC110 - nothing to wait for but its end
                await asyncio.sleep(0)
    with raw.opened(folder) as database:
        database.execute("UPDATE slots SET at = at - 366 * 86400000")
    return {"WORKDOCKET_GENERATORS": json.dumps([str(file)]), "WORKDOCKET_SWEEP_EVERY_SECONDS": SECONDS_APART}


def runs(folder: Path) -> list[str]:
    file = folder / "runs"
    return file.read_text().splitlines() if file.exists() else []


def orders(folder: Path) -> list[int]:
    rows = raw.rows(folder, "SELECT payload FROM orders WHERE requester_id = 'scheduler' ORDER BY number")
    return [json.loads(row["payload"])["n"] for row in rows]


def slot(folder: Path) -> dict[str, Any]:
    [row] = raw.rows(folder, "SELECT state, crashes, outcome FROM slots")
    return {**row, "outcome": json.loads(row["outcome"] or "null")}


DONE = {"filed": 3, "duplicates": 0, "refused": 0}


@pytest.mark.scenario("slots-run-once")
async def test_a_server_leaves_alone_a_slot_that_a_living_one_has_in_hand(tmp_path: Path) -> None:
    # given
    environment, fifo = await due(tmp_path), tmp_path / "fifo"
    os.mkfifo(fifo)
    async with serving(tmp_path, **environment) as first:
        await comes_true(lambda: len(runs(tmp_path)) == 1)

        # when another one sweeps for a while
        async with serving(tmp_path, **environment) as other:
            await other.ok("checkout", wait_seconds=1)
            await asyncio.to_thread(fifo.read_text)
            fifo.unlink()
            await comes_true(lambda: slot(tmp_path)["outcome"] == DONE)

    # then
    assert runs(tmp_path) == [str(first.process.pid)]
    assert orders(tmp_path) == [1, 2, 3]
    assert slot(tmp_path) == {"state": "done", "crashes": 0, "outcome": DONE}


@pytest.mark.scenario("slots-run-once")
async def test_servers_that_start_at_once_run_a_slot_once(tmp_path: Path) -> None:
    environment = await due(tmp_path)
    servers = await asyncio.gather(*[Server.start(tmp_path, "--actor", name, **environment) for name in "abc"])
    try:
        await asyncio.gather(*[server.greet() for server in servers])
        await comes_true(lambda: slot(tmp_path)["outcome"] == DONE)
    finally:
        await asyncio.gather(*[server.kill() for server in servers])

    assert len(runs(tmp_path)) == 1
    assert orders(tmp_path) == [1, 2, 3]


@pytest.mark.scenario("slots-resumed")
@pytest.mark.parametrize("point, filed", [("after:INSERT INTO orders", [1]), ("before:INSERT INTO orders", [])])
async def test_killed_between_two_proposals_the_next_server_files_the_others(
    tmp_path: Path, point: str, filed: list[int]
) -> None:
    # given
    environment = await due(tmp_path)
    killed = await Server.start(tmp_path, program=DOOMED, DOOM=point, **environment)
    assert await killed.ended(START_LIMIT) == -signal.SIGKILL
    assert orders(tmp_path) == filed

    # when
    async with serving(tmp_path, **environment) as successor:
        await comes_true(lambda: slot(tmp_path)["outcome"] == DONE)

    # then
    assert runs(tmp_path) == [str(killed.process.pid), str(successor.process.pid)]
    assert orders(tmp_path) == [1, 2, 3]
    assert slot(tmp_path) == {"state": "done", "crashes": 1, "outcome": DONE}


@pytest.mark.scenario("slots-resumed")
async def test_a_server_that_runs_already_takes_over_the_slot_of_a_killed_one(tmp_path: Path) -> None:
    # given one that is in the middle of discovering
    environment, fifo = await due(tmp_path), tmp_path / "fifo"
    os.mkfifo(fifo)
    async with serving(tmp_path, **environment) as first:
        await comes_true(lambda: len(runs(tmp_path)) == 1)
        async with serving(tmp_path, **environment) as other:
            # when
            fifo.unlink()
            await first.kill()

            # then
            await comes_true(lambda: slot(tmp_path)["outcome"] == DONE)

    assert runs(tmp_path) == [str(first.process.pid), str(other.process.pid)]
    assert orders(tmp_path) == [1, 2, 3]


async def test_a_server_ends_in_time_while_a_generator_is_stuck(tmp_path: Path) -> None:
    environment, fifo = await due(tmp_path), tmp_path / "fifo"
    os.mkfifo(fifo)
    async with serving(tmp_path, **environment) as server:
        await comes_true(lambda: len(runs(tmp_path)) == 1)
        server.close_stdin()
        assert await server.ended() == 0
    assert slot(tmp_path)["state"] == "pending"

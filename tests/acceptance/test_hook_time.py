"""Hooks that take too long: their callers are told, nobody else is kept waiting, and the process can end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.harness import LIMIT, held, house, passed_on

SLOW = '''
import asyncio
from pathlib import Path
from workdocket import Diff, ItemSpec, OrderType

class Slow(OrderType):
    """Waits at the FIFO of the payload in the hook that it names."""

    name = "slow.type"
    payload = {"type": "object"}

    def plan(self, order):
        _wait(order.payload, "plan")
        return [ItemSpec(order.payload)]

    async def check_result(self, item, result):
        if item.input.get("hook") == "check_result":
            await asyncio.Event().wait()
        return []

    def preview(self, order):
        _wait(order.payload, "preview")

    def apply(self, order, ctx):
        _wait(order.payload, "apply")
        return Diff()

def _wait(payload, hook):
    if payload.get("hook") == hook:
        Path(payload["fifo"]).read_text()
'''


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """What a hook waits at; nobody is left waiting at the end."""
    (tmp_path / "slow.py").write_text(SLOW)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    yield path
    while any(thread.name.startswith(("workdocket hook", "AnyIO")) for thread in threading.enumerate()):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            break


def slow(fifo: Path, hook: str) -> dict[str, str]:
    return {"hook": hook, "fifo": str(fifo)}


@pytest.mark.scenario("hook-time-limit")
async def test_a_hook_over_its_time_is_internal_and_leaves_nothing_behind(fifo: Path, tmp_path: Path) -> None:
    types = [str(tmp_path / "slow.py")]
    async with house(tmp_path, order_types=types, hook_timeout_seconds=0.05) as home:
        person = home.person("somebody")
        order_id = await person.propose("slow.type", slow(fifo, "check_result"))
        item = await person.take()

        planned = await person.refused("propose", "internal", type="slow.type", payload=slow(fifo, "plan"))
        checked = await person.refused("submit", "internal", **held(item), result={})

        assert planned["details"]["hook"] == "plan"
        assert checked["details"]["hook"] == "check_result"
        assert "hook_timeout_seconds" in planned["hint"]
        assert await person.state(order_id) == "checked_out"
        assert (await person.ok("list_orders"))["total"] == 1


async def test_a_plain_hook_that_blocks_holds_up_no_other_call(fifo: Path, tmp_path: Path) -> None:
    async with house(tmp_path, order_types=[str(tmp_path / "slow.py")], hook_timeout_seconds="none") as home:
        person = home.person("somebody")
        blocked = asyncio.create_task(person.propose("slow.type", slow(fifo, "plan")))
        door = await asyncio.wait_for(asyncio.to_thread(fifo.open, "w"), LIMIT)  # plan has begun to read

        await asyncio.wait_for(person.propose("slow.type", {}), LIMIT)
        assert not blocked.done()

        door.close()
        assert await asyncio.wait_for(blocked, LIMIT)


async def test_apply_has_no_limit(fifo: Path, tmp_path: Path) -> None:
    async with house(tmp_path, order_types=[str(tmp_path / "slow.py")], hook_timeout_seconds=0.05) as home:
        person = home.person("somebody")
        order_id = await person.propose("slow.type", slow(fifo, "apply"))
        await person.hand_in(await person.take(), {})
        approved = asyncio.create_task(person.ok("approve", order_id=order_id))
        door = await asyncio.wait_for(asyncio.to_thread(fifo.open, "w"), LIMIT)  # apply has begun to read
        await person.refused("propose", "internal", type="slow.type", payload=slow(fifo.with_name("other"), "plan"))

        door.close()
        answer = await asyncio.wait_for(approved, LIMIT)

    assert answer["order"]["state"] == "completed"


@pytest.mark.scenario("hook-time-limit")
def test_a_command_ends_although_a_hook_does_not(fifo: Path, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text(json.dumps(slow(fifo, "plan")))
    words = ["--set", "hook_timeout_seconds=0.1", "propose", "slow.type", "--payload", "payload.json"]
    environment = {**os.environ, **passed_on(), "WORKDOCKET_ORDER_TYPES": str(tmp_path / "slow.py")}

    done = subprocess.run(
        [sys.executable, "-m", "workdocket", "--database", "work.db", *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20,
    )  # fmt: skip

    assert done.returncode == 1
    assert "took more than 0.1 seconds in plan" in done.stderr

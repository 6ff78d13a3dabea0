from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from workdocket.storage.turnstile import Turnstile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")

BOUND = 5

HOLD = """
import sys
from pathlib import Path
from workdocket.storage.turnstile import Turnstile
with Turnstile(Path(sys.argv[1])):
    print("inside", flush=True)
    sys.stdin.readline()
print("outside", flush=True)
sys.stdin.readline()
"""


@asynccontextmanager
async def holder(database: Path) -> AsyncIterator[Process]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(database), stdin=PIPE, stdout=PIPE, env=environment
    )
    try:
        await said(process, "inside")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: Process, line: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(BOUND):
        assert (await process.stdout.readline()).decode().strip() == line


def go_on(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


class Visitor(threading.Thread):
    """Passes the turnstile once, in a thread of its own."""

    def __init__(self, database: Path) -> None:
        super().__init__(daemon=True)
        self.turnstile = Turnstile(database)
        self.inside = threading.Event()
        self.start()

    def run(self) -> None:
        with self.turnstile:
            self.inside.set()
        self.turnstile.close()

    async def gets_inside(self) -> bool:
        return await asyncio.to_thread(self.inside.wait, BOUND)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "work.db"


async def test_nobody_is_inside_together_with_another_process(database: Path) -> None:
    async with holder(database) as process:
        visitor = Visitor(database)
        assert not visitor.inside.wait(0.1)
        go_on(process)
        assert await visitor.gets_inside()


async def test_a_killed_process_leaves_the_turnstile_open(database: Path) -> None:
    async with holder(database) as process:
        visitor = Visitor(database)
        process.kill()
        assert await visitor.gets_inside()


async def test_who_leaves_cannot_pass_again_before_who_was_waiting(database: Path) -> None:
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def regular() -> None:
        turnstile = Turnstile(database)
        with turnstile:
            inside.set()
            leave.wait(BOUND)
        with turnstile:
            order.append("regular again")
        turnstile.close()

    def waiting() -> None:
        turnstile = Turnstile(database)
        with turnstile:
            order.append("waiting")
        turnstile.close()

    first, second = threading.Thread(target=regular, daemon=True), threading.Thread(target=waiting, daemon=True)
    first.start()
    assert inside.wait(BOUND)
    second.start()
    await door_is_taken(database)
    leave.set()
    for thread in (first, second):
        await asyncio.to_thread(thread.join, BOUND)

    assert order == ["waiting", "regular again"]


async def door_is_taken(database: Path) -> None:
    import fcntl

    door = os.open(database.with_name(database.name + ".door"), os.O_RDWR)
    try:
        async with asyncio.timeout(BOUND):
            while True:
                try:
                    fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                fcntl.flock(door, fcntl.LOCK_UN)
                await asyncio.sleep(0)
    finally:
        os.close(door)


def test_a_failing_body_still_leaves(database: Path) -> None:
    turnstile = Turnstile(database)
    with pytest.raises(ZeroDivisionError), turnstile:
        _ = 1 / 0
    visitor = Visitor(database)
    assert visitor.inside.wait(BOUND)
    turnstile.close()


def test_the_side_files_are_private_and_stand_next_to_the_database(database: Path) -> None:
    turnstile = Turnstile(database)
    with turnstile:
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in database.parent.iterdir()}
    turnstile.close()
    assert modes == {"work.db.door": 0o600, "work.db.gate": 0o600}

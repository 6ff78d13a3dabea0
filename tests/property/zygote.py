"""A program with everything imported and no thread running, which forks a worker process for each that is asked for.

    python zygote.py CONTROL TYPES

On the socket CONTROL come JSON texts, one at a time: ``{"folder", "settings", "ids"}`` with a socket of the new
worker's own is answered by ``{"pid"}``, ``{"reap": pid}`` by ``{"status"}`` once that worker and its locks are gone.

A worker opens the product on ``folder/work.db`` and answers requests, one JSON text on a line each:
``{"at", "actor", "tool", "arguments", "doom"}``. What comes back is ``{"ok"}``, ``{"refused"}`` or ``{"broken"}``, and
then, when nothing goes on in its background any more, ``{"settled": true}``. ``doom`` is null or ``[side, n]``: it ends
by kill -9 ``before`` or ``after`` its n-th commit from there on, unless it has settled earlier. Told ``{"stop": true}``
it closes in good order. It ends as well when its socket, or the zygote, does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from workdocket.app import App, open_app
from workdocket.domain.errors import WorkError
from workdocket.registry import Registry, load
from workdocket.service.desk import Call
from workdocket.settings import load_settings
from workdocket.storage.engine import dbapi
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import Caller, local_caller

Answer = dict[str, Any]

CAST: dict[str, dict[str, Any]] = {
    "ann": {},
    "bob": {},
    "cy": {},
    "wim": {"roles": ("worker",)},
    "rita": {"kind": "user"},
    "roy": {"kind": "user"},
    "uma": {"kind": "user"},
    "vic": {"kind": "user"},
}
"""Who calls. All roles and an agent where nothing else is said."""


class Doomed(dbapi.Connection):
    """A connection that knows when its process ends."""

    side = ""
    left = 0

    @classmethod
    def arm(cls, doom: list[Any] | None) -> None:
        cls.side, cls.left = doom or ("", 0)

    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement != "COMMIT":
            return super().execute(statement, *parameters)
        Doomed.left -= 1
        its_time = Doomed.left == 0
        if its_time and Doomed.side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        cursor = super().execute(statement)
        if its_time and Doomed.side == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return cursor


@dataclass
class SentClock:
    """It is as late as the last request said."""

    at: int = 0

    def now(self) -> int:
        return self.at


@dataclass
class NamedIds:
    """Tokens that no other process makes; no jitter."""

    name: str
    numbers: count[int] = field(default_factory=lambda: count(1))

    def token(self) -> str:
        return f"{self.name}-{next(self.numbers)}"

    def jitter(self) -> float:
        return 0.0


class Background:
    """The product's background, and a way to know when it is empty."""

    def __init__(self, app: App) -> None:
        self._start = app.desk.start
        self._running = 0
        self._empty = asyncio.Event()
        self._empty.set()
        app.desk.start = self.start

    def start(self, job: Callable[[], Any]) -> None:
        self._running += 1
        self._empty.clear()
        self._start(partial(self._run, job))

    async def _run(self, job: Callable[[], Any]) -> None:
        try:
            await job()
        finally:
            self._running -= 1
            if self._running == 0:
                self._empty.set()

    async def settle(self) -> None:
        await self._empty.wait()


async def sweep(app: App, caller: Caller, a: Answer) -> Answer:
    return {"ended": await app.sweeper.sweep()}


async def requeue(app: App, caller: Caller, a: Answer) -> Answer:
    return await app.orders.requeue(commanded(caller, "requeue", a), a["order_id"])


async def dead_letter(app: App, caller: Caller, a: Answer) -> Answer:
    return await app.orders.dead_letter(commanded(caller, "dead_letter", a), a["order_id"], a.get("reason"))


def commanded(caller: Caller, operation: str, a: Answer) -> Call:
    request = {name: value for name, value in a.items() if name != "idempotency_key"}
    return Call(caller.actor, operation, request, a.get("idempotency_key"))


UNLISTED = {"sweep": sweep, "requeue": requeue, "dead_letter": dead_letter}
"""What no tool offers."""


async def answered(app: App, request: Answer) -> Answer:
    tool, arguments = request["tool"], request["arguments"]
    caller = local_caller(request["actor"], **CAST[request["actor"]])
    try:
        if tool in UNLISTED:
            return {"ok": await UNLISTED[tool](app, caller, arguments)}
        return {"ok": await run_tool(app, caller, tool, arguments)}
    except WorkError as error:
        return {"refused": error.as_dict()}
    except Exception as error:
        return {"broken": repr(error)}


async def work(task: Answer, registry: Registry, mine: socket.socket, lifeline: int) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(lifeline, os._exit, 1)
    reader, writer = await asyncio.open_connection(sock=mine, limit=2**24)
    folder, clock = Path(task["folder"]), SentClock()
    settings = load_settings({"database": str(folder / "work.db"), **task["settings"]}, cwd=folder, environ={})

    def say(answer: Answer) -> None:
        writer.write(json.dumps(answer).encode() + b"\n")

    async with open_app(settings, registry=registry, clock=clock, ids=NamedIds(task["ids"])) as app:
        background = Background(app)
        say({"open": True})
        while line := await reader.readline():
            request = json.loads(line)
            if "stop" in request:
                break
            clock.at = request["at"]
            Doomed.arm(request["doom"])
            say(await answered(app, request))
            await writer.drain()
            await background.settle()
            Doomed.arm(None)
            say({"settled": True})
    loop.remove_reader(lifeline)


def forked(task: Answer, registry: Registry, mine: int, control: socket.socket, lifeline: tuple[int, int]) -> int:
    pid = os.fork()
    if pid:
        os.close(mine)
        return pid
    status = 1
    try:
        control.close()
        os.close(lifeline[1])
        asyncio.run(work(task, registry, socket.socket(fileno=mine), lifeline[0]))
        status = 0
    finally:
        os._exit(status)


def main(control: socket.socket, types: str) -> None:
    registry = load([types])
    dbapi.connect = partial(dbapi.connect, factory=Doomed)
    logging.disable()
    lifeline = os.pipe()
    gc.freeze()
    control.sendall(b'{"ready": true}\n')
    while True:
        message, sockets, _, _ = socket.recv_fds(control, 2**16, 1)
        if not message:
            break
        task = json.loads(message)
        if "reap" in task:
            answer = {"status": os.waitstatus_to_exitcode(os.waitpid(task["reap"], 0)[1])}
        else:
            answer = {"pid": forked(task, registry, sockets[0], control, lifeline)}
        control.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])

"""A program that ends by kill -9 at an exact commit: ``before:N`` or ``after:N`` its N-th one, or ``after:TEXT``, the
first commit of a transaction with a statement that has TEXT in it. DOOM in the environment says which.

``serve`` is the real server; ``errand FILE`` makes one call of every kind, each with a key of its own, and says what
was answered. Run again after the end of the first, it repeats what was answered and goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from workdocket.app import App, open_app
from workdocket.settings import load_settings
from workdocket.storage.engine import dbapi
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import local_caller

COMMITS = 16
"""How many transactions an errand commits, the schema's included."""

Say = Callable[[str, dict[str, Any]], None]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(dbapi.Connection):
    """A connection that knows when its process ends."""

    side, _, what = os.environ.get("DOOM", "").partition(":")
    commits = 0
    marked = False

    def execute(self, statement: str, *parameters: Any) -> Any:
        if not Doomed.what.isdigit() and Doomed.what:
            Doomed.marked |= Doomed.what in statement
        if statement != "COMMIT":
            return super().execute(statement, *parameters)
        Doomed.commits += 1
        its_time = Doomed.marked or Doomed.what == str(Doomed.commits)
        if its_time and Doomed.side == "before":
            die()
        cursor = super().execute(statement)
        if its_time:
            die()
        return cursor


async def errand(app: App, file: str, say: Say) -> None:
    """From a proposal to its effect, with everything on the way that a worker and a reviewer can ask for."""

    async def call(key: str, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await run_tool(app, local_caller("ann"), tool, {**arguments, "idempotency_key": key})
        say(key, answer)
        return answer

    async def take(key: str) -> dict[str, str]:
        [item] = (await call(key, "checkout"))["items"]
        return {"item_id": item["id"], "lease_token": item["lease"]["token"]}

    order_id = (await call("propose", "propose", type="test.ledger", payload={"file": file}))["order"]["id"]
    held = await take("take 1")
    await call("heartbeat", "heartbeat", **held, progress=0.5)
    await call("release", "release", **held)
    held = await take("take 2")
    await call("fail", "fail", **held, reason="stumbled", retry_after_seconds=0)
    held = await take("take 3")
    await call("part", "submit_part", **held, part_key="draft", payload={"n": 0})
    await call("submit 1", "submit", **held, result={"n": 1})
    await call("rework", "reject", order_id=order_id, errors=[{"message": "count again"}], rework=True)
    held = await take("take 4")
    await call("submit 2", "submit", **held, result={"n": 2})
    await call("approve", "approve", order_id=order_id)


async def run_errand(file: str) -> None:
    def say(key: str, answer: dict[str, Any]) -> None:
        print(json.dumps([key, answer]), flush=True)

    async with open_app(load_settings(), sweep=True) as app:
        await errand(app, file, say)
    say("commits", {"count": Doomed.commits})


if __name__ == "__main__":
    dbapi.connect = partial(dbapi.connect, factory=Doomed)
    if sys.argv[1] == "errand":
        asyncio.run(run_errand(sys.argv[2]))
    else:
        from workdocket.surfaces.cli import main

        main()

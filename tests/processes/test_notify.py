"""Notifications of servers that are killed: what was committed is told by the next, at least once and under one id."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.support import doomed, raw
from tests.support.process import Server, comes_true, serving
from tests.support.receiver import Receiver, receiver

DOOMED = ("-P", doomed.__file__, "serve")


def telling(post: Receiver) -> dict[str, str]:
    channel = {"name": "desk", "webhook": post.url}
    return {"WORKDOCKET_NOTIFY": json.dumps([channel]), "WORKDOCKET_SWEEP_EVERY_SECONDS": "0.1"}


async def begin_to_submit(server: Server) -> asyncio.Future[dict[str, object]]:
    await server.ok("propose", type="test.echo", payload={"message": "hi"})
    [item] = (await server.ok("checkout"))["items"]
    token = item["lease"]["token"]
    result = {"message": "hi", "verified": True}
    return server.begin_call("submit", item_id=item["id"], lease_token=token, result=result)


def states(folder: Path) -> list[tuple[str, int]]:
    rows = raw.rows(folder, "SELECT state, attempts FROM effects WHERE channel IS NOT NULL")
    return [(row["state"], row["attempts"]) for row in rows]


@pytest.mark.scenario("notify-in-transaction", "notify-once")
async def test_killed_between_the_commit_and_the_sending_the_next_server_sends_it_once(tmp_path: Path) -> None:
    with receiver() as post:
        # given
        server = await Server.start(tmp_path, program=DOOMED, DOOM="after:INSERT INTO submissions", **telling(post))
        await server.greet()
        await begin_to_submit(server)

        # when
        assert await server.ended() == -signal.SIGKILL
        assert post.got == []

        # then
        async with serving(tmp_path, **telling(post)):
            await post.next()
            await comes_true(lambda: states(tmp_path) == [("done", 1)])
        assert len(post.got) == 1


@pytest.mark.scenario("notify-in-transaction")
async def test_killed_before_the_commit_nobody_is_told(tmp_path: Path) -> None:
    with receiver() as post:
        server = await Server.start(tmp_path, program=DOOMED, DOOM="before:INSERT INTO submissions", **telling(post))
        await server.greet()
        await begin_to_submit(server)
        assert await server.ended() == -signal.SIGKILL

        assert states(tmp_path) == []
        async with serving(tmp_path, **telling(post)) as successor:
            assert (await successor.ok("list_orders"))["orders"][0]["state"] != "submitted"
        assert post.got == []


@pytest.mark.scenario("notify-retried")
async def test_killed_between_the_sending_and_its_record_the_next_server_sends_it_again_under_the_same_id(
    tmp_path: Path,
) -> None:
    with receiver("mute") as post:
        # given
        async with serving(tmp_path, **telling(post)) as server:
            await (await begin_to_submit(server))
            first = await post.next()

            # when
            await server.kill()

        # then
        async with serving(tmp_path, **telling(post)):
            second = await post.next()
            await comes_true(lambda: states(tmp_path) == [("done", 2)])
        assert (first.id, first.body) == (second.id, second.body)


@pytest.mark.scenario("notify-once", "stdout-is-protocol")
async def test_two_servers_tell_each_thing_once_and_a_command_keeps_off_the_protocol(tmp_path: Path) -> None:
    tell = tmp_path / "tell.py"
    tell.write_text(
        f"import sys, json\nprint('noise on the wire')\nopen({str(tmp_path / 'told')!r}, 'a').write("
        "json.load(sys.stdin)['data']['order_id'] + chr(10))\n"
    )
    channel = {"name": "tell", "command": [sys.executable, str(tell)]}
    given = {"WORKDOCKET_NOTIFY": json.dumps([channel]), "WORKDOCKET_SWEEP_EVERY_SECONDS": "0.05"}
    async with serving(tmp_path, **given) as one, serving(tmp_path, **given) as other:
        for server in (one, other, one):
            await (await begin_to_submit(server))
        await comes_true(lambda: states(tmp_path) == [("done", 1)] * 3)

        assert sorted((tmp_path / "told").read_text().split()) == ["WO-1", "WO-2", "WO-3"]
        assert b"noise" not in one.written + other.written

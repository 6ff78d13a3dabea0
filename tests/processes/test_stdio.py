"""The stdio server as a host sees it: what comes out, what may come in, and how it ends."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.support.harness import LIMIT, Agent, agent, held
from tests.support.process import HANDSHAKE, START_LIMIT, Server, comes_true, environment, serving

PRINTING = """
import os, subprocess, sys
from workdocket import Diff, OrderType

def noise(where):
    print("print", where)
    sys.stdout.write("write " + where + "\\n")
    sys.stdout.flush()
    os.write(1, b"descriptor " + where.encode() + b"\\n")
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)

noise("import")

class Noisy(OrderType):
    name = "test.noisy"
    payload = {"type": "object"}

    def plan(self, order):
        noise("plan")
        return super().plan(order)

    def check_result(self, item, result):
        noise("check_result")
        return []

    def preview(self, order):
        noise("preview")

    async def apply(self, order, ctx):
        noise("apply")
        return Diff.between(None, 1)
"""


def messages(written: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.splitlines()]


@pytest.mark.scenario("stdout-is-protocol")
async def test_nothing_but_protocol_reaches_stdout_whatever_an_order_type_prints(tmp_path: Path) -> None:
    # given
    plugin = tmp_path / "noisy.py"
    plugin.write_text(PRINTING)
    async with serving(tmp_path, WORKDOCKET_ORDER_TYPES=json.dumps([str(plugin)])) as server:
        # when
        order_id = (await server.ok("propose", type="test.noisy", payload={}))["order"]["id"]
        [item] = (await server.ok("checkout"))["items"]
        await server.ok("submit", **held(item), result={})
        answer = await server.ok("approve", order_id=order_id)

    # then
    assert answer["applied"] is True
    assert server.written.startswith(b"{")
    assert all(message["jsonrpc"] == "2.0" for message in messages(server.written))
    heard = server.log.read_text()
    for where in ("import", "plan", "check_result", "preview", "apply"):
        assert f"print {where}" in heard
        assert f"descriptor {where}" in heard
    assert "child" in heard


@pytest.mark.scenario("stdout-is-protocol")
async def test_a_server_that_cannot_start_says_why_on_stderr_only(tmp_path: Path) -> None:
    # given
    plugin = tmp_path / "broken.py"
    plugin.write_text("print('noise')\nraise RuntimeError('out of order')\n")

    # when
    server = await Server.start(tmp_path, WORKDOCKET_ORDER_TYPES=json.dumps([str(plugin)]))
    code = await server.ended(START_LIMIT)

    # then
    assert (code, server.written) == (1, b"")
    assert "broken.py:2" in server.log.read_text()


# how it ends


Busy = Literal["idle", "waiting", "stuck"]


@asynccontextmanager
async def occupied(folder: Path, busy: Busy) -> AsyncIterator[Server]:
    """A server with nothing to do, with a call that waits for work, or with an apply that does not return."""
    async with serving(folder) as server:
        if busy == "waiting":
            server.begin_call("checkout", wait_seconds=50)
        if busy == "stuck":
            os.mkfifo(folder / "fifo")
            payload = {"file": str(folder / "ledger"), "pause_before": str(folder / "fifo")}
            order_id = (await server.ok("propose", type="test.ledger", payload=payload))["order"]["id"]
            [item] = (await server.ok("checkout"))["items"]
            await server.ok("submit", **held(item), result={})
            server.begin_call("approve", order_id=order_id)
            await comes_true((folder / "ledger.attempts").exists)
        await server.ok("my_work")
        yield server


ENDINGS: dict[str, tuple[Callable[[Server], None], int]] = {
    "end of input": (Server.close_stdin, 0),
    "SIGTERM": (lambda server: server.process.send_signal(signal.SIGTERM), 143),
    "SIGINT": (lambda server: server.process.send_signal(signal.SIGINT), 130),
}


@pytest.mark.scenario("ends-in-time")
@pytest.mark.parametrize("busy", ["idle", "waiting", "stuck"])
@pytest.mark.parametrize("how", ENDINGS)
async def test_it_ends_within_two_seconds_whatever_it_is_doing(tmp_path: Path, how: str, busy: Busy) -> None:
    end, expected = ENDINGS[how]
    async with occupied(tmp_path, busy) as server:
        # when
        end(server)

        # then
        assert await server.ended(within=2) == expected
        assert "Traceback" not in server.log.read_text()


@pytest.mark.scenario("ends-in-time")
async def test_what_it_left_behind_are_the_database_and_its_locks(tmp_path: Path) -> None:
    async with occupied(tmp_path, "idle") as server:
        server.close_stdin()
        await server.ended()

    left = {path.name for path in tmp_path.iterdir()} - {server.log.name}
    assert left == {"work.db", "work.db.door", "work.db.gate"}


@pytest.mark.scenario("ends-in-time")
@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(tmp_path: Path, how: str) -> None:
    # given
    with (tmp_path / "log").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "workdocket", "serve"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment(tmp_path), cwd=tmp_path,
        )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(scripted(*[("tools/list", {})] * 20))
        process.stdin.flush()
        await comes_true(lambda: unread(process.stdout) > 60_000, within=START_LIMIT)

        # when
        process.terminate() if how == "SIGTERM" else process.stdin.close()

        # then
        assert process.wait(timeout=LIMIT) == (143 if how == "SIGTERM" else 0)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert "Traceback" not in (tmp_path / "log").read_text()


def unread(pipe: Any) -> int:
    """How many bytes wait in it."""
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


# what may come in


def ping(mark: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": mark, "method": "ping"}).encode() + b"\n"


async def answered(server: Server, mark: str) -> None:
    await comes_true(lambda: any(message.get("id") == mark for message in messages(bytes(server.written))))


@pytest.mark.scenario("hostile-json")
async def test_a_line_that_comes_in_two_halves_is_one_line(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        for half in (ping("halved")[:20], ping("halved")[20:]):
            server.write(half)
            assert server.process.stdin is not None
            await server.process.stdin.drain()

        await answered(server, "halved")


@pytest.mark.scenario("hostile-json", "ends-in-time")
async def test_half_a_line_and_the_end_of_input_is_an_end_like_any_other(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        server.write(ping("never")[:20])
        server.close_stdin()

        assert await server.ended(within=2) == 0
        assert "Traceback" not in server.log.read_text()


GARBAGE = {
    "no JSON": b"hello?\n",
    "an empty line": b"\n",
    "no object": b"42\n",
    "a batch": b"[" + ping("batched").strip() + b"]\n",
    "no UTF-8": b"\xff\xfe\x00\n",
    "no method": b'{"jsonrpc":"2.0","id":1}\n',
    "an unknown method": b'{"jsonrpc":"2.0","id":"odd","method":"no/such"}\n',
    "a lone surrogate": b'{"jsonrpc":"2.0","id":"odd","method":"ping","params":{"x":"\\ud800"}}\n',
    "far too deep": b"[" * 100_000 + b"\n",
}


@pytest.mark.scenario("hostile-json")
async def test_garbage_between_two_calls_does_no_harm(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        for name, raw in GARBAGE.items():
            server.write(raw)
            server.write(ping(name))
            await answered(server, name)

        assert (await server.ok("my_work"))["leases"] == []


@pytest.mark.scenario("hostile-json")
async def test_a_line_of_nine_megabytes_is_read_and_its_payload_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        # when
        refusal, answer = await server.call("propose", type="test.free", payload={"text": "x" * 9_000_000})

        # then
        assert refusal == "too_large"
        assert answer["error"]["details"]["limit_bytes"] == 1_048_576
        assert (await server.ok("list_orders"))["total"] == 0


@pytest.mark.scenario("many-processes")
async def test_two_servers_may_start_at_the_same_instant_where_there_is_no_database_yet(tmp_path: Path) -> None:
    # when
    folder = tmp_path / "not there yet"
    fresh = {"WORKDOCKET_DATABASE": f"sqlite:///{folder / 'work.db'}"}
    starts = [Server.start(tmp_path, "--actor", name, **fresh) for name in ("ann", "bob")]
    ann, bob = await asyncio.gather(*starts)
    try:
        await asyncio.gather(ann.greet(), bob.greet())

        # then
        filed = await ann.ok("propose", type="test.echo", payload={"message": "hi"})
        assert (await bob.ok("checkout"))["items"][0]["order_id"] == filed["order"]["id"]
    finally:
        await asyncio.gather(ann.kill(), bob.kill())


def scripted(*calls: tuple[str, dict[str, Any]]) -> bytes:
    """A whole session, as a client would write it."""
    asked = [("initialize", HANDSHAKE), ("notifications/initialized", {}), *calls]
    return b"".join(
        json.dumps(
            {"jsonrpc": "2.0", "method": method, "params": params}
            | ({} if method.startswith("notifications/") else {"id": n})
        ).encode()
        + b"\n"
        for n, (method, params) in enumerate(asked)
    )


def call_of(tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return "tools/call", {"name": tool, "arguments": arguments}


@pytest.mark.scenario("stdout-is-protocol", "ends-in-time")
@pytest.mark.parametrize("output", ["a pipe", "a file"])
def test_a_session_may_come_from_a_file(tmp_path: Path, output: str) -> None:
    # given
    session, answers = tmp_path / "session", tmp_path / "answers"
    session.write_bytes(scripted(call_of("propose", type="test.echo", payload={"message": "hi"})))

    # when
    with session.open("rb") as stdin, answers.open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "workdocket", "serve"],
            stdin=stdin, stdout=stdout if output == "a file" else subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(tmp_path), cwd=tmp_path, timeout=START_LIMIT, check=False,
        )  # fmt: skip

    # then
    written = answers.read_bytes() if output == "a file" else done.stdout
    assert done.returncode == 0, done.stderr
    assert [message["id"] for message in messages(written)] == [0, 2]
    assert "Traceback" not in done.stderr.decode()


# both eras


async def everything(person: Agent, folder: Path) -> dict[str, dict[str, Any]]:
    """One call of each tool, in an order in which each has something to do."""
    said: dict[str, dict[str, Any]] = {}

    async def ask(tool: str, **arguments: Any) -> dict[str, Any]:
        said[tool] = await person.ok(tool, **arguments)
        return said[tool]

    async def take() -> dict[str, str]:
        [item] = (await ask("checkout"))["items"]
        return held(item)

    await ask("order_types", name="test.partial")
    order_id = (await ask("propose", type="test.free", payload={}))["order"]["id"]
    await ask("list_orders")
    await ask("release", **await take())
    await ask("fail", **await take(), reason="no use", retryable=False)
    await ask("explain", order_id=order_id)
    await ask("retry", order_id=order_id)
    mine = await take()
    await ask("my_work")
    await ask("heartbeat", **mine, progress=0.5)
    await ask("submit", **mine, result={"n": 1})
    await ask("reject", order_id=order_id, errors=[{"message": "again"}], rework=True)
    mine = await take()
    await ask("submit_part", **mine, part_key="n", payload={"n": 2})
    await ask("finalize", **mine)
    await ask("get_item", item_id=mine["item_id"])
    digest = (await ask("review", order_id=order_id))["digest"]
    await ask("approve", order_id=order_id, digest=digest)
    await ask("get_order", order_id=order_id)
    await ask("events", order_id=order_id)
    other = (await ask("propose", type="test.free", payload={}))["order"]["id"]
    await ask("cancel", order_id=other)
    page = (await ask("propose", type="test.page", payload={"file": str(folder / "page")}))["order"]["id"]
    await ask("submit", **await take(), result={"text": "hello"})
    await ask("approve", order_id=page)
    await ask("undo", order_id=page, reason="too soon")
    await ask("propose", type="test.batch", payload={"batches": 2})
    await ask("submit", **await take(), result={"count": 1})
    last = await take()
    await ask("fail", **last, reason="no use", retryable=False)
    await ask("waive", item_id=last["item_id"], reason="one is enough")
    return said


@pytest.mark.scenario("both-eras")
@pytest.mark.parametrize("mode, era", [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_every_tool_works_in_each_protocol_era(tmp_path: Path, mode: str, era: str) -> None:
    async with agent(tmp_path, mode=mode) as person:
        assert person.client.protocol_version == era

        tools = (await person.client.list_tools()).tools
        said = await everything(person, tmp_path)
        refusal = await person.refused("checkout", "invalid_request", count=0)

    assert set(said) == {tool.name for tool in tools}
    assert said["get_order"]["order"]["state"] == "completed"
    assert refusal["details"]["findings"][0]["path"] == "/count"


@pytest.mark.scenario("both-eras")
async def test_both_eras_read_the_same_answer(tmp_path: Path) -> None:
    async with agent(tmp_path, mode="legacy") as early, agent(tmp_path, mode="auto") as late:
        order_id = (await early.ok("propose", type="test.echo", payload={"message": "hi"}))["order"]["id"]

        assert await early.ok("get_order", order_id=order_id) == await late.ok("get_order", order_id=order_id)
        assert (await early.client.list_tools()).tools == (await late.client.list_tools()).tools

"""What was approved is what is applied: one byte of it changed in between, and nothing is."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import doomed, raw
from tests.support.harness import LIMIT
from tests.support.process import Gone, Server, serving

DOOMED = ("-P", doomed.__file__, "serve")
FOUR_EYES = json.dumps([{"gate": "four_eyes"}])


async def approved_and_killed(folder: Path) -> str:
    """An order with an approval and no apply yet: its process ended right after it had recorded the approval."""
    server = await Server.start(folder, program=DOOMED, DOOM="after:INSERT INTO decisions")
    await server.greet()
    (folder / "world").write_text("as it was")
    payload = {"file": str(folder / "ledger"), "shown": str(folder / "world")}
    order_id: str = (await server.ok("propose", type="test.ledger", payload=payload))["order"]["id"]
    [item] = (await server.ok("checkout"))["items"]
    await server.ok("submit", item_id=item["id"], lease_token=item["lease"]["token"], result={"n": 1})
    digest = (await server.ok("review", order_id=order_id))["digest"]
    approving = server.begin_call("approve", order_id=order_id, digest=digest)
    assert await server.ended() == -signal.SIGKILL
    assert isinstance(approving.exception(), Gone)
    return order_id


def edit(folder: Path, statement: str) -> None:
    with raw.opened(folder) as database:
        assert database.execute(statement).rowcount == 1


@pytest.mark.scenario("digest-binds", "drift-goes-back")
@pytest.mark.parametrize(
    "moved, statement",
    [
        ("payload", "UPDATE orders SET payload = replace(payload, 'ledger', 'ledges')"),
        ("payload", """UPDATE orders SET meta = '{"a":1}'"""),
        ("results", "UPDATE submissions SET result = replace(result, '1', '2')"),
        ("results", "UPDATE items SET input = replace(input, 'ledger', 'ledges')"),
        ("type", "UPDATE orders SET type_version = 2"),
        ("preview", None),
        ("policy", None),
    ],
)
async def test_one_byte_changed_after_the_approval_brings_the_order_back_to_review(
    tmp_path: Path, moved: str, statement: str | None
) -> None:
    # given
    order_id = await approved_and_killed(tmp_path)

    # when
    if statement:
        edit(tmp_path, statement)
    if moved == "preview":
        (tmp_path / "world").write_text("as it is")
    later = {"WORKDOCKET_GATES": FOUR_EYES} if moved == "policy" else {}

    # then
    async with serving(tmp_path, **later) as successor:
        shown = await back_in_review(successor, order_id)
        assert shown["order"]["error"]["moved"] == [moved]
        packet = await successor.ok("review", order_id=order_id)
        assert packet["digest"] != shown["decision"]["digest"]
    assert not (tmp_path / "ledger.attempts").exists()


async def back_in_review(server: Server, order_id: str) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT):
        while True:
            shown = await server.ok("get_order", order_id=order_id, wait_seconds=1)
            if shown["order"]["state"] == "submitted":
                return shown


@pytest.mark.scenario("apply-once")
async def test_an_approved_order_that_two_servers_find_at_once_has_one_effect(tmp_path: Path) -> None:
    order_id = await approved_and_killed(tmp_path)

    async with serving(tmp_path) as one, serving(tmp_path) as other:
        async with asyncio.timeout(LIMIT):
            while (await one.ok("get_order", order_id=order_id, wait_seconds=1))["order"]["state"] != "completed":
                pass
        names = [row["event"] for row in (await other.ok("events", order_id=order_id, limit=500))["events"]]

    assert names.count("order.applied") == 1
    assert len((tmp_path / "ledger").read_text().splitlines()) == 1
    assert len((tmp_path / "ledger.attempts").read_text().splitlines()) == 1

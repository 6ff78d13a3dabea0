"""Functions that run only while a work order is being applied, and routes that an apply calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.support import until
from tests.support.harness import LIMIT, House, Person
from tests.support.host import (
    Changing,
    Host,
    guarded,
    handed_in,
    life,
    submitted,
)
from workdocket import WorkError
from workdocket.guard import HEADER, Standing, WorkOrderOnly, applying, current, headers, work_order_only


def refused(call: Callable[[], Any]) -> WorkError:
    with pytest.raises(WorkError) as caught:
        call()
    assert caught.value.code == "forbidden"
    assert caught.value.details["rule"] == "work_order_only"
    return caught.value


@work_order_only()
def rename(name: str) -> str:
    """Give somebody a name."""
    return f"{name} by {headers()[HEADER]}"


@work_order_only(types=["test.changing"])
async def rename_later(name: str) -> str:
    return rename(name)


@pytest.mark.scenario("guard-functions")
async def test_outside_of_an_apply_a_guarded_function_or_block_is_refused() -> None:
    refused(lambda: rename("Ada"))
    with pytest.raises(WorkError):
        await rename_later("Ada")
    with pytest.raises(WorkError), work_order_only():
        raise AssertionError("the block was entered")
    assert (current(), headers()) == (None, {})


def test_a_guarded_function_keeps_its_name_and_signature() -> None:
    assert (rename.__name__, rename.__doc__) == ("rename", "Give somebody a name.")
    assert asyncio.iscoroutinefunction(rename_later)


@pytest.mark.scenario("guard-functions")
async def test_inside_an_async_apply_guarded_functions_pass_also_in_threads(
    work: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def change() -> list[str]:
        with work_order_only():
            return [rename("a"), await rename_later("b"), await asyncio.to_thread(rename, "c")]

    monkeypatch.setattr(Changing, "_in_apply", staticmethod(change))
    order_id = await handed_in(work, "test.changing", {})

    answer = await work.ok("approve", order_id=order_id)

    assert answer["diff"]["after"] == [f"{name} by {order_id}" for name in "abc"]
    refused(lambda: rename("Ada"))


@pytest.mark.scenario("guard-functions")
async def test_inside_a_plain_apply_and_the_hooks_around_it_guarded_functions_pass(
    home: House, work: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    around: list[str] = []
    monkeypatch.setattr(Changing, "_in_apply", staticmethod(lambda: rename("a")))
    monkeypatch.setattr(Changing, "_around", staticmethod(lambda: around.append(rename("b"))))
    order_id = await handed_in(work, "test.blocking", {})

    answer = await work.ok("approve", order_id=order_id)
    await until.event(home, work, order_id, "after_apply.done")

    assert answer["diff"]["after"] == f"a by {order_id}"
    assert around == [f"b by {order_id}"] * 2


async def test_a_guarded_function_of_other_types_refuses_in_the_middle_of_an_apply(
    work: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Changing, "_in_apply", staticmethod(work_order_only(types=["test.echo"])(lambda: "changed")))
    order_id = await handed_in(work, "test.blocking", {})

    refusal = await work.refused("approve", "apply_failed", order_id=order_id)

    assert f"{order_id} is of the type test.blocking" in refusal["message"]


async def test_what_an_apply_leaves_behind_does_not_act_for_it_any_longer(
    work: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, left = asyncio.Event(), []

    async def later() -> str:
        await over.wait()
        return rename("Ada")

    async def change() -> None:
        left.append(asyncio.create_task(later()))

    monkeypatch.setattr(Changing, "_in_apply", staticmethod(change))
    await work.ok("approve", order_id=await handed_in(work, "test.changing", {}))

    over.set()

    with pytest.raises(WorkError, match="no work order is named"):
        await asyncio.wait_for(left[0], LIMIT)


def test_tests_of_a_host_may_play_an_apply() -> None:
    with applying(Standing("WO-7", "test.echo")):
        assert rename("Ada") == "Ada by WO-7"
        with applying(Standing("WO-8", "test.echo")):
            assert rename("Ada") == "Ada by WO-8"
        assert rename("Ada") == "Ada by WO-7"
    refused(lambda: rename("Ada"))


# both together


@pytest.mark.scenario("guard-default")
async def test_an_apply_reaches_a_guarded_route_in_its_own_process_and_by_the_header(
    work: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with guarded(tmp_path) as host:

        async def change() -> list[int]:
            inside, _ = await host.sent("POST", "/customers", {})
            named, _ = await host.ask("POST", **headers())
            unnamed, _ = await host.ask("POST")
            other, _ = await host.sent("POST", "/customers", {HEADER: "WO-99"})
            return [inside, named, unnamed, other]

        monkeypatch.setattr(Changing, "_in_apply", staticmethod(change))
        answer = await work.ok("approve", order_id=await handed_in(work, "test.changing", {}))

    assert answer["diff"]["after"] == [200, 200, 403, 403]


async def test_fastapi_routes_are_guarded_and_their_guarded_functions_answer_403(work: Person, tmp_path: Path) -> None:
    host = Host(app=FastAPI())
    host.app.add_middleware(WorkOrderOnly, states=["submitted"], exempt=["/notes"], database=tmp_path / "work.db")

    @host.app.post("/customers/{number}")
    @work_order_only(types=["test.echo"], states=["submitted"])
    def change(number: int) -> dict[str, Any]:
        order = current()
        assert order is not None
        return {"number": number, "for": order.id}

    @host.app.post("/notes")
    @work_order_only()
    async def note() -> None:
        raise AssertionError("reached")

    echo, other = await submitted(work, tmp_path), await handed_in(work, "test.ledger", {"file": "x"})
    passed = await host.naming(echo, path="/customers/7")
    narrower = await host.naming(other, path="/customers/7")
    by_middleware = await host.ask(path="/customers/7")
    by_function = await host.naming(echo, path="/notes")
    mistyped = await host.naming(echo, path="/customers/seven")
    await life(host.app)

    assert passed == (200, {"number": 7, "for": echo})
    assert (narrower[0], narrower[1]["details"]["types"]) == (403, ["test.echo"])
    assert (by_middleware[0], by_function[0], mistyped[0]) == (403, 403, 422)
    assert by_function[1]["details"]["rule"] == "work_order_only"


async def test_other_errors_of_the_application_stay_its_own(tmp_path: Path) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise WorkError("forbidden", "of the host itself")

    guard = WorkOrderOnly(broken, database=tmp_path / "work.db")
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(WorkError, match="of the host itself"):
        await guard(scope, lambda: asyncio.sleep(0), lambda message: asyncio.sleep(0))  # type: ignore[arg-type]

"""The guard of a host application: what changes without a work order behind it is refused."""

from __future__ import annotations

import asyncio
import contextvars
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from tests.support import raw, until
from tests.support.harness import LIMIT, CountedIds, HandClock, House, Person, settings_for
from tests.support.types import Batch, Echo, Ledger
from workdocket import ApplyContext, Diff, OrderType, WorkError, WorkOrder
from workdocket.app import open_app
from workdocket.guard import HEADER, STATES, Standing, WorkOrderOnly, applying, current, headers, work_order_only
from workdocket.registry import Registry, entry_of


@dataclass
class Host:
    """A program with data of its own, and whoever sends it requests."""

    changes: list[str] = field(default_factory=list)
    app: Any = None

    async def customers(self, request: Request) -> JSONResponse:
        self.changes.append(request.method)
        return JSONResponse({"changes": len(self.changes)})

    async def ask(self, method: str = "POST", path: str = "/customers", **headers: str) -> tuple[int, Any]:
        """Status and body, sent as from another process: with nothing but the headers."""
        sending = contextvars.Context().run(asyncio.create_task, self.sent(method, path, headers))
        return await asyncio.wait_for(sending, LIMIT)

    async def sent(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://host") as client:
            answer = await client.request(method, path, headers=dict(headers))
        return answer.status_code, answer.json() if answer.content else None

    async def naming(self, order_id: str, method: str = "POST", path: str = "/customers") -> tuple[int, Any]:
        return await self.ask(method, path, **{HEADER: order_id})


METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]


@asynccontextmanager
async def guarded(folder: Path, **guard: Any) -> AsyncIterator[Host]:
    """A Starlette application with the guard around it."""
    host = Host()
    routes = [
        Route(path, host.customers, methods=METHODS) for path in ("/customers", "/customers/{n}", "/login", "/loginx")
    ]
    inner = Starlette(routes=routes)
    host.app = WorkOrderOnly(inner, **{"database": folder / "work.db", **guard})
    try:
        yield host
    finally:
        await host.app._orders.close()


async def life(app: Any) -> list[str]:
    """The application started and ended, and what it says to that."""
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    answers: list[str] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        answers.append(message["type"])

    await app({"type": "lifespan", "state": {}}, receive, send)
    return answers


class Changing(OrderType):
    """Its hooks call whatever the test puts here."""

    name = "test.changing"
    payload = {"type": "object"}
    apply_attempts = 1
    _in_apply: ClassVar[Callable[[], Any]] = staticmethod(lambda: None)
    _around: ClassVar[Callable[[], Any]] = staticmethod(lambda: None)

    def before_apply(self, order: WorkOrder, ctx: ApplyContext) -> None:
        self._around()

    async def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, await self._in_apply())

    def after_apply(self, order: WorkOrder, diff: Diff, ctx: ApplyContext) -> None:
        self._around()


class Blocking(Changing):
    name = "test.blocking"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, self._in_apply())


TYPES = Registry([entry_of(cls) for cls in (Echo, Batch, Ledger, Changing, Blocking)])


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """A house with these types and a clock that shows the time at which the guard looks."""
    opened: asyncio.Future[House] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def keep() -> None:
        clock, ids = HandClock(time.time_ns() // 1_000_000), CountedIds()
        async with open_app(settings_for(tmp_path), registry=TYPES, clock=clock, ids=ids, sweep=False) as app:
            opened.set_result(House(app, clock, ids))
            await over.wait()

    keeper = asyncio.create_task(keep())
    yield await asyncio.wait_for(opened, LIMIT)
    over.set()
    await keeper


@pytest.fixture
def work(home: House) -> Person:
    return home.person("agent")


async def handed_in(work: Person, type: str = "test.echo", payload: Any = None) -> str:
    order_id = await work.propose(type, payload)
    await work.hand_in(await work.take(order_id=order_id))
    return order_id


# an order in each of the states


async def queued(work: Person, folder: Path) -> str:
    return await work.propose()


async def checked_out(work: Person, folder: Path) -> str:
    order_id = await work.propose()
    await work.take(order_id=order_id)
    return order_id


async def in_progress(work: Person, folder: Path) -> str:
    order_id = await work.propose()
    item = await work.take(order_id=order_id)
    await work.ok("heartbeat", item_id=item["id"], lease_token=item["lease"]["token"])
    return order_id


async def submitted(work: Person, folder: Path) -> str:
    return await handed_in(work)


async def approved(work: Person, folder: Path) -> str:
    """Its first attempt has failed, and the next one is not due yet."""
    order_id = await handed_in(work, "test.ledger", {"file": str(folder / "ledger"), "fail_times": 1})
    await work.refused("approve", "apply_failed", order_id=order_id)
    return order_id


async def completed(work: Person, folder: Path) -> str:
    order_id = await handed_in(work)
    await work.ok("approve", order_id=order_id)
    return order_id


async def failed(work: Person, folder: Path) -> str:
    order_id = await work.propose()
    item = await work.take(order_id=order_id)
    token = item["lease"]["token"]
    await work.ok("fail", item_id=item["id"], lease_token=token, reason="no", retryable=False)
    return order_id


async def rejected(work: Person, folder: Path) -> str:
    order_id = await handed_in(work)
    await work.ok("reject", order_id=order_id, errors=[{"message": "no"}])
    return order_id


async def cancelled(work: Person, folder: Path) -> str:
    order_id = await work.propose()
    await work.ok("cancel", order_id=order_id)
    return order_id


IN_STATE = (queued, checked_out, in_progress, submitted, approved, completed, failed, rejected, cancelled)
each_state = pytest.mark.parametrize("make", IN_STATE, ids=lambda make: make.__name__)


@asynccontextmanager
async def in_apply(home: House, folder: Path) -> AsyncIterator[str]:
    """An order whose apply has begun, and goes on when the block is left."""
    work, fifo = home.person("agent"), folder / "fifo"
    os.mkfifo(fifo)
    order_id = await handed_in(work, "test.ledger", {"file": str(folder / "ledger"), "pause_before": str(fifo)})
    deciding = asyncio.create_task(work.ok("approve", order_id=order_id))

    async def claimed() -> bool:
        effects = await home.app.desk.store.read(lambda tx: tx.effects(order_id))
        return any(effect.claim for effect in effects)

    await until.found(home, claimed)
    yield order_id
    await asyncio.wait_for(asyncio.to_thread(fifo.read_text), LIMIT)
    await asyncio.wait_for(deciding, LIMIT)


# routes


@each_state
async def test_by_default_no_order_passes_that_is_not_being_applied(work: Person, tmp_path: Path, make: Any) -> None:
    order_id = await make(work, tmp_path)
    async with guarded(tmp_path) as host:
        # when
        status, body = await host.naming(order_id)

    # then
    assert (status, host.changes) == (403, [])
    assert body["code"] == "forbidden"
    assert body["details"]["state"] == make.__name__
    assert "applying" in body["hint"]


@pytest.mark.scenario("guard-default")
async def test_by_default_an_order_passes_while_it_is_being_applied_and_not_after(home: House, tmp_path: Path) -> None:
    async with guarded(tmp_path) as host:
        async with in_apply(home, tmp_path) as order_id:
            during = await host.naming(order_id)
        after = await host.naming(order_id)

    assert during == (200, {"changes": 1})
    assert after[0] == 403
    assert after[1]["details"]["state"] == "completed"


async def test_an_apply_that_nobody_has_kept_hold_of_is_not_under_way(home: House, tmp_path: Path) -> None:
    async with guarded(tmp_path) as host, in_apply(home, tmp_path) as order_id:
        with raw.opened(tmp_path) as database:
            database.execute("UPDATE effects SET claimed_until = 1")

        status, body = await host.naming(order_id)

    assert (status, body["details"]["state"]) == (403, "approved")
    assert "nothing applies it at this moment" in body["message"]


@pytest.mark.scenario("X11")
@each_state
@pytest.mark.parametrize("allowed", [("submitted",), ("approved", "applied"), ("queued", "completed")], ids="|".join)
async def test_with_states_given_an_order_in_one_of_them_passes_and_any_other_is_told_them(
    work: Person, tmp_path: Path, make: Any, allowed: tuple[str, ...]
) -> None:
    order_id = await make(work, tmp_path)
    async with guarded(tmp_path, states=allowed) as host:
        # when
        status, body = await host.naming(order_id)

    # then
    if make.__name__ in allowed:
        assert (status, host.changes) == (200, ["POST"])
    else:
        assert (status, host.changes) == (403, [])
        assert body["details"]["states"] == list(allowed)
        assert " or ".join(allowed) in body["hint"]


@each_state
async def test_with_no_states_at_all_every_order_passes(work: Person, tmp_path: Path, make: Any) -> None:
    order_id = await make(work, tmp_path)
    async with guarded(tmp_path, states=None) as host:
        assert await host.naming(order_id) == (200, {"changes": 1})


@pytest.mark.scenario("guard-refuses")
async def test_without_the_header_the_route_is_not_reached_and_the_answer_is_a_problem(tmp_path: Path) -> None:
    async with guarded(tmp_path) as host:
        transport = httpx2.ASGITransport(app=host.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://host") as client:
            answer = await client.post("/customers")

    assert (answer.status_code, host.changes) == (403, [])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:workdocket:forbidden",
        "title": "The caller lacks the role.",
        "status": 403,
        "detail": "no work order is named for this change",
        "code": "forbidden",
        "message": "no work order is named for this change",
        "hint": "Make the change in the apply of a work order, or send one that is applying as X-Work-Order-ID.",
        "retryable": False,
        "details": {"rule": "work_order_only", "states": ["applying"]},
    }


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("named", ["WO-99", "", "wo-1", "WO-1, WO-2", "'; DROP TABLE orders", "x" * 5000])
async def test_an_order_that_there_is_not_is_refused(tmp_path: Path, named: str) -> None:
    async with guarded(tmp_path, states=None) as host:
        status, body = await host.naming(named)

    assert (status, host.changes) == (403, [])
    assert body["message"].startswith("there is no work order")
    assert len(body["message"]) < 100


async def test_two_orders_named_at_once_are_none(work: Person, tmp_path: Path) -> None:
    first, second = await queued(work, tmp_path), await queued(work, tmp_path)
    async with guarded(tmp_path, states=None) as host:
        transport = httpx2.ASGITransport(app=host.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://host") as client:
            twice = await client.post("/customers", headers=[(HEADER, first), (HEADER, first)])
            mixed = await client.post("/customers", headers=[(HEADER, first), (HEADER, second)])

    assert (twice.status_code, mixed.status_code) == (200, 403)


async def test_an_order_of_another_type_is_refused(work: Person, tmp_path: Path) -> None:
    order_id = await submitted(work, tmp_path)
    async with guarded(tmp_path, states=None, types=["test.batch"]) as strict:
        status, body = await strict.naming(order_id)
    async with guarded(tmp_path, states=None, types="test.echo") as lenient:
        passed = await lenient.naming(order_id)

    assert (status, body["details"]["types"], body["details"]["type"]) == (403, ["test.batch"], "test.echo")
    assert body["hint"].endswith("send one of the type test.batch as X-Work-Order-ID.")
    assert passed[0] == 200


@pytest.mark.parametrize("method", METHODS)
async def test_methods_that_read_pass_and_those_that_change_do_not(tmp_path: Path, method: str) -> None:
    async with guarded(tmp_path) as host:
        status, _ = await host.ask(method)

    reading = method in ("GET", "HEAD", "OPTIONS")
    assert (status, host.changes) == ((200, [method]) if reading else (403, []))


async def test_methods_can_be_named(tmp_path: Path) -> None:
    async with guarded(tmp_path, methods=["delete"]) as host:
        assert [(await host.ask(method))[0] for method in ("POST", "DELETE")] == [200, 403]


async def test_paths_can_be_named_and_exempted_by_whole_segments(tmp_path: Path) -> None:
    async with guarded(tmp_path, exempt=["/login"]) as most:
        open_to_all = [(await most.ask(path=path))[0] for path in ("/login", "/loginx", "/customers")]
    async with guarded(tmp_path, paths=["/customers"]) as few:
        closed = [(await few.ask(path=path))[0] for path in ("/customers", "/customers/7", "/login")]

    assert open_to_all == [200, 403, 403]
    assert closed == [403, 403, 200]


async def test_paths_are_those_of_the_routes_wherever_the_application_is_mounted(tmp_path: Path) -> None:
    async with guarded(tmp_path, paths=["/customers"]) as host:
        host.app, guard = Starlette(routes=[Mount("/api", host.app)]), host.app
        asked = [(await host.ask(path=path))[0] for path in ("/api/customers", "/api/customers/7", "/api/login")]
        host.app = guard

    assert asked == [403, 403, 200]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"states": ["aproved"]}, "there is no order state 'aproved'; did you mean 'approved'"),
        ({"paths": ["customers"]}, "the path 'customers' would guard nothing"),
        ({"exempt": "login"}, "the path 'login' would guard nothing"),
    ],
)
def test_a_guard_that_could_never_do_what_was_meant_is_not_made(tmp_path: Path, given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        WorkOrderOnly(Starlette(), database=tmp_path / "work.db", **given)


def test_a_guard_needs_a_database_that_it_can_read() -> None:
    with pytest.raises(WorkError, match="SQLite only"):
        WorkOrderOnly(Starlette(), database="postgresql://localhost/work")


def test_every_state_of_an_order_can_be_named() -> None:
    work_order_only(states=STATES)
    assert {make.__name__ for make in IN_STATE} < set(STATES)


# the database


async def test_while_the_work_orders_cannot_be_read_nothing_passes_and_later_it_does(tmp_path: Path) -> None:
    async with guarded(tmp_path, states=None) as host:
        status, body = await host.naming("WO-1")
        assert (status, body["code"], body["retryable"], host.changes) == (503, "busy", True, [])
        assert list(tmp_path.iterdir()) == []

        async with open_app(settings_for(tmp_path), registry=TYPES, sweep=False) as app:
            order_id = await House(app, HandClock(), CountedIds()).person("agent").propose()
            assert await host.naming(order_id) == (200, {"changes": 1})


async def test_a_database_of_another_version_is_not_guessed_at(work: Person, tmp_path: Path) -> None:
    order_id = await queued(work, tmp_path)
    async with guarded(tmp_path, states=None) as host:
        assert (await host.naming(order_id))[0] == 200
        with raw.opened(tmp_path) as database:
            database.execute("PRAGMA user_version = 999")

        assert (await host.naming(order_id))[0] == 503


async def test_a_database_put_in_its_place_is_the_one_that_counts(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, orders in ((old, 1), (new, 2)):
        folder.mkdir()
        async with open_app(settings_for(folder), registry=TYPES, sweep=False) as app:
            person = House(app, HandClock(), CountedIds()).person("agent")
            order_id = [await person.propose() for _ in range(orders)][-1]
    async with guarded(old, states=None) as host:
        assert (await host.naming(order_id))[0] == 403

        os.replace(new / "work.db", old / "work.db")

        assert (await host.naming(order_id))[0] == 200


async def test_the_guard_changes_nothing_in_the_database(work: Person, tmp_path: Path) -> None:
    order_id = await queued(work, tmp_path)
    before = raw.everything(tmp_path)
    async with guarded(tmp_path, states=None) as host:
        await host.naming(order_id)

    assert raw.everything(tmp_path) == before


# other scopes


async def test_lifespan_and_websockets_go_through_untouched(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    async def nothing(*message: Any) -> None:
        raise AssertionError(message)

    guard = WorkOrderOnly(app, database=tmp_path / "work.db")
    scopes = [{"type": "websocket", "path": "/customers", "headers": []}, {"type": "lifespan"}]
    for scope in scopes:
        await guard(scope, nothing, nothing)

    assert seen == [(scope, nothing, nothing) for scope in scopes]


async def test_the_end_of_the_application_closes_the_database_and_a_new_start_opens_it(
    work: Person, tmp_path: Path
) -> None:
    order_id = await queued(work, tmp_path)
    async with guarded(tmp_path, states=None) as host:
        assert (await host.naming(order_id))[0] == 200
        # when
        answers = await life(host.app)

        # then
        assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert host.app._orders._connection is None
        assert (await host.naming(order_id))[0] == 200


# functions


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

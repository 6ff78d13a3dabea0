"""The guard of a host application: requests that would change something without a work order are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.support import raw
from tests.support.harness import CountedIds, HandClock, House, Person, settings_for
from tests.support.host import (
    IN_STATE,
    METHODS,
    TYPES,
    guarded,
    in_apply,
    life,
    queued,
    submitted,
)
from workdocket import WorkError
from workdocket.app import open_app
from workdocket.guard import HEADER, STATES, WorkOrderOnly, work_order_only

each_state = pytest.mark.parametrize("make", IN_STATE, ids=lambda make: make.__name__)


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

"""The tools by HTTP: the same answers and refusals, with what HTTP has for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import held
from tests.support.web import Site, site
from workdocket.domain.errors import CATALOGUE
from workdocket.surfaces.tools import TOOLS

ECHO = {"type": "test.echo", "payload": {"message": "hi"}}


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, which has to be one of RFC 9457."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= body.keys()
    assert (body["code"], body["status"]) == (code, status)
    return body


@pytest.mark.scenario("http-same-tools")
async def test_an_order_goes_its_whole_way_by_http(here: Site) -> None:
    order = (await here.post("propose", **ECHO)).json()["order"]
    item = (await here.post("checkout", order_id=order["id"])).json()["items"][0]
    await here.post("heartbeat", **held(item), progress=0.5)
    sent = await here.post("submit", **held(item), result={"message": "hi", "verified": True})
    assert sent.json()["order"]["state"] == "submitted"
    packet = (await here.get("review", order_id=order["id"])).json()
    done = (await here.post("approve", order_id=order["id"], digest=packet["digest"])).json()
    assert (done["order"]["state"], done["applied"]) == ("completed", True)


@pytest.mark.scenario("http-same-tools")
async def test_every_tool_is_there_and_answers_as_it_does_to_agents(here: Site) -> None:
    person = here.house.person("local")
    await person.propose()
    for name, arguments in {"list_orders": {"limit": 20}, "get_item": {"item_id": "WO-1.1"}, "order_types": {}}.items():
        by_http = await here.post(name, **arguments)
        assert by_http.json() == json.loads(json.dumps(await person.ok(name, **arguments)))
    for name in TOOLS:
        answer = await here.post(name)
        assert answer.status_code in (200, 422), answer.text


@pytest.mark.scenario("http-same-tools")
@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("propose", {"type": "test.none", "payload": {}}, "unknown_type"),
        ("propose", {"type": "test.echo", "payload": {}}, "invalid_payload"),
        ("propose", {**ECHO, "priorty": 3}, "invalid_request"),
        ("get_order", {"order_id": "WO-77"}, "not_found"),
        ("approve", {"order_id": "WO-1"}, "illegal_transition"),
        ("heartbeat", {"item_id": "WO-1.1", "lease_token": "none"}, "lease_lost"),
        ("no_such_tool", {}, "not_found"),
    ],
)
async def test_a_refusal_has_the_status_of_its_code_and_says_the_same(
    here: Site, tool: str, arguments: dict[str, Any], code: str
) -> None:
    person = here.house.person("local")
    await person.propose()
    told = await person.refused(tool, code, **arguments)
    body = problem(await here.post(tool, **arguments), CATALOGUE[code].http, code)
    assert {key: body[key] for key in told} == told


@pytest.mark.scenario("http-same-tools")
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'"text"', "application/json"),
        (b'{"name": NaN}', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"{}", "text/plain"),
        (b"name=test.echo", "application/x-www-form-urlencoded"),
        (b'{"name": ' + b"[" * 10_000, "application/json"),
        (b'{"name": "' + b"\\ud800" + b'"}', "application/json"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(here: Site, content: bytes, kind: str) -> None:
    answer = await here.client.post("/v1/order_types", content=content, headers={"content-type": kind})
    problem(answer, 422, "invalid_request")


@pytest.mark.scenario("http-too-large")
async def test_a_body_over_the_limit_is_refused_whether_its_length_is_said_or_not(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b" " * 10_000

    async with site(tmp_path, max_payload_bytes=1000) as here:
        kind = {"content-type": "application/json"}
        said = await here.client.post("/v1/order_types", content=b" " * 4_000_000, headers=kind)
        unsaid = await here.client.post("/v1/order_types", content=pieces(), headers=kind)
        for answer in (said, unsaid):
            assert problem(answer, 413, "too_large")["details"]["limit"] > 1000


@pytest.mark.scenario("http-idempotency-key")
async def test_the_header_is_the_argument(here: Site) -> None:
    key = {"Idempotency-Key": "one"}
    first = await here.client.post("/v1/propose", json=ECHO, headers=key)
    again = await here.client.post("/v1/propose", json=ECHO, headers=key)
    by_argument = await here.post("propose", **ECHO, idempotency_key="one")
    assert again.json() == by_argument.json() == {**first.json(), "replayed": True}
    other = {**ECHO, "priority": 7}
    problem(await here.client.post("/v1/propose", json=other, headers=key), 409, "idempotency_conflict")
    both = {**ECHO, "idempotency_key": "two"}
    problem(await here.client.post("/v1/propose", json=both, headers=key), 422, "invalid_request")


@pytest.mark.scenario("http-idempotency-key")
async def test_a_server_that_demands_keys_takes_the_header(tmp_path: Path) -> None:
    async with site(tmp_path, require_idempotency_keys=True) as here:
        problem(await here.post("propose", **ECHO), 428, "idempotency_required")
        answer = await here.client.post("/v1/propose", json=ECHO, headers={"Idempotency-Key": "one"})
        assert answer.status_code == 200


@pytest.mark.scenario("http-etag")
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_read_that_is_still_the_same_is_not_sent_again(here: Site, method: str) -> None:
    async def read(**headers: str) -> Any:
        given = {"params": {"order_id": "WO-1"}} if method == "GET" else {"json": {"order_id": "WO-1"}}
        return await here.client.request(method, "/v1/get_order", headers=headers, **given)  # type: ignore[arg-type]

    await here.post("propose", **ECHO)
    tag = (await read()).headers["etag"]
    unchanged = await read(**{"If-None-Match": f'"other", W/{tag}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    await here.post("checkout")
    changed = await read(**{"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


@pytest.mark.scenario("http-etag")
async def test_a_call_that_changes_something_has_no_etag_and_is_not_kept(here: Site) -> None:
    answer = await here.post("propose", **ECHO)
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.scenario("http-get")
async def test_what_only_reads_is_there_by_get_with_its_arguments_typed(here: Site) -> None:
    person = here.house.person("local")
    for priority in (10, 60):
        await person.propose(priority=priority, meta={"batch": 1})
    query = {"min_priority": "50", "has_available_items": "true", "meta": '{"batch": 1}', "limit": "5"}
    found = (await here.get("list_orders", **query)).json()
    assert [order["id"] for order in found["orders"]] == ["WO-2"]


@pytest.mark.scenario("http-get")
@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("list_orders?limit=many", "/limit"),
        ("list_orders?limit=", "/limit"),
        ("list_orders?has_available_items=yes", "/has_available_items"),
        ("list_orders?colour=red", "/colour"),
        ("list_orders?type=a&type=b", ""),
    ],
)
async def test_a_query_that_does_not_fit_is_refused_with_the_place(here: Site, path: str, at: str) -> None:
    body = problem(await here.client.get(f"/v1/{path}"), 422, "invalid_request")
    assert [finding["path"] for finding in body["details"]["findings"]] == [at]


@pytest.mark.scenario("http-get")
async def test_get_never_changes_anything(here: Site) -> None:
    for name, spec in TOOLS.items():
        if not spec.hints[0]:
            refused = await here.client.get(f"/v1/{name}")
            problem(refused, 405, "invalid_request")
            assert refused.headers["allow"] == "POST"


@pytest.mark.scenario("L19", "L21")
async def test_a_page_has_fifty_rows_and_fewer_when_asked(here: Site) -> None:
    person = here.house.person("local")
    for _ in range(51):
        await person.propose()
    assert len((await here.post("list_orders")).json()["orders"]) == 50
    page = (await here.post("list_orders", limit=5)).json()
    assert (len(page["orders"]), page["total"]) == (5, 51)
    assert len((await here.get("list_orders", limit="5", cursor=page["next_cursor"])).json()["orders"]) == 5
    assert len((await person.ok("list_orders"))["orders"]) == 20


@pytest.mark.scenario("http-typed")
@pytest.mark.parametrize(
    ("tool", "arguments", "at"),
    [
        ("propose", {**ECHO, "priority": "5"}, "/priority"),
        ("propose", {**ECHO, "validate_only": 1}, "/validate_only"),
        ("list_orders", {"limit": True}, "/limit"),
        ("get_order", {"order_id": "WO-1", "wait_seconds": "1"}, "/wait_seconds"),
    ],
)
async def test_a_number_or_truth_value_is_one_in_json(here: Site, tool: str, arguments: Any, at: str) -> None:
    body = problem(await here.post(tool, **arguments), 422, "invalid_request")
    assert [finding["path"] for finding in body["details"]["findings"]] == [at]


@pytest.mark.scenario("http-typed")
async def test_an_object_may_come_as_a_json_text_here_too(here: Site) -> None:
    answer = await here.post("propose", type="test.echo", payload='{"message": "hi"}')
    assert answer.json()["order"]["payload"] == {"message": "hi"}


@pytest.mark.scenario("http-problem")
@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/", "/v1/propose/more", "/v2/propose"])
async def test_a_path_that_leads_nowhere_is_a_problem_too(here: Site, path: str) -> None:
    problem(await here.client.get(path), 404, "not_found")


@pytest.mark.scenario("http-problem")
async def test_a_method_that_a_path_does_not_have_is_named(here: Site) -> None:
    refused = await here.client.delete("/v1/propose")
    problem(refused, 405, "invalid_request")
    assert "POST" in refused.headers["allow"]


@pytest.mark.scenario("X18")
async def test_health_tells_the_database_the_orders_and_the_leases(here: Site) -> None:
    person = here.house.person("local")
    for _ in range(3):
        await person.propose()
    _, second = [await person.take() for _ in range(2)]
    here.house.clock.forward(500)
    await person.ok("heartbeat", **held(second))
    here.house.clock.forward(200)
    told = (await here.client.get("/healthz")).json()
    assert told == {
        "status": "ok",
        "database": "ok",
        "orders": {"checked_out": 1, "in_progress": 1, "queued": 1},
        "leases": {"live": 1, "expired": 1},
    }

"""Who may come in: the server's own name, its own pages, and whoever has a token."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from tests.http.test_shim import problem
from tests.support.harness import agent
from tests.support.web import Site, bearing, served, site
from workdocket.surfaces.entrance import is_loopback
from workdocket.surfaces.tools import TOOLS

EVERYWHERE = ["/healthz", "/v1/list_orders", "/v1/openapi.json", "/mcp", "/sse", "/messages/", "/nothing"]


@pytest.mark.scenario("http-host-and-origin")
@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "", "localhost@evil"])
async def test_a_host_that_is_not_the_servers_own_gets_nothing_anywhere(here: Site, path: str, host: str) -> None:
    problem(await here.client.get(path, headers={"Host": host}), 421, "forbidden")


@pytest.mark.scenario("http-host-and-origin")
@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:3000", "http://localhost", "file://", "http://[::1"]
)
async def test_a_page_of_another_origin_gets_nothing_anywhere(here: Site, path: str, method: str, origin: str) -> None:
    problem(await here.client.request(method, path, headers={"Origin": origin}), 403, "forbidden")


@pytest.mark.scenario("http-host-and-origin")
@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost:8787", "[::1]:8787", "LOCALHOST"])
async def test_this_machine_has_three_names(here: Site, host: str) -> None:
    assert (await here.client.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.scenario("http-host-and-origin")
@pytest.mark.parametrize("origin", ["http://127.0.0.1:8787", "http://localhost:8787", "http://[::1]:8787"])
async def test_the_servers_own_pages_may_call_it(here: Site, origin: str) -> None:
    assert (await here.client.get("/v1/list_orders", headers={"Origin": origin})).status_code == 200


@pytest.mark.scenario("http-host-and-origin")
async def test_hosts_and_origins_of_the_settings_are_let_in_and_browsers_are_told(tmp_path: Path) -> None:
    page = "https://board.example"
    async with site(tmp_path, allowed_hosts=["Docket.Example"], allowed_origins=[page]) as here:
        named = {"Host": "docket.example:443", "Origin": page}
        answer = await here.client.get("/v1/list_orders", headers=named)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, page)
        wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key"}
        before = await here.client.options("/v1/propose", headers={**named, **wanted})
        assert before.status_code == 200
        assert "Idempotency-Key" in before.headers["access-control-allow-headers"]


@pytest.mark.scenario("http-token-asked-for")
async def test_without_any_token_whoever_is_on_this_machine_may_call(here: Site) -> None:
    assert (await here.post("list_orders")).status_code == 200


@pytest.mark.scenario("http-token-asked-for", "X8", "G4", "N37")
async def test_once_there_is_a_token_nobody_comes_in_without_a_valid_one(here: Site) -> None:
    secret = await here.token("ann", "worker")
    near = [secret[:-1], f"{secret}x", secret[:-1] + ("a" if secret[-1] != "a" else "b"), "", "wdk", "x" * len(secret)]
    wrong = [{}, *({"Authorization": f"Bearer {one}"} for one in near), {"Authorization": secret}]
    wrong += [{"Authorization": f"Basic {secret}"}, {"Authorization": "Bearer"}]
    for headers in wrong:
        for path in EVERYWHERE[1:]:
            answer = await here.client.post(path, headers=headers)
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")
    for scheme in ("Bearer", "bearer", "BEARER"):
        right = await here.client.post("/v1/list_orders", headers={"Authorization": f"{scheme} {secret}"})
        assert right.status_code == 200
    again = await here.client.post("/v1/list_orders", headers={"Authorization": f"Bearer {near[2]}"})
    problem(again, 401, "unauthenticated")


@pytest.mark.scenario("http-token-asked-for")
async def test_two_credentials_in_one_request_are_none(here: Site) -> None:
    secret = await here.token("ann", "worker")
    twice = [("Authorization", f"Bearer {secret}"), ("Authorization", f"Bearer {secret}")]
    problem(await here.client.post("/v1/list_orders", headers=twice), 401, "unauthenticated")


@pytest.mark.scenario("http-token-asked-for")
async def test_a_token_that_is_not_asked_for_is_not_ignored_either(here: Site) -> None:
    problem(await here.post("list_orders", "wdk_nonsense"), 401, "unauthenticated")


@pytest.mark.scenario("http-token-asked-for")
async def test_a_token_is_worth_nothing_from_the_moment_it_is_revoked_and_the_door_stays_shut(here: Site) -> None:
    secret = await here.token("ann")
    assert (await here.post("list_orders", secret)).status_code == 200
    await here.house.app.tokens.revoke("ann", here.house.person("operator").caller.actor)
    problem(await here.post("list_orders", secret), 401, "unauthenticated")
    problem(await here.post("list_orders"), 401, "unauthenticated")


@pytest.mark.scenario("http-token-asked-for")
async def test_health_answers_without_a_token_but_tells_no_numbers(here: Site) -> None:
    secret = await here.token("ann")
    assert (await here.client.get("/healthz")).json() == {"status": "ok"}
    assert "orders" in (await here.client.get("/healthz", headers=bearing(secret))).json()


@pytest.mark.scenario("http-roles")
async def test_a_token_may_do_what_its_roles_may_and_the_log_names_its_holder(here: Site) -> None:
    asks, works = await here.token("ann", "requester"), await here.token("bob", "worker")
    echo = {"type": "test.echo", "payload": {"message": "hi"}}
    problem(await here.post("propose", works, **echo), 403, "forbidden")
    await here.post("propose", asks, **echo)
    problem(await here.post("checkout", asks), 403, "forbidden")
    answer = await here.client.post(
        "/v1/checkout", json={"agent": "crawler"}, headers={**bearing(works), "User-Agent": "robot/2"}
    )
    assert answer.json()["items"]
    events = {event["event"]: event for event in await here.house.person("root").events("WO-1")}
    assert events["order.proposed"]["actor_id"] == "ann"
    leased = events["item.leased"]
    assert (leased["actor_id"], leased["agent"], leased["client"]) == ("bob", "crawler", "robot/2")


@pytest.mark.scenario("http-roles")
async def test_a_persons_token_is_a_person_for_programs_and_an_agent_over_mcp(tmp_path: Path) -> None:
    async with served(tmp_path) as server, agent(tmp_path) as operator:
        made = await _token(tmp_path, "ann", "user")
        async with httpx2.AsyncClient(base_url=server.url, headers=bearing(made)) as http:
            echo = {"type": "test.echo", "payload": {"message": "hi"}}
            await http.post("/v1/propose", json=echo)
            async with Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client:
                await client.call_tool("propose", echo)
        events = (await operator.ok("events", event="order.proposed"))["events"]
        assert [(event["actor_type"], event["actor_id"]) for event in events] == [("user", "ann"), ("agent", "ann")]
        assert events[1]["client"].startswith("mcp/")


async def _token(folder: Path, name: str, kind: Any, *roles: str) -> str:
    async with site(folder) as operator:
        return await operator.token(name, *roles, kind=kind)


@pytest.mark.scenario("http-roles")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_agent_with_a_token_sees_the_tools_of_its_roles(tmp_path: Path, mode: Any) -> None:
    async with served(tmp_path) as server:
        secret = await _token(tmp_path, "bob", "agent", "worker")
        async with (
            httpx2.AsyncClient(headers=bearing(secret)) as http,
            Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=mode) as client,
        ):
            names = {tool.name for tool in (await client.list_tools()).tools}
            refused = await client.call_tool("approve", {"order_id": "WO-1"})
        assert names == {spec.name for spec in TOOLS.values() if "worker" in spec.roles}
        assert refused.structured_content["error"]["code"] == "forbidden"


@pytest.mark.scenario("http-session-bound")
async def test_a_session_that_one_token_opened_is_not_there_for_another(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        ann, bob = [await _token(tmp_path, name, "agent") for name in ("ann", "bob")]
        async with httpx2.AsyncClient(base_url=server.url) as http:
            opening = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "initialize",
                "params": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "clientInfo": {"name": "x", "version": "1"},
                },
            }
            accepts = {"Accept": "application/json, text/event-stream"}
            opened = await http.post("/mcp", json=opening, headers={**accepts, **bearing(ann)})
            session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], **accepts}
            asking = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
            assert (await http.post("/mcp", json=asking, headers={**session, **bearing(bob)})).status_code == 404
            assert (await http.post("/mcp", json=asking, headers={**session, **bearing(ann)})).status_code == 200


@pytest.mark.scenario("http-sse")
async def test_legacy_sse_serves_the_same_and_opens_no_database_of_its_own(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        opened = _open_files(server.process.pid)
        async with Client(sse_client(f"{server.url}/sse")) as one, Client(sse_client(f"{server.url}/sse")) as two:
            await one.call_tool("propose", {"type": "test.echo", "payload": {"message": "hi"}})
            seen = await two.call_tool("list_orders", {})
            assert seen.structured_content["total"] == 1
            assert _open_files(server.process.pid) <= opened | {"work.db", "work.db-wal", "work.db-shm"}


def _open_files(pid: int) -> set[str]:
    """Names of the database's files, one for each time it is open."""
    links = list(Path(f"/proc/{pid}/fd").iterdir())
    names = [link.readlink().name for link in links if link.is_symlink()]
    return {f"{name}" for name in names if name.startswith("work.db")}


@pytest.mark.scenario("calls-per-minute")
async def test_a_principal_over_its_pace_is_told_when_to_come_again_at_both_doors(tmp_path: Path) -> None:
    async with site(tmp_path, max_calls_per_minute=2) as here:
        ann, bob = await here.token("ann"), await here.token("bob")
        for _ in range(2):
            assert (await here.post("list_orders", ann)).status_code == 200
        refused = await here.post("list_orders", ann)
        body = problem(refused, 429, "limit_exceeded")
        assert 0 < body["retry_after_seconds"] <= 30
        assert int(refused.headers["retry-after"]) >= body["retry_after_seconds"] - 1
        assert body["details"] == {"limit": "max_calls_per_minute", "value": 2}
        assert (await here.post("list_orders", bob)).status_code == 200


@pytest.mark.scenario("http-token-beyond-loopback")
def test_what_is_beyond_this_machine() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LocalHost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.4", "docket.example", ""))


@pytest.mark.scenario("http-token-beyond-loopback")
async def test_a_server_beyond_this_machine_starts_only_once_there_is_a_token(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="token create"):
        async with served(tmp_path, "--host", "0.0.0.0"):
            pass
    secret = await _token(tmp_path, "ann", "agent")
    async with served(tmp_path, "--host", "0.0.0.0") as server, httpx2.AsyncClient() as http:
        there = f"http://127.0.0.1:{server.port}/v1/list_orders"
        assert (await http.post(there)).status_code == 401
        assert (await http.post(there, headers=bearing(secret))).status_code == 200


@pytest.mark.scenario("tokens-unlogged")
async def test_no_log_has_a_token(tmp_path: Path) -> None:
    async with served(tmp_path, WORKDOCKET_LOG_LEVEL="debug") as server:
        secret = await _token(tmp_path, "ann", "agent")
        async with httpx2.AsyncClient(base_url=server.url) as http:
            await http.post("/v1/list_orders", headers=bearing(secret))
            await http.post("/v1/list_orders", headers=bearing(f"{secret[:-1]}_"))
        async with (
            httpx2.AsyncClient(headers=bearing(secret)) as http,
            Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client,
        ):
            await client.call_tool("list_orders", {})
        server.end()
        await server.ended()
    told = "".join(server.said)
    assert "workdocket" in told
    assert secret[-20:] not in told
    assert hashlib.sha256(secret.encode()).hexdigest() not in told

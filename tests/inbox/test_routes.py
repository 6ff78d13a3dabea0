"""Routes of the inbox in this process: who comes in, what a form needs, and what the headers say."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.harness import LIMIT, House, held
from tests.support.kept import kept
from tests.support.reviewing import SHOP, Crew, office
from tests.support.web import AT, Site, site
from workdocket.surfaces.inbox import live, sessions
from workdocket.surfaces.inbox.pages import HERE, own_path

HTML = {"Accept": "text/html"}
PAGES = ["/", "/orders", "/orders/WO-1", "/items/WO-1.1", "/leases", "/flow", "/events", "/next"]


@dataclass
class Browser:
    """A client with cookies, that fills in the hidden fields of the last page as a browser does."""

    site: Site
    client: httpx2.AsyncClient
    hidden: dict[str, str]

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        found = await self.client.get(path, headers={**HTML, **headers})
        if found.status_code == 200:
            self.hidden = fields(found.text)
        return found

    async def post(self, path: str, **sent: Any) -> httpx2.Response:
        """A form of the last page; a field that is ``None`` is left out."""
        data = {key: value for key, value in {**self.hidden, **sent}.items() if value is not None}
        return await self.client.post(path, data=data, headers={**HTML, "Origin": AT})

    async def sign_in(self, name: str, *roles: str, kind: str = "user") -> httpx2.Response:
        secret = await self.site.token(name, *roles, kind=kind)
        return await self.post("/signin", token=secret, to="/")


def fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    async with kept(site(tmp_path, order_types=[str(SHOP)])) as found:
        yield found


@pytest.fixture
async def browser(here: Site) -> AsyncIterator[Browser]:
    transport = httpx2.ASGITransport(app=here.web.app)
    async with httpx2.AsyncClient(transport=transport, base_url=AT) as client:
        yield Browser(here, client, {})


@pytest.fixture
def crew(here: Site) -> Crew:
    return Crew(here.house)


async def decisions(house: House, order_id: str) -> list[str]:
    return [name for name in await house.person("eve").event_names(order_id) if name == "decision.recorded"]


# who comes in


@pytest.mark.scenario("inbox-sign-in")
async def test_without_any_token_this_machines_user_is_signed_in_as_a_person(crew: Crew, browser: Browser) -> None:
    order_id = await crew.handed_in("access.grant", {"who": "x", "has": [], "wants": "read"}, {})
    await browser.get(f"/orders/{order_id}")

    done = await browser.post(f"/orders/{order_id}/decide", verdict="approve")

    assert done.status_code == 303
    [event] = [e for e in await crew.agent("eve").events(order_id) if e["event"] == "decision.recorded"]
    assert (event["actor_type"], event["actor_id"]) == ("user", "local")


@pytest.mark.scenario("inbox-sign-in")
@pytest.mark.parametrize("path", PAGES)
async def test_once_a_token_was_made_a_browser_is_led_to_signing_in_and_others_are_refused(
    here: Site, browser: Browser, path: str
) -> None:
    await here.token("vera", "reviewer", kind="user")

    led, refused = await browser.get(path), await browser.client.get(path)

    assert (led.status_code, led.headers["location"]) == (303, f"/signin?to={path}")
    assert refused.status_code == 401


@pytest.mark.scenario("inbox-sign-in")
async def test_a_session_of_before_the_first_token_is_over(here: Site, browser: Browser) -> None:
    await browser.get("/")
    await here.token("vera", "reviewer", kind="user")

    assert (await browser.get("/")).headers["location"].startswith("/signin?over")


@pytest.mark.scenario("inbox-sign-in")
async def test_the_secret_is_neither_in_the_cookie_nor_in_a_page(here: Site, browser: Browser) -> None:
    secret = await here.token("vera", "reviewer", kind="user")

    done = await browser.post("/signin", token=secret, to="/orders")

    cookie = done.headers["set-cookie"]
    assert done.headers["location"] == "/orders"
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert secret not in cookie + (await browser.get("/")).text


@pytest.mark.scenario("inbox-sign-in")
async def test_the_cookie_is_secure_where_the_public_address_is(tmp_path: Path) -> None:
    async with site(tmp_path, public_url="https://work.example.com") as found:
        answer = await found.client.get("/", headers=HTML)

    assert "Secure" in answer.headers["set-cookie"].split("; ")


@pytest.mark.scenario("inbox-sign-in")
async def test_a_token_of_a_program_lets_nobody_into_the_inbox(browser: Browser) -> None:
    done = await browser.sign_in("builder", "reviewer", kind="agent")

    assert done.status_code == 403
    assert "for a program" in done.text
    assert "set-cookie" not in done.headers


@pytest.mark.scenario("inbox-sign-in")
@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example", "orders", "/\nx", ""])
def test_signing_in_leads_to_pages_of_its_own_only(to: str) -> None:
    assert own_path(to) == "/"


@pytest.mark.scenario("inbox-sign-in")
async def test_a_link_of_another_site_does_not_ask_to_sign_in_again(here: Site, browser: Browser) -> None:
    await browser.sign_in("vera", "reviewer")
    coming = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", **HTML}

    bounced = await here.client.get("/orders/WO-1", headers=coming)

    assert bounced.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/orders/WO-1">' in bounced.text


@pytest.mark.scenario("inbox-sessions")
@pytest.mark.parametrize("idle, visits", [(sessions.IDLE_MS, 1), (sessions.IDLE_MS - 60_000, 13)])
async def test_a_session_ends_when_it_is_not_used_and_after_half_a_day_in_any_case(
    here: Site, browser: Browser, idle: int, visits: int
) -> None:
    await browser.sign_in("vera", "reviewer")
    statuses = []

    for _ in range(visits):
        statuses.append((await browser.get("/")).status_code)
        here.house.clock.forward(idle / 1000)

    assert set(statuses[:12]) == {200}
    assert (await browser.get("/")).headers["location"].startswith("/signin?over")


@pytest.mark.scenario("inbox-sessions")
async def test_what_a_page_asks_for_by_itself_does_not_keep_a_session(here: Site, crew: Crew, browser: Browser) -> None:
    order_id = await crew.prices()
    await browser.sign_in("vera", "reviewer")

    here.house.clock.forward(3000)
    assert (await browser.get(f"/orders/{order_id}/standing?version=1")).status_code == 200
    here.house.clock.forward(601)

    assert (await browser.get("/")).status_code == 303


@pytest.mark.scenario("inbox-sessions")
async def test_a_revoked_token_ends_its_sessions_at_once_and_signing_out_ends_one(here: Site, browser: Browser) -> None:
    await browser.sign_in("vera", "reviewer")
    await here.house.app.tokens.revoke("vera", here.house.person("op").caller.actor)
    assert (await browser.get("/")).status_code == 303

    await browser.sign_in("vera", "reviewer")
    await browser.get("/")
    assert (await browser.post("/signout")).headers["location"] == "/signin"
    assert (await browser.get("/")).status_code == 303


# forms


@pytest.mark.scenario("inbox-forms")
@pytest.mark.parametrize("token", [None, "", "x", "é" * 8])
async def test_a_form_that_no_page_of_the_session_made_does_nothing(
    here: Site, crew: Crew, browser: Browser, token: str | None
) -> None:
    order_id = await crew.prices()
    await browser.get(f"/orders/{order_id}")

    for path, more in ((f"/orders/{order_id}/decide", {"verdict": "approve"}), ("/batch", {"member": f"{order_id}:x"})):
        assert (await browser.post(path, form=token, **more)).status_code == 403

    assert await decisions(here.house, order_id) == []


@pytest.mark.scenario("inbox-forms")
async def test_a_form_of_a_page_elsewhere_does_nothing(here: Site, crew: Crew, browser: Browser) -> None:
    order_id = await crew.prices()
    await browser.get(f"/orders/{order_id}")
    data = {**browser.hidden, "verdict": "approve"}

    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999"):
        headers = {**HTML, "Origin": origin}
        sent = await browser.client.post(f"/orders/{order_id}/decide", data=data, headers=headers)
        assert sent.status_code == 403, origin

    assert await decisions(here.house, order_id) == []


@pytest.mark.scenario("inbox-forms")
async def test_a_form_sent_twice_decides_once(here: Site, crew: Crew, browser: Browser) -> None:
    order_id = await crew.prices()
    await browser.get(f"/orders/{order_id}")

    answers = await asyncio.gather(*(browser.post(f"/orders/{order_id}/decide", verdict="approve") for _ in range(2)))

    assert {answer.status_code for answer in answers} == {303}
    assert len(await decisions(here.house, order_id)) == 1


@pytest.mark.scenario("inbox-forms")
@pytest.mark.parametrize(
    "kind, size, status", [("text/plain", 10, 422), ("application/x-www-form-urlencoded", 2 << 20, 413)]
)
async def test_what_is_no_form_or_too_large_is_refused_as_a_page(
    browser: Browser, kind: str, size: int, status: int
) -> None:
    await browser.get("/")

    answer = await browser.client.post("/batch", content=b"a" * size, headers={**HTML, "Content-Type": kind})

    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


@pytest.mark.scenario("J5")
@pytest.mark.parametrize(
    "sent",
    [
        {"verdict": ["approve", "reject"], "reason": "both"},
        {"verdict": None, "reason": "none"},
        {"verdict": "maybe"},
        {"verdict": "reject"},
        {"verdict": "rework", "reason": "  "},
        {"verdict": "approve", "digest": None},
    ],
)
async def test_a_decision_is_exactly_one_of_approve_and_reject_and_a_reason_to_reject(
    here: Site, crew: Crew, browser: Browser, sent: dict[str, Any]
) -> None:
    order_id = await crew.prices()
    await browser.get(f"/orders/{order_id}")

    answer = await browser.post(f"/orders/{order_id}/decide", **sent)

    assert answer.status_code == 422
    assert await decisions(here.house, order_id) == []
    assert await crew.agent("eve").state(order_id) == "submitted"


@pytest.mark.scenario("inbox-stale")
@pytest.mark.parametrize("verdict", ["approve", "reject", "rework"])
async def test_every_verdict_is_on_the_digest_that_was_shown(
    here: Site, crew: Crew, browser: Browser, tmp_path: Path, verdict: str
) -> None:
    (tmp_path / "stock").write_text("40")
    order_id = await crew.stock(tmp_path / "stock", 38)
    await browser.get(f"/orders/{order_id}")
    (tmp_path / "stock").write_text("41")

    answer = await browser.post(f"/orders/{order_id}/decide", verdict=verdict, reason="because")

    assert answer.status_code == 409
    assert "Not decided" in answer.text
    assert await decisions(here.house, order_id) == []
    assert fields(answer.text)["digest"] != browser.hidden["digest"]


# verdicts on single items, and undo


def sheet(sku: str) -> list[dict[str, Any]]:
    return [{"sku": sku, "name": sku, "price": 1}]


@pytest.mark.scenario("inbox-verdicts")
async def test_one_item_is_refused_and_the_order_goes_on_with_the_others(
    here: Site, crew: Crew, browser: Browser
) -> None:
    order_id = await crew.feed(sheet("A-1"), sheet("A-2"))
    await browser.get(f"/orders/{order_id}")
    reasons = {f"reason.{order_id}.2": "not this one"}

    answer = await browser.post(f"/orders/{order_id}/decide", verdict="reject", only_items="yes", **reasons)

    assert answer.status_code == 303
    states = [item["state"] for item in (await crew.agent("eve").ok("get_order", order_id=order_id))["items"]]
    assert states == ["submitted", "rejected"]


@pytest.mark.scenario("inbox-verdicts")
async def test_an_item_that_failed_is_left_out_with_a_reason(here: Site, crew: Crew, browser: Browser) -> None:
    payload = {"supplier": "Nordlicht", "sheets": [["A-1"], ["A-2"]]}
    order_id = await crew.handed_in("feed.intake", payload, {"rows": sheet("A-1")})
    agent = crew.agent("agent-7")
    await agent.ok("fail", **held(await agent.take(order_id=order_id)), reason="torn", retryable=False)
    page = await browser.get(f"/orders/{order_id}")
    assert f"Go on without {order_id}.2" in page.text

    answer = await browser.post(f"/orders/{order_id}/waive", item_id=f"{order_id}.2", reason="one is enough")

    assert answer.status_code == 303
    assert await agent.state(order_id) == "submitted"


@pytest.mark.scenario("inbox-verdicts")
async def test_a_completed_order_whose_type_can_take_it_back_has_an_undo(tmp_path: Path) -> None:
    async with (
        site(tmp_path) as here,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=here.web.app), base_url=AT) as client,
    ):
        ann, browser = here.house.person("ann"), Browser(here, client, {})
        order_id = await ann.propose("test.page", {"file": str(tmp_path / "page")})
        await ann.hand_in(await ann.take(), {"text": "hello"})
        await ann.ok("approve", order_id=order_id)
        page = await browser.get(f"/orders/{order_id}")
        assert "File an undo" in page.text

        answer = await browser.post(f"/orders/{order_id}/undo", reason="too soon")

        assert answer.status_code == 303
        await ann.ok("approve", order_id="WO-2")
        assert not (tmp_path / "page").exists()


# roles and rules


@pytest.mark.scenario("inbox-roles")
@pytest.mark.parametrize("role", ["requester", "worker"])
async def test_what_a_role_may_not_do_is_refused_when_it_is_posted_all_the_same(
    here: Site, crew: Crew, browser: Browser, role: str
) -> None:
    order_id = await crew.prices()
    await browser.sign_in("wim", role)
    page = await browser.get(f"/orders/{order_id}")
    packet = await crew.agent("eve").ok("review", order_id=order_id)

    assert 'name="verdict"' not in page.text
    for verdict in ("approve", "reject", "rework"):
        sent = {"verdict": verdict, "digest": packet["digest"], "reason": "because", "form": token_of(page.text)}
        answer = await browser.post(f"/orders/{order_id}/decide", **sent)
        assert answer.status_code == 403
        assert "does not allow this" in answer.text
    assert await decisions(here.house, order_id) == []


def token_of(page: str) -> str:
    return re.findall(r'name="form" value="([^"]+)"', page)[0]


@pytest.mark.scenario("inbox-roles")
async def test_who_worked_on_an_order_of_four_eyes_is_told_why_not(crew: Crew, browser: Browser) -> None:
    twins = {"C-1": {"name": "Ada"}, "C-2": {"name": "Ada L."}}
    order_id = await crew.handed_in("customer.merge", {"customers": twins}, {}, by="vera")
    await browser.sign_in("vera", "reviewer")

    page = await browser.get(f"/orders/{order_id}")
    answer = await browser.post(f"/orders/{order_id}/decide", verdict="approve")
    queue = await browser.get("/")

    assert "somebody else has to approve it" in page.text
    assert 'value="approve"' not in page.text
    assert answer.status_code == 403
    assert "somebody else has to decide" in answer.text
    assert "you filed it or worked on it" in queue.text
    assert 'name="member"' not in queue.text


@pytest.mark.scenario("inbox-decides")
async def test_a_failed_apply_is_told_in_words_and_can_be_tried_again(crew: Crew, browser: Browser) -> None:
    order_id = await crew.letter({"text": "Sorry."}, payload={"post": "closed"})
    await browser.get(f"/orders/{order_id}")

    answer = await browser.post(f"/orders/{order_id}/decide", verdict="approve")

    assert answer.status_code == 502
    assert "applying it failed" in answer.text
    assert "the post office is closed" in answer.text
    assert f'action="/orders/{order_id}/retry"' in answer.text


@pytest.mark.scenario("inbox-queue")
async def test_the_queue_is_grouped_by_type_and_shape_the_riskiest_first(crew: Crew, browser: Browser) -> None:
    low = [await crew.prices(supplier) for supplier in ("Kessler", "Brandt")]
    high = await crew.handed_in("access.grant", {"who": "x", "has": [], "wants": "pay"}, {}, priority=90)
    page = await crew.page()

    text = (await browser.get("/")).text

    groups = re.findall(r'data-group="([^"]*)"', text)
    assert groups == ["access.grant + /rights/*", "catalogue.prices ~ /prices/*", "handbook.page ~ /text"]
    assert re.findall(r'data-id="([^"]*)"', text) == [high, *low, page]
    assert "high risk" in text
    only = (await browser.get("/?type=handbook.page")).text
    assert re.findall(r'data-id="([^"]*)"', only) == [page]
    assert (await browser.get(f"/next?after={high}")).headers["location"] == f"/orders/{low[0]}"


@pytest.mark.scenario("inbox-queue")
async def test_pages_take_no_looks_and_a_change_takes_a_new_one(crew: Crew, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "stock").write_text("40")
    order_id = await crew.stock(tmp_path / "stock", 38)
    shown = re.findall(rf"{order_id}:(\w+)", (await browser.get("/")).text)

    (tmp_path / "stock").write_text("41")
    again = re.findall(rf"{order_id}:(\w+)", (await browser.get("/")).text)
    await browser.get(f"/orders/{order_id}")
    await browser.post(f"/orders/{order_id}/decide", verdict="approve", digest=shown[0])
    afresh = re.findall(rf"{order_id}:(\w+)", (await browser.get("/")).text)

    assert again == shown
    assert afresh != shown


@pytest.mark.scenario("inbox-batch")
async def test_a_batch_of_nothing_or_of_too_many_is_refused(browser: Browser) -> None:
    await browser.get("/")

    assert (await browser.post("/batch", member=[])).status_code == 422
    assert (await browser.post("/batch", member=[f"WO-{n}:x" for n in range(201)])).status_code == 422


# pages


@pytest.mark.scenario("inbox-headers")
@pytest.mark.parametrize("path", [*PAGES[:-1], "/signin", "/orders/WO-404", "/static/none.css", "/next", "/live"])
async def test_every_answer_keeps_itself_to_itself(here: Site, crew: Crew, browser: Browser, path: str) -> None:
    await crew.prices()
    if path in ("/signin", "/live"):
        await here.token("vera", "reviewer", kind="user")

    headers = (await browser.get(path)).headers

    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    wanted = {"cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "same-origin"}
    assert {name: headers[name] for name in wanted} == wanted


@pytest.mark.scenario("inbox-headers")
async def test_no_page_has_a_script_or_a_style_in_it(crew: Crew, browser: Browser) -> None:
    await crew.prices()

    for path in PAGES[:-1]:
        text = (await browser.get(path)).text
        assert not re.search(r"<style|\sstyle=|<script(?! src=\"/static/)|\son\w+=|javascript:|hx-on", text), path


@pytest.mark.scenario("inbox-headers")
async def test_static_files_are_named_by_content_and_nothing_else_is_served(browser: Browser) -> None:
    page = (await browser.get("/")).text
    [script] = re.findall(r'src="(/static/inbox.js\?\w+)"', page)

    kept_for_good = (await browser.get(script)).headers["cache-control"]

    assert "immutable" in kept_for_good
    assert (await browser.get("/static/inbox.js?other")).headers["cache-control"] == "no-store"
    for name in ("README.md", "htmx.LICENSE.txt", "..%2froutes.py", ".css", "%2e%2e/pages.py"):
        assert (await browser.get(f"/static/{name}")).status_code in (303, 404), name


@pytest.mark.scenario("inbox-headers")
def test_the_vendored_script_is_the_published_one() -> None:
    found = hashlib.sha256((HERE / "htmx.min.js").read_bytes()).hexdigest()

    assert found in (HERE / "README.md").read_text()


@pytest.mark.scenario("inbox-boards")
async def test_boards_show_orders_leases_and_the_trail_with_filters(crew: Crew, browser: Browser) -> None:
    done = await crew.prices()
    await crew.planner.propose("letter.reply", {})
    item = await crew.agent("anna").take(agent="Anna <b>", type="letter.reply")

    leases = (await browser.get("/leases")).text
    orders = (await browser.get("/orders?state=submitted")).text
    trail = (await browser.get(f"/events?item_id={item['id']}")).text
    flow = (await browser.get("/flow")).text

    assert "Anna &lt;b&gt;" in leases
    assert item["id"] in leases
    assert re.findall(r'data-id="([^"]*)"', orders) == [done]
    assert re.findall(r'<th scope="row">([\w.]+)</th>', trail) == ["item.leased"]
    assert flow.count("<svg") == 2
    assert '<td class="num">2</td>' in flow


@pytest.mark.scenario("inbox-boards")
async def test_the_trail_goes_back_page_by_page(crew: Crew, browser: Browser) -> None:
    for _ in range(12):
        await crew.prices()
    seen: list[int] = []
    path: str | None = "/events"

    while path:
        text = (await browser.get(path)).text
        seen += [int(number) for number in re.findall(r'<td class="num mono">(\d+)</td>', text)]
        older = re.search(r'href="(/events\?[^"]*before=\d+)"', text)
        path = unescape(older[1]) if older else None

    assert seen == list(range(max(seen), 0, -1))
    assert len(seen) > 50


# live


@pytest.mark.scenario("inbox-live")
async def test_a_principal_has_so_many_streams_and_no_more_and_they_end_with_the_server(tmp_path: Path) -> None:
    async with office(tmp_path) as served, httpx2.AsyncClient(base_url=served.url, timeout=LIMIT) as client:
        await client.get("/", headers=HTML)
        async with AsyncExitStack() as open_streams:
            heard = []
            for _ in range(live.MOST_STREAMS):
                stream = await open_streams.enter_async_context(client.stream("GET", "/live"))
                assert stream.headers["content-type"] == "text/event-stream"
                heard.append(stream.aiter_lines())
                assert await anext(heard[-1]) == "event: open"
            assert (await client.get("/live")).status_code == 429
            assert (await client.head("/live")).status_code == 204

        left_open = client.stream("GET", "/live")
        await left_open.__aenter__()
    # the server of the office ended, within its limit, with a stream open


@pytest.mark.scenario("inbox-hostile-text")
async def test_hidden_characters_are_shown_wherever_others_have_a_word(crew: Crew, browser: Browser) -> None:
    await crew.planner.propose("letter.reply", {"to": "\u202ex"}, meta={"\u2066k": "<i>"})
    anna = crew.agent("anna")
    item = await anna.take(agent="An\u202ena")
    await anna.ok("heartbeat", item_id=item["id"], lease_token=item["lease"]["token"], note="\x1b[2J<u>")

    for path in ("/leases", f"/orders/{item['order_id']}", f"/items/{item['id']}", "/events", "/orders"):
        text = (await browser.get(path)).text
        assert not {"\u202e", "\u2066", "\x1b"} & set(text), path
        assert "<u>" not in text, path
        assert "<i>" not in text, path

"""What a person does in the inbox, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.support import until
from tests.support.harness import LIMIT
from tests.support.reviewing import HOSTILE, Crew, Office, busy_day

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=LIMIT * 1000)


async def live(page: Page) -> None:
    """The page hears of what happens from now on."""
    await expect(page.locator("body[data-live=yes]")).to_have_count(1)


def box(page: Page, order_id: str):  # type: ignore[no-untyped-def]
    return page.get_by_role("checkbox", name=f"Select {order_id}", exact=True)


@pytest.mark.scenario("inbox-decides")
async def test_an_order_is_opened_from_the_queue_approved_and_applied(desk: Office, crew: Crew, page: Page) -> None:
    order_id = await crew.prices("Kessler")

    await page.goto("/")
    await page.get_by_role("link", name=order_id).click()
    await expect(page.get_by_role("row", name="/prices/A-100")).to_contain_text("12.9")
    await page.get_by_label("Comment").fill("as agreed")
    await page.get_by_role("button", name="Approve").click()

    await expect(page.get_by_text(f"{order_id} is approved and applied.")).to_be_visible()
    rita = desk.house.person("rita")
    assert await rita.state(order_id) == "completed"
    [decided] = [event for event in await rita.events(order_id) if event["event"] == "decision.recorded"]
    assert (decided["actor_type"], decided["actor_id"], decided["client"]) == ("user", "rita", "inbox")
    assert "as agreed" in str((await rita.ok("get_order", order_id=order_id))["decision"])


@pytest.mark.scenario("inbox-decides")
async def test_an_order_is_sent_back_with_a_reason_for_each_item(desk: Office, crew: Crew, page: Page) -> None:
    order_id = await crew.feed([{"sku": "N-1", "name": "Lamp"}], [{"sku": "N-2", "name": "Lmap"}])

    await page.goto(f"/orders/{order_id}")
    await page.get_by_text("reasons for single items").click()
    await page.get_by_label(f"{order_id}.2").fill("A name is misspelt.")
    await page.get_by_role("button", name="Send back").click()

    await expect(page.get_by_text(f"{order_id} is sent back")).to_be_visible()
    item = await crew.agent("agent-7").take(order_id=order_id)
    assert (item["id"], item["feedback"][0]["message"]) == (f"{order_id}.2", "A name is misspelt.")


@pytest.mark.scenario("inbox-decides")
async def test_a_refusal_without_a_reason_is_not_sent_off_and_keeps_what_was_typed(
    desk: Office, crew: Crew, page: Page
) -> None:
    order_id = await crew.prices()

    await page.goto(f"/orders/{order_id}")
    await page.get_by_label("Comment").fill("no way")
    await page.get_by_role("button", name="Refuse").click()

    await expect(page.get_by_role("alert")).to_contain_text("Say why")
    await expect(page.get_by_label("Comment")).to_have_value("no way")
    assert await desk.house.person("rita").state(order_id) == "submitted"


@pytest.mark.scenario("inbox-stale")
async def test_what_changed_after_it_was_shown_is_not_approved_and_shown_afresh(
    desk: Office, crew: Crew, page: Page, tmp_path: Path
) -> None:
    (tmp_path / "stock").write_text("40")
    order_id = await crew.stock(tmp_path / "stock", 38)
    await page.goto(f"/orders/{order_id}")
    await expect(page.get_by_role("row", name="/count")).to_contain_text("40")

    (tmp_path / "stock").write_text("41")
    await page.get_by_role("button", name="Approve").click()

    await expect(page.get_by_role("alert")).to_contain_text("Not decided")
    await expect(page.get_by_role("row", name="/count")).to_contain_text("41")
    assert await desk.house.person("rita").state(order_id) == "submitted"


@pytest.mark.scenario("inbox-batch")
async def test_a_batch_approves_what_was_shown_and_names_the_member_that_changed(
    desk: Office, crew: Crew, page: Page, tmp_path: Path
) -> None:
    files = [tmp_path / f"stock-{n}" for n in range(3)]
    for file in files:
        file.write_text("40")
    ids = [await crew.stock(file, 38) for file in files]
    await page.goto("/")
    await page.get_by_label("select 3 of this kind").check()
    await expect(page.locator("[data-picked]")).to_have_text("3")

    files[1].write_text("41")
    await page.get_by_role("button", name="Approve as shown").click()

    await expect(page.get_by_role("heading", name="2 orders approved, 1 left out")).to_be_visible()
    left_out = page.get_by_role("region", name="Left out")
    await expect(left_out).to_contain_text(ids[1])
    await expect(left_out).to_contain_text("Not decided")
    assert [await desk.house.person("rita").state(one) for one in ids] == ["completed", "submitted", "completed"]
    assert files[1].read_text() == "41"


@pytest.mark.scenario("inbox-live")
async def test_who_has_an_order_open_learns_that_somebody_else_decided_before_clicking(
    desk: Office, crew: Crew, page: Page, other: Page
) -> None:
    order_id = await crew.prices()
    for one in (page, other):
        await one.goto(f"/orders/{order_id}")
        await live(one)
    await other.get_by_label("Reason to send back or refuse").fill("I was about to")

    await page.get_by_role("button", name="Approve").click()

    await expect(other.locator("#standing")).to_contain_text("completed now")
    await expect(other.get_by_role("button", name="Approve")).to_be_disabled()
    await expect(other.get_by_label("Reason to send back or refuse")).to_have_value("I was about to")


@pytest.mark.scenario("inbox-live")
async def test_of_two_who_decide_at_once_the_second_is_told_so_in_words(
    desk: Office, crew: Crew, page: Page, other: Page
) -> None:
    order_id = await crew.prices()
    await other.route("**/live?*", lambda route: route.abort())
    for one in (page, other):
        await one.goto(f"/orders/{order_id}")

    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_text("approved and applied")).to_be_visible()
    await other.get_by_role("button", name="Approve").click()

    await expect(other.get_by_role("alert")).to_contain_text("Somebody was quicker")
    assert [e["event"] for e in await desk.house.person("rita").events(order_id)].count("order.applied") == 1


@pytest.mark.scenario("inbox-live")
async def test_the_queue_fills_while_it_is_open_and_keeps_selection_and_typed_text(crew: Crew, page: Page) -> None:
    first = await crew.prices("Kessler")
    await page.goto("/")
    await live(page)
    await box(page, first).check()
    await page.get_by_label("Comment for all").fill("fine by me")

    chosen = "document.body.dataset.chosen = document.querySelectorAll('[name=member]:checked').length"
    await page.evaluate(f"window.addEventListener('htmx:afterSwap', () => {{ {chosen} }})")
    second = await crew.prices("Brandt")

    await expect(page.get_by_role("link", name=second)).to_be_visible()
    assert await page.locator("body").get_attribute("data-chosen") == "1", "for a moment nothing was selected"
    await expect(box(page, first)).to_be_checked()
    await expect(box(page, second)).not_to_be_checked()
    await expect(page.get_by_label("Comment for all")).to_have_value("fine by me")


@pytest.mark.scenario("inbox-live")
async def test_a_selected_order_that_others_decide_leaves_the_selection_and_is_named(
    desk: Office, crew: Crew, page: Page
) -> None:
    gone, stays = await crew.prices("Kessler"), await crew.prices("Brandt")
    await page.goto("/")
    await live(page)
    for one in (gone, stays):
        await box(page, one).check()

    await desk.house.person("ben").ok("approve", order_id=gone)

    await expect(page.locator("#offline")).to_contain_text(f"No longer selected: {gone} is no longer shown")
    await expect(page.locator("[data-picked]")).to_have_text("1")
    await expect(box(page, stays)).to_be_checked()


@pytest.mark.scenario("inbox-keys")
async def test_a_reviewer_works_with_the_keyboard_alone(desk: Office, crew: Crew, page: Page) -> None:
    ids = [await crew.prices(supplier) for supplier in ("Kessler", "Brandt", "Olsen")]
    await page.goto("/")
    keys = page.keyboard

    await keys.press("j")
    await keys.press("x")
    await keys.press("j")
    await keys.press("x")
    await expect(page.locator("[data-picked]")).to_have_text("2")
    await keys.press("a")
    await keys.press("a")
    await expect(page.get_by_role("heading", name="2 orders approved")).to_be_focused()

    await keys.press("g")
    await keys.press("q")
    await expect(page.get_by_role("link", name=ids[2])).to_be_visible()
    await keys.press("j")
    await keys.press("Enter")
    await expect(page.get_by_role("heading", name=ids[2], level=1)).to_be_visible()
    await keys.press("w")
    await keys.type("raw: jkxar?")
    await expect(page.get_by_label("Reason to send back or refuse")).to_have_value("raw: jkxar?")
    await keys.press("Escape")
    await keys.press("w")
    await keys.press("Enter")

    await expect(page.get_by_text("is sent back")).to_be_focused()
    states = [await desk.house.person("rita").state(one) for one in ids]
    assert states == ["completed", "completed", "queued"]


@pytest.mark.scenario("inbox-keys")
async def test_help_is_on_a_key_and_filtering_too(crew: Crew, page: Page) -> None:
    wanted, unwanted = await crew.prices("Kessler"), await crew.prices("Brandt")
    await page.goto("/")

    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("send back for rework")
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await page.keyboard.type("kess")

    await expect(page.get_by_role("link", name=unwanted)).to_have_count(0)
    await expect(page.get_by_role("link", name=wanted)).to_be_visible()
    await expect(page.get_by_role("searchbox")).to_be_focused()


@pytest.mark.scenario("inbox-sessions")
async def test_after_a_session_is_over_nothing_is_done_and_signing_in_leads_back(
    desk: Office, crew: Crew, page: Page
) -> None:
    order_id, secret = await crew.prices(), await desk.token("vera", "reviewer")
    await page.goto(f"/orders/{order_id}")
    await page.get_by_label("Your token").fill(secret)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name=order_id, level=1)).to_be_visible()

    desk.house.clock.forward(3601)
    await page.get_by_role("button", name="Approve").click()

    await expect(page.get_by_role("status")).to_contain_text("Your session is over")
    assert await desk.house.person("rita").state(order_id) == "submitted"
    await page.get_by_label("Your token").fill(secret)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name=order_id, level=1)).to_be_visible()
    assert secret not in await page.content()
    assert secret not in str(await page.context.cookies())


@pytest.mark.scenario("inbox-sessions")
async def test_an_open_page_says_that_its_token_was_revoked(desk: Office, crew: Crew, page: Page) -> None:
    order_id, secret = await crew.prices(), await desk.token("vera", "reviewer")
    await page.goto("/signin")
    await page.get_by_label("Your token").fill(secret)
    await page.get_by_role("button", name="Sign in").click()
    await page.goto(f"/orders/{order_id}")
    await live(page)

    await desk.house.app.tokens.revoke("vera", desk.house.person("rita").caller.actor)

    await expect(page.locator("#offline")).to_contain_text("You are signed out")


@pytest.mark.scenario("inbox-roles")
async def test_who_may_not_decide_sees_boards_and_no_controls(desk: Office, crew: Crew, page: Page) -> None:
    order_id, secret = await crew.prices(), await desk.token("wim", "worker")
    await page.goto("/")
    await page.get_by_label("Your token").fill(secret)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Orders")).to_be_visible()

    await page.get_by_role("link", name=order_id).click()

    await expect(page.get_by_text("Your roles (worker) do not decide.")).to_be_visible()
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    await expect(page.get_by_role("link", name="Queue")).to_have_count(0)


@pytest.mark.scenario("inbox-hostile-text")
async def test_hostile_results_are_harmless_text_and_marked_as_the_agents_words(
    desk: Office, crew: Crew, page: Page
) -> None:
    order_id = await crew.letter(HOSTILE, notes=HOSTILE["text"], evidence=[HOSTILE], by="agent-9")

    await page.goto(f"/orders/{order_id}")

    said = page.locator(".said", has_text="agent-9 handed in this result")
    await expect(said).to_contain_text("</pre><script>document.title='owned'</script>")
    await expect(said).to_contain_text("\\x1b[31mAPPROVED by rita")
    await expect(said).to_contain_text("user\\x202etxt.exe\\x202c is attached\\x200b.")
    await expect(said).to_contain_text("<b>key</b>")
    assert await page.title() == f"{order_id} Reply to a customer · workdocket"
    assert await page.locator("main script, main img, .said form, .said button, .said h2").count() == 0
    shown = await page.locator("body").inner_text()
    assert not {"\x1b", "\u202e", "\u202c", "\u200b"} & set(shown)
    assert await page.locator("text=approved by rita").evaluate_all("found => found.every(one => one.closest('.said'))")


@pytest.mark.scenario("inbox-fits")
@pytest.mark.parametrize("width", [390, 1280])
async def test_no_page_is_wider_than_the_window(desk: Office, page: Page, tmp_path: Path, width: int) -> None:
    ids = await busy_day(desk.house, tmp_path)
    await page.set_viewport_size({"width": width, "height": 844})

    for path in everywhere(ids):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.scenario("inbox-accessible")
@pytest.mark.parametrize(
    "scheme, options", [("light", {"resultTypes": ["violations"]}), ("dark", {"runOnly": ["color-contrast"]})]
)
async def test_axe_finds_nothing_serious_on_any_page(
    desk: Office, page: Page, tmp_path: Path, scheme: Any, options: Any
) -> None:
    ids = await busy_day(desk.house, tmp_path)
    await page.emulate_media(color_scheme=scheme)
    found = []

    for path in everywhere({name: ids[name] for name in ("findings", "hostile")}):
        await page.goto(path)
        for fault in (await Axe().run(page, options=options)).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found.append((path, fault["id"], [node["html"][:160] for node in fault["nodes"][:3]]))

    assert found == []


def everywhere(ids: dict[str, str]) -> list[str]:
    orders = [f"/orders/{order_id}" for order_id in ids.values()]
    return ["/", *orders, f"/items/{ids['hostile']}.1", "/orders", "/leases", "/flow", "/events", "/orders/WO-1"]


@pytest.mark.scenario("inbox-accessible")
async def test_the_sign_in_page_has_nothing_serious_either(desk: Office, page: Page) -> None:
    await desk.token("vera", "reviewer")

    await page.goto("/signin")
    faults = (await Axe().run(page)).response["violations"]

    assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []


@pytest.mark.scenario("inbox-without-script")
async def test_without_script_the_forms_decide_too(desk: Office, crew: Crew, page: Page) -> None:
    order_id = await crew.prices()
    context = await page.context.browser.new_context(base_url=desk.url, java_script_enabled=False)  # type: ignore[union-attr]
    plain = await context.new_page()

    await plain.goto("/", timeout=LIMIT * 1000)
    await box(plain, order_id).check()
    await plain.get_by_role("button", name="Approve as shown").click()

    await expect(plain.get_by_role("heading", name="1 order approved")).to_be_visible()
    await context.close()
    await until.order_in(desk.house.person("rita"), order_id, "completed")

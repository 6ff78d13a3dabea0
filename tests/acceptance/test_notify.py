"""Notifications: what is told, to whom, how often, and that telling never gets in the way of the work."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support import raw, until
from tests.support.harness import HandClock, House, held, house
from tests.support.receiver import Manner, Receiver, receiver
from workdocket.channel import Channel, Message, NotDelivered
from workdocket.delivery import webhook
from workdocket.domain.model import Change, iso
from workdocket.service.notify import GONE_AFTER_MS, Notifier

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
ALL = ["review", "deadline", "failed", "completed", "rejected"]
GOOD = {"message": "hi", "verified": True}


@pytest.fixture
def post() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def channel(post: Receiver, name: str = "desk", **more: Any) -> dict[str, Any]:
    return {"name": name, "webhook": post.url, **more}


@asynccontextmanager
async def told(folder: Path, *channels: dict[str, Any], **more: Any) -> AsyncIterator[House]:
    async with house(folder, notify=list(channels), **more) as home:
        yield home


async def handed_in(home: House, type: str = "test.echo", result: Any = None, **more: Any) -> str:
    payload = {"batches": 1} if type in ("test.batch", "test.automatic") else None
    order_id = await home.person("planner").propose(type, payload, **more)
    await home.person("worker").hand_in(await home.person("worker").take(order_id=order_id), result)
    return order_id


async def sent(home: House, post: Receiver, name: str = "desk") -> list[tuple[str, str]]:
    """Send what is due; the order and the occasion of all that has come so far."""
    await home.app.notifier.send_due(name)
    return [(one.json["data"]["order_id"], one.json["type"]) for one in post.got]


def outbox(folder: Path) -> list[dict[str, Any]]:
    return raw.rows(folder, "SELECT * FROM effects WHERE channel IS NOT NULL ORDER BY id")


# what is told


@pytest.mark.scenario("notify-occasions")
async def test_what_an_order_goes_through_is_told_once_each(tmp_path: Path, post: Receiver) -> None:
    async with told(tmp_path, channel(post, on=ALL)) as home:
        reviewer, worker = home.person("rita"), home.person("worker")
        done = await handed_in(home)
        await reviewer.ok("reject", order_id=done, errors=[{"message": "again"}], rework=True)
        await worker.hand_in(await worker.take(order_id=done), {"message": "ho", "verified": True})
        await reviewer.ok("approve", order_id=done)
        refused = await handed_in(home)
        await reviewer.ok("reject", order_id=refused, errors=[{"message": "no"}])
        failed = await reviewer.propose()
        await worker.ok("fail", **held(await worker.take(order_id=failed)), reason="can't", retryable=False)

        await sent(home, post)
        found = await sent(home, post)

    assert sorted(found) == sorted(
        [
            (done, "order.review"),
            (done, "order.review"),
            (done, "order.completed"),
            (refused, "order.review"),
            (refused, "order.rejected"),
            (failed, "order.failed"),
        ]
    )


@pytest.mark.scenario("notify-occasions")
async def test_a_message_says_what_happened_and_where_but_not_what_is_in_the_order(
    tmp_path: Path, post: Receiver
) -> None:
    async with told(tmp_path, channel(post), public_url="https://work.example.com/desk") as home:
        order_id = await handed_in(home, priority=7)
        await sent(home, post)
        [event] = (await home.person("a").ok("events", event="order.submitted"))["events"]

    message = post.got[0].json
    assert message == {
        "id": post.got[0].id,
        "type": "order.review",
        "timestamp": event["at"],
        "text": f"{order_id} (Echo) waits for review",
        "data": {
            "order_id": order_id,
            "order_type": "test.echo",
            "title": "Echo",
            "state": "submitted",
            "priority": 7,
            "event": "order.submitted",
            "seq": event["seq"],
            "link": f"https://work.example.com/desk/orders/{order_id}",
        },
    }


async def test_a_channel_that_asks_for_them_gets_payload_and_results(tmp_path: Path, post: Receiver) -> None:
    async with told(tmp_path, channel(post, include_payload=True)) as home:
        order_id = await handed_in(home)
        await sent(home, post)

    data = post.got[0].json["data"]
    assert (data["payload"], data["results"]) == ({"message": "hi"}, {f"{order_id}.1": GOOD})


@pytest.mark.scenario("notify-occasions")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["WO-1", "WO-2"]),
        ({"on": ["failed"]}, []),
        ({"types": ["test.b*"]}, ["WO-2"]),
        ({"types": ["no.*", "test.echo"]}, ["WO-1"]),
        ({"min_priority": 5}, ["WO-2"]),
    ],
)
async def test_a_channel_is_told_of_the_types_and_priorities_that_it_asks_for(
    tmp_path: Path, post: Receiver, wanted: dict[str, Any], expected: list[str]
) -> None:
    async with told(tmp_path, channel(post, **wanted)) as home:
        await handed_in(home, priority=4)
        await handed_in(home, "test.batch", {"count": 1}, priority=5)

        assert sorted(order for order, _ in await sent(home, post)) == expected


@pytest.mark.scenario("notify-occasions")
async def test_what_a_rule_approves_is_put_before_nobody_and_what_it_leaves_is(tmp_path: Path, post: Receiver) -> None:
    async with told(tmp_path, channel(post)) as home:
        person = home.person("a")
        fine = await handed_in(home, "test.automatic", {"count": 1})
        await until.order_in(person, fine, "completed")
        left = await handed_in(home, "test.automatic", {"count": 0})
        await until.event(home, person, left, "approval.deferred")

        assert await sent(home, post) == [(left, "order.review")]


async def test_an_order_that_drifted_is_put_before_a_reviewer_again(tmp_path: Path, post: Receiver) -> None:
    shown = tmp_path / "shown"
    shown.write_text("1")
    async with told(tmp_path, channel(post)) as home:
        person = home.person("a")
        order_id = await person.propose("test.ledger", {"file": str(tmp_path / "ledger"), "shown": str(shown)})
        await person.hand_in(await person.take(), {})
        home.app.desk.begin = lambda effect_id: None
        approving = asyncio.create_task(person.refused("approve", "stale", order_id=order_id))
        await until.event(home, person, order_id, "order.approved")
        shown.write_text("2")
        await home.app.sweeper.sweep()
        await approving

        assert await sent(home, post) == [(order_id, "order.review")] * 2


@pytest.mark.scenario("notify-in-transaction")
async def test_a_refused_change_tells_nobody_and_no_channel_writes_nothing(tmp_path: Path, post: Receiver) -> None:
    async with told(tmp_path, channel(post)) as home:
        worker = home.person("worker")
        await worker.propose()
        item = await worker.take()
        await worker.refused("submit", "invalid_result", **held(item), result={"message": "hi", "verified": False})
        assert outbox(tmp_path) == []
        await worker.hand_in(item)
        assert [row["state"] for row in outbox(tmp_path)] == ["pending"]
    async with told(tmp_path, clock=home.clock, ids=home.ids) as without:
        await handed_in(without)
    assert len(outbox(tmp_path)) == 1


# deadlines


@pytest.mark.scenario("notify-deadline")
async def test_a_deadline_is_told_so_long_ahead_and_once(tmp_path: Path, post: Receiver) -> None:
    async with told(tmp_path, channel(post, on=["deadline"], before_seconds=600)) as home:
        deadline = iso(home.clock.now() + 3_600_000)
        order_id = await home.person("a").propose(deadline=deadline)
        await home.person("a").propose()

        home.clock.forward(2999)
        early = await sent(home, post)
        home.clock.forward(1)
        punctual = await sent(home, post)
        home.clock.forward(3600)
        later = await sent(home, post)

    assert (early, punctual, later) == ([], [(order_id, "order.deadline")], [(order_id, "order.deadline")])
    message = post.got[0].json
    assert message["text"] == f"{order_id} (Echo) is to be done by {deadline}"
    assert message["data"]["deadline"] == deadline


@pytest.mark.scenario("notify-deadline")
async def test_a_deadline_is_told_late_where_no_process_ran_and_not_when_the_order_is_over(
    tmp_path: Path, post: Receiver
) -> None:
    wanted = channel(post, on=["deadline"], before_seconds=600)
    async with told(tmp_path, wanted) as home:
        person, at = home.person("a"), home.clock.now()
        late = await person.propose(deadline=iso(at + 3_600_000))
        over = await person.propose(deadline=iso(at + 3_600_000))
        soon = await person.propose(deadline=iso(at + 1000))
        await person.ok("cancel", order_id=over)
    home.clock.forward(86_400)

    async with told(tmp_path, wanted, clock=home.clock, ids=home.ids) as again:
        assert sorted(await sent(again, post)) == [(late, "order.deadline"), (soon, "order.deadline")]

    assert {row["state"] for row in outbox(tmp_path)} == {"done"}


# how it is sent


@pytest.mark.scenario("notify-signed")
async def test_a_receiver_verifies_a_message_with_the_library_of_the_specification(
    tmp_path: Path, post: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_SECRET", SECRET)
    clock = HandClock(time.time_ns() // 1_000_000)
    async with told(tmp_path, channel(post, secret_env="DESK_SECRET"), clock=clock) as home:
        await handed_in(home)
        await sent(home, post)

    [got] = post.got
    assert Webhook(SECRET).verify(got.body, got.headers) == got.json
    assert got.headers["x-workdocket-delivery"] == got.id == got.json["id"]
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body.replace(b"WO-1", b"WO-2"), got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(base64.b64encode(b"j" * 32).decode()).verify(got.body, got.headers)


@pytest.mark.scenario("notify-signed")
async def test_a_secret_is_read_from_its_file_and_without_one_nothing_is_signed(tmp_path: Path, post: Receiver) -> None:
    (tmp_path / "hush").write_text(f"{SECRET}\n")
    clock = HandClock(time.time_ns() // 1_000_000)
    async with told(tmp_path, channel(post, secret_file="hush"), channel(post, "plain"), clock=clock) as home:
        await handed_in(home)
        await sent(home, post, "desk")
        await sent(home, post, "plain")

    with_one, without = post.got
    Webhook(SECRET).verify(with_one.body, with_one.headers)
    assert "webhook-signature" not in without.headers
    assert with_one.id != without.id


@pytest.mark.scenario("notify-retried")
async def test_what_is_not_taken_is_sent_again_under_the_same_id_after_growing_pauses(
    tmp_path: Path, post: Receiver
) -> None:
    post.manners = [500, 404, "away", (302, {"Location": post.url})]
    async with told(tmp_path, channel(post)) as home:
        await handed_in(home)
        counts, pauses = [], []
        for _ in range(6):
            counts.append(len(await sent(home, post)))
            await sent(home, post)
            [row] = outbox(tmp_path)
            pauses.append((row["next_at"] - home.clock.now()) / 1000 if row["state"] == "pending" else None)
            home.clock.forward(pauses[-1] or 86_400)

    assert counts == [1, 2, 3, 4, 5, 5]
    assert pauses == [10, 40, 160, 640, None, None]
    assert len({(one.id, one.body) for one in post.got}) == 1
    assert {one.path for one in post.got} == {"/T0/hush-hush"}


@pytest.mark.scenario("notify-retried")
@pytest.mark.parametrize(
    ("manner", "pause"),
    [
        ((429, {"Retry-After": "120"}), 120),
        ((503, {"Retry-After": "5"}), 10),
        ((503, {"Retry-After": "soon"}), 10),
        ((429, {"Retry-After": "9999999999"}), 86_400),
        ((500, {"Retry-After": "120"}), 10),
    ],
)
async def test_a_receiver_that_asks_for_a_pause_gets_it(
    tmp_path: Path, post: Receiver, manner: Manner, pause: float
) -> None:
    post.manners = [manner]
    async with told(tmp_path, channel(post)) as home:
        await handed_in(home)
        await sent(home, post)

        assert outbox(tmp_path)[0]["next_at"] - home.clock.now() == pause * 1000


@pytest.mark.scenario("notify-given-up")
@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (410, 1)])
async def test_what_is_never_taken_is_given_up_with_an_event_and_harms_no_order(
    tmp_path: Path, post: Receiver, status: int, attempts: int
) -> None:
    post.manners = [status] * 9
    async with told(tmp_path, channel(post), notify_attempts=3) as home:
        order_id = await handed_in(home)
        for _ in range(5):
            await sent(home, post)
            home.clock.forward(86_400)
        [event] = (await home.person("a").ok("events", event="notification.given_up"))["events"]
        approved = await home.person("rita").ok("approve", order_id=order_id)

    assert len(post.got) == attempts
    assert event["data"] == {"channel": "desk", "occasion": "review", "attempts": attempts}
    assert (event["order_id"], event["message"]) == (order_id, f"it answered {status}")
    assert approved["order"]["state"] == "completed"


async def test_a_receiver_that_says_nothing_is_not_waited_for(post: Receiver) -> None:
    post.manners = ["mute"]
    message = Message("msg_1", "workdocket.test", 0, "", "", {})
    with pytest.raises(NotDelivered, match=r"^no answer within 0\.2 s$"):
        await webhook.post(Channel(name="desk", webhook=post.url), message, 0, seconds=0.2)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_where_nobody_speaks_http_an_attempt_fails_in_words(post: Receiver, scheme: str) -> None:
    url = post.url if scheme == "https" else "http://127.0.0.1:1/hush"
    message = Message("msg_1", "workdocket.test", 0, "", "", {})
    with pytest.raises(NotDelivered, match=r"^no connection$"):
        await webhook.post(Channel(name="desk", webhook=url.replace("http:", f"{scheme}:")), message, 0)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0),
        ("Sat, 21 Oct 2045 07:28:00 GMT", 86_400),
        ("7", 7),
        ("-7", 0),
        ("", 0),
        ("later", 0),
    ],
)
def test_a_pause_is_asked_for_in_seconds_or_until_a_time(asked: str, seconds: float) -> None:
    assert webhook.seconds_of(asked, 1_792_567_680.0) == seconds


@pytest.mark.scenario("notify-given-up")
async def test_a_message_that_ends_every_process_is_given_up(tmp_path: Path, post: Receiver) -> None:
    post.manners = ["mute"]
    async with told(tmp_path, channel(post), notify_attempts=1) as home:
        await handed_in(home)
        sending = asyncio.create_task(home.app.notifier.send_due("desk"))
        await post.next()
        sending.cancel()
        await asyncio.wait([sending])
    async with told(tmp_path, channel(post), notify_attempts=1, clock=home.clock, ids=home.ids) as successor:
        await sent(successor, post)

        [event] = (await successor.person("a").ok("events", event="notification.given_up"))["events"]
    assert event["message"] == "every attempt ended with its process"
    assert len(post.got) == 1


@pytest.mark.scenario("notify-secrets")
async def test_a_fault_of_ours_is_a_failed_attempt_and_says_no_more_than_its_kind(
    tmp_path: Path, post: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    async def faulty(channel: Channel, message: Message, now: int) -> None:
        raise ValueError("hush-hush")

    async with told(tmp_path, channel(post)) as home:
        await handed_in(home)
        await Notifier(home.app.desk, faulty).send_due("desk")

    assert [row["error"] for row in outbox(tmp_path)] == ["an error of kind ValueError"]
    assert "hush-hush" not in caplog.text


# that it is in nobody's way


@pytest.mark.scenario("notify-apart")
async def test_a_channel_that_hangs_delays_neither_another_nor_any_apply(tmp_path: Path) -> None:
    with receiver(*["mute"] * 20) as mute, receiver() as post:
        channels = [channel(mute, "mute"), channel(post, on=["review", "completed"])]
        async with told(tmp_path, *channels, sweep=True) as home:
            orders = [await handed_in(home) for _ in range(6)]
            await mute.next()
            for order_id in orders:
                assert (await home.person("rita").ok("approve", order_id=order_id))["applied"]
            seen = {((one := await post.next()).json["data"]["order_id"], one.json["type"]) for _ in range(12)}

            assert seen == {(order, f"order.{what}") for order in orders for what in ("review", "completed")}
            assert len(mute.got) <= 4


@pytest.mark.scenario("notify-once")
async def test_two_processes_that_know_the_channel_send_each_message_once(tmp_path: Path, post: Receiver) -> None:
    async with (
        told(tmp_path, channel(post)) as home,
        told(tmp_path, channel(post), clock=home.clock, ids=home.ids) as other,
    ):
        orders = [await handed_in(home) for _ in range(10)]
        await asyncio.gather(home.app.notifier.send_due("desk"), other.app.notifier.send_due("desk"))

    assert sorted(one.json["data"]["order_id"] for one in post.got) == sorted(orders)


@pytest.mark.scenario("notify-once")
async def test_what_another_process_has_taken_over_is_left_to_it(tmp_path: Path, post: Receiver) -> None:
    async with told(tmp_path, channel(post)) as home:
        await handed_in(home)

        async def overtaken(channel: Channel, message: Message, now: int) -> None:
            def body(tx: Any) -> None:
                [mine] = [one for one in tx.effects("WO-1") if one.kind == "notify"]
                tx.apply(Change(effects=(replace(mine, claim="other:1", attempts=2),)))

            await home.app.desk.change(body)

        await Notifier(home.app.desk, overtaken).send_due("desk")

    assert [(row["state"], row["claim"], row["attempts"]) for row in outbox(tmp_path)] == [("pending", "other:1", 2)]


@pytest.mark.scenario("notify-gone")
async def test_what_waits_for_a_channel_that_is_gone_is_left_for_a_week_and_then_dropped(
    tmp_path: Path, post: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    desk, pager = channel(post), channel(post, "pager")
    async with told(tmp_path, desk, pager) as home:
        await handed_in(home)
    async with told(tmp_path, pager, clock=home.clock, ids=home.ids) as without:
        await without.app.sweeper.sweep()
        assert {row["channel"]: row["state"] for row in outbox(tmp_path)} == {"desk": "pending", "pager": "pending"}

        without.clock.forward(GONE_AFTER_MS / 1000)
        await without.app.sweeper.sweep()

    assert {row["channel"]: row["state"] for row in outbox(tmp_path)} == {"desk": "done", "pager": "pending"}
    assert "there is no channel desk any more" in caplog.text
    assert post.got == []


# secrets


@pytest.mark.scenario("notify-secrets")
async def test_no_address_and_no_secret_is_in_the_log_the_events_the_lists_or_the_database(
    tmp_path: Path, post: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DESK_SECRET", SECRET)
    post.manners = [500, 410, 500]
    async with told(tmp_path, channel(post, secret_env="DESK_SECRET")) as home:
        await handed_in(home)
        for _ in range(3):
            await sent(home, post)
            home.clock.forward(86_400)
        tested = await home.app.notifier.test(None)
        shown = [tested, await home.app.notifier.status(), home.app.settings, *home.app.settings.notify]
        events = await home.person("a").events()

    seen = repr([shown, events, raw.everything(tmp_path)]) + caplog.text
    assert "it answered 410" in seen
    for secret in ("hush-hush", SECRET, SECRET.removeprefix("whsec_"), post.got[0].headers["webhook-signature"]):
        assert secret not in seen


@pytest.mark.scenario("notify-secrets")
@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (None, "the environment has no variable DESK_SECRET"),
        ("not base64 at all!", "the secret is not whsec_ and base64 behind it"),
        ("whsec_c2hvcnQ=", "the secret has fewer than 24 bytes"),
    ],
)
async def test_without_a_good_secret_nothing_is_sent(
    tmp_path: Path, post: Receiver, monkeypatch: pytest.MonkeyPatch, secret: str | None, said: str
) -> None:
    if secret is not None:
        monkeypatch.setenv("DESK_SECRET", secret)
    async with told(tmp_path, channel(post, secret_env="DESK_SECRET")) as home:
        await handed_in(home)
        assert await sent(home, post) == []

    assert [row["error"] for row in outbox(tmp_path)] == [said]


async def test_a_secret_that_is_not_in_its_file_is_told_without_its_place(tmp_path: Path, post: Receiver) -> None:
    async with told(tmp_path, channel(post, secret_file="none")) as home:
        [row] = (await home.app.notifier.test("desk"))["channels"]

    assert (row["delivered"], row["reason"]) == (False, "secret_file is empty or cannot be read")


async def test_a_reason_from_explain_is_not_a_notification(tmp_path: Path, post: Receiver) -> None:
    async with told(tmp_path, channel(post, on=["deadline"])) as home:
        person = home.person("a")
        order_id = await person.propose(deadline=iso(home.clock.now() + 86_400_000))
        await person.hand_in(await person.take())
        home.app.desk.begin = lambda effect_id: None
        approving = asyncio.create_task(person.ok("approve", order_id=order_id))
        await until.event(home, person, order_id, "order.approved")

        answer = await person.ok("explain", order_id=order_id)
        approving.cancel()

    assert "notify" not in str(answer)
    assert len(answer["reasons"]) == 1

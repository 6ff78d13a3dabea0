"""What there is to tell, whom, and when it is tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.domain.build import NOW, effect, order
from workdocket.domain.decide import notify
from workdocket.domain.decide.notify import Subscription
from workdocket.domain.model import SYSTEM, Change, Effect, Event


def event(name: str, before: str | None = None, after: str | None = None, **more: Any) -> Event:
    return Event(name, NOW, SYSTEM, "WO-1", from_state=before, to_state=after, **more)


def occasions(*events: Event, effects: tuple[Effect, ...] = ()) -> list[tuple[str, int]]:
    changes = [Change(events=events[:1], effects=effects), Change(events=events[1:])]
    return [(one.occasion, one.seq) for one in notify.happenings(changes, 40)]


@pytest.mark.parametrize(
    ("one", "occasion"),
    [
        (event("order.submitted", "in_progress", "submitted"), "review"),
        (event("order.drifted", "approved", "submitted"), "review"),
        (event("approval.deferred"), "review"),
        (event("approval.attempt_failed", data={"will_retry": False}), "review"),
        (event("order.failed", "in_progress", "failed"), "failed"),
        (event("order.apply_failed", "approved", "failed"), "failed"),
        (event("order.completed", "applied", "completed"), "completed"),
        (event("order.rejected", "submitted", "rejected"), "rejected"),
        (event("order.proposed", None, "queued"), "deadline"),
        (event("approval.attempt_failed", data={"will_retry": True}), None),
        (event("order.retried", "failed", "failed"), None),
        (event("order.applied", "approved", "applied"), None),
        (event("item.submitted", "leased", "submitted", item_id="WO-1.1"), None),
        (event("decision.recorded"), None),
    ],
)
def test_an_event_is_an_occasion_or_none(one: Event, occasion: str | None) -> None:
    assert occasions(one) == ([(occasion, 40)] if occasion else [])


def test_events_are_numbered_backwards_from_the_last() -> None:
    found = occasions(event("order.proposed"), event("decision.recorded"), event("order.failed", "queued", "failed"))

    assert found == [("deadline", 38), ("failed", 40)]


def test_an_order_that_a_rule_is_asked_about_waits_for_nobody() -> None:
    submitted = event("order.submitted", "in_progress", "submitted")

    assert occasions(submitted, effects=(effect("auto_approve"),)) == []
    assert occasions(submitted, effects=(effect("auto_approve", state="failed"),)) == [("review", 40)]


def rows(occasion: str, subscription: Subscription, **given: Any) -> list[Effect]:
    names = {"deadline": event("order.proposed", None, "queued"), "failed": event("order.failed", "queued", "failed")}
    happening = notify.Happening(occasion, 7, names[occasion])  # type: ignore[arg-type]
    return list(notify.notifications(happening, order(**given), [subscription]))


DESK = Subscription("desk", frozenset({"failed", "deadline"}), ("page.*",), 10, before=60_000)


def test_a_notification_names_its_event_and_its_channel() -> None:
    assert rows("failed", DESK, priority=10) == [
        Effect(
            "WO-1:notify:7:desk",
            "notify",
            "WO-1",
            NOW,
            {"occasion": "failed", "event": "order.failed", "seq": 7, "at": NOW, "state": "failed"},
            channel="desk",
        )
    ]


def test_who_does_not_want_it_is_not_told() -> None:
    assert rows("failed", DESK, priority=9) == []
    assert rows("failed", DESK, priority=10, type="blog.page.fix") == []
    assert rows("failed", replace(DESK, on=frozenset({"review"})), priority=10) == []
    assert rows("deadline", DESK, priority=10) == []


@pytest.mark.parametrize(("deadline", "due"), [(100_000, 40_000), (60_000, 0), (1_000, 0)])
def test_a_deadline_is_due_ahead_of_it_and_never_before_now(deadline: int, due: int) -> None:
    [found] = rows("deadline", DESK, priority=10, deadline=NOW + deadline)

    assert found.next_at == NOW + due


@pytest.mark.parametrize(
    ("occasion", "state", "pointless"),
    [("deadline", "completed", True), ("deadline", "failed", False), ("review", "completed", False)],
)
def test_only_the_deadline_of_an_order_that_is_over_is_not_worth_telling(
    occasion: str, state: str, pointless: bool
) -> None:
    assert notify.pointless(effect("notify", data={"occasion": occasion}), order(state=state)) is pointless


def test_an_id_stands_for_one_database_one_event_and_one_channel() -> None:
    def made(uid: str = "u", seq: int = 1, channel: str = "desk") -> str:
        return notify.delivery_id(order(uid=uid), effect("notify", data={"seq": seq}, channel=channel))

    assert len({made(), made("v"), made(seq=2), made(channel="pager")}) == 4
    assert made() == made()
    assert "." not in made()


def test_pauses_grow_and_chance_adds_at_most_a_fifth() -> None:
    assert [notify.pause(n, 0.0) / 1000 for n in range(1, 9)] == [10, 40, 160, 640, 2560, 10240, 21600, 21600]
    assert notify.pause(1, 1.0) == 12_000


def test_an_attempt_that_failed_is_followed_by_another_until_there_were_enough() -> None:
    mine = effect("notify", attempts=2, claim="c", claimed_until=NOW, channel="desk", data={"occasion": "review"})

    again = notify.undelivered(mine, "no", NOW, attempts=3, jitter=0.0)
    waited = notify.undelivered(mine, "no", NOW, attempts=3, jitter=0.0, wait=90_000)
    over = notify.undelivered(replace(mine, attempts=3), "no", NOW, attempts=3, jitter=0.0)
    final = notify.undelivered(mine, "no", NOW, attempts=3, jitter=0.0, final=True)

    assert again == Change(effects=(replace(mine, claim=None, claimed_until=None, error="no", next_at=NOW + 40_000),))
    assert waited.effects[0].next_at == NOW + 90_000
    assert [one.effects[0].state for one in (again, over, final)] == ["pending", "failed", "failed"]
    assert [one.event for one in over.events + final.events] == ["notification.given_up"] * 2

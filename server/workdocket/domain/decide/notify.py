"""What there is to tell people of, whom it concerns, and what became of telling them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal, get_args

from workdocket.domain.decide.apply import finished
from workdocket.domain.draft import Draft
from workdocket.domain.machine import TERMINAL
from workdocket.domain.model import SYSTEM, Change, Effect, Event, WorkOrder, checksum

Occasion = Literal["review", "deadline", "failed", "completed", "rejected"]
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)

BY_STATE: dict[str | None, Occasion] = {
    "submitted": "review",
    "failed": "failed",
    "completed": "completed",
    "rejected": "rejected",
}
"""What it is an occasion of that an order has come to a state."""

FIRST_PAUSE = 10_000
GROWTH = 2
LONGEST_PAUSE = 6 * 3_600_000
"""Pauses between attempts, in milliseconds, each two doublings on: 10 s, 40 s, 160 s, … Chance adds up to a fifth."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a channel is told of: occasions, patterns of types. ``before``: milliseconds ahead of a deadline."""

    channel: str
    on: frozenset[Occasion]
    types: tuple[str, ...] = ("*",)
    min_priority: int = 0
    before: int = 0

    def wants(self, occasion: Occasion, order: WorkOrder) -> bool:
        return (
            occasion in self.on
            and order.priority >= self.min_priority
            and any(fnmatchcase(order.type, pattern) for pattern in self.types)
        )


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that is an occasion, with its sequence number in the log."""

    occasion: Occasion
    seq: int
    event: Event


def happenings(changes: Sequence[Change], last: int) -> list[Happening]:
    """The occasions among the events of changes; ``last`` is the sequence number of the last of all these events."""
    events = [event for change in changes for event in change.events]
    by_rule = {
        effect.order_id
        for change in changes
        for effect in change.effects
        if effect.kind == "auto_approve" and effect.state == "pending"
    }
    numbered = enumerate(events, last - len(events) + 1)
    found = ((seq, event, _occasion(event, by_rule)) for seq, event in numbered)
    return [Happening(occasion, seq, event) for seq, event, occasion in found if occasion is not None]


def _occasion(event: Event, by_rule: Iterable[str]) -> Occasion | None:
    """Whose order is submitted waits for a reviewer unless the type's rule is asked first; then once it said no."""
    if event.event == "order.proposed":
        return "deadline"
    if event.event == "approval.deferred" or (event.event == "approval.attempt_failed" and _given_up(event)):
        return "review"
    if event.item_id is not None or event.from_state in (None, event.to_state):
        return None
    occasion = BY_STATE.get(event.to_state)
    return None if occasion == "review" and event.order_id in by_rule else occasion


def _given_up(event: Event) -> bool:
    return not (event.data or {}).get("will_retry")


def notifications(happening: Happening, order: WorkOrder, subscriptions: Iterable[Subscription]) -> Iterator[Effect]:
    """One for each channel that wants it. Of a deadline it is due ahead of that time, however long that is from now."""
    if happening.occasion == "deadline" and order.deadline is None:
        return
    event = happening.event
    for wanted in subscriptions:
        if wanted.wants(happening.occasion, order):
            ahead = (order.deadline or 0) - wanted.before if happening.occasion == "deadline" else event.at
            yield Effect(
                f"{order.id}:notify:{happening.seq}:{wanted.channel}",
                "notify",
                order.id,
                max(event.at, ahead),
                {
                    "occasion": happening.occasion,
                    "event": event.event,
                    "seq": happening.seq,
                    "at": event.at,
                    "state": event.to_state or order.state,
                },
                channel=wanted.channel,
            )


def delivery_id(order: WorkOrder, effect: Effect) -> str:
    """The same however often it is sent, and of no other message, also not of another database."""
    return f"msg_{checksum([order.uid, effect.data['seq'], effect.channel])[:32]}"


def pointless(effect: Effect, order: WorkOrder) -> bool:
    """Whether there is no point in telling it any more: the deadline of an order that is over."""
    return effect.data["occasion"] == "deadline" and order.state in TERMINAL


def taken(effect: Effect, token: str, until: int) -> Change:
    """The notification in one process's hand, its attempt counted before anything is sent."""
    return Change(effects=(replace(effect, attempts=effect.attempts + 1, claim=token, claimed_until=until),))


def put_away(effect: Effect) -> Change:
    """Delivered, or dropped: nothing more to do."""
    return Change(effects=(finished(effect),))


def undelivered(
    effect: Effect, reason: str, now: int, *, attempts: int, jitter: float, wait: int = 0, final: bool = False
) -> Change:
    """Another attempt due after a pause of at least ``wait`` milliseconds; else given up, with an audit event."""
    kept = replace(effect, claim=None, claimed_until=None, error=reason)
    if not final and effect.attempts < attempts:
        return Change(effects=(replace(kept, next_at=now + max(pause(effect.attempts, jitter), wait)),))
    draft = Draft(now, SYSTEM)
    draft.effects.append(replace(kept, state="failed"))
    told = {"channel": effect.channel, "occasion": effect.data["occasion"], "attempts": effect.attempts}
    draft.note("notification.given_up", effect.order_id, message=reason, data=told)
    return draft.change()


def pause(attempts: int, jitter: float) -> int:
    """Milliseconds until the next attempt after that many; ``jitter`` is from 0 to 1."""
    grown = min(FIRST_PAUSE << GROWTH * (attempts - 1), LONGEST_PAUSE)
    return grown + int(grown * jitter / 5)

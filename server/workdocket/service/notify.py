"""The outbox of notifications: claimed, sent and recorded, by whichever server knows the channel.

Each channel is served on its own, so that one that hangs delays nobody but itself, and no change of an order.
"""

from __future__ import annotations

import logging
from difflib import get_close_matches
from functools import partial
from typing import Any

import anyio

from workdocket.channel import Channel, Deliver, Message, NotDelivered
from workdocket.domain.decide import notify
from workdocket.domain.errors import WorkError
from workdocket.domain.model import Change, Effect, WorkOrder, iso
from workdocket.ports import ReadTx, WriteTx
from workdocket.service import view
from workdocket.service.desk import Answer, Desk, must_find_order
from workdocket.service.liveness import is_free, kept, new_claim

log = logging.getLogger("workdocket.notify")

AT_ONCE = 4
"""Messages that one channel sends at a time, in each process."""
LOOKED_AT = 50
GONE_AFTER_MS = 7 * 86_400_000
"""How long a notification is kept for processes that know its channel, where this one does not."""

WORDS = {
    "review": "{id} ({title}) waits for review",
    "deadline": "{id} ({title}) is to be done by {deadline}",
    "failed": "{id} ({title}) failed",
    "completed": "{id} ({title}) is completed",
    "rejected": "{id} ({title}) was rejected",
}


class Notifier:
    """Sends what is due. ``run`` does so in every server; commands send nothing."""

    def __init__(self, desk: Desk, deliver: Deliver) -> None:
        self._desk = desk
        self._deliver = deliver
        self._channels = {channel.name: channel for channel in desk.settings.notify}
        self._news: dict[str, anyio.Event] = {}
        self._sending: set[str] = set()

    def tell(self, channel: str) -> None:
        """There is something new for a channel."""
        if channel in self._news:
            self._news[channel].set()

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            for channel in self._channels.values():
                group.start_soon(self._serve, channel)

    async def _serve(self, channel: Channel) -> None:
        while True:
            self._news[channel.name] = anyio.Event()
            pause = self._desk.settings.sweep_every_seconds
            try:
                await self.send_due(channel.name)
                pause = await self._pause(channel.name)
            except WorkError as error:
                log.warning("notifications by %s are put off: %s", channel.name, error)
            except Exception:
                log.exception("notifications by %s are put off", channel.name)
            with anyio.move_on_after(pause):
                await self._news[channel.name].wait()

    async def _pause(self, name: str) -> float:
        """Seconds until the next one is due, at most what is set; a second where it is overdue, in other hands."""
        longest = self._desk.settings.sweep_every_seconds
        at = await self._desk.store.read(lambda tx: tx.next_notification(name))
        if at is None:
            return longest
        left = (at - self._desk.clock.now()) / 1000
        return min(longest, max(left, 0.05) if left > 0 else 1.0)

    async def send_due(self, name: str) -> None:
        """Try each notification of a channel that is due, once, a few at a time."""
        tried: set[str] = set()
        while some := await self._desk.store.read(partial(self._due, name, tried)):
            tried |= {effect.id for effect in some}
            async with anyio.create_task_group() as group:
                for effect in some:
                    group.start_soon(self._send, self._channels[name], effect.id)

    def _due(self, name: str, tried: set[str], tx: ReadTx) -> list[Effect]:
        due = tx.due_notifications(name, self._desk.clock.now(), LOOKED_AT)
        free = (one for one in due if one.id not in tried | self._sending and is_free(self._desk, one))
        return list(free)[:AT_ONCE]

    async def _send(self, channel: Channel, effect_id: str) -> None:
        self._sending.add(effect_id)
        try:
            claimed = await self._desk.change(lambda tx: self._claim(tx, channel, effect_id))
            if claimed is not None:
                await self._attempt(channel, *claimed)
        except WorkError as error:
            log.warning("notification %s is left for later: %s", effect_id, error)
        finally:
            self._sending.discard(effect_id)

    def _claim(self, tx: WriteTx, channel: Channel, effect_id: str) -> tuple[Effect, Message] | None:
        """The notification in this process's hand and what it says; ``None`` where others have it or it is settled."""
        effect, now = tx.effect(effect_id), self._desk.clock.now()
        if effect is None or effect.state != "pending" or effect.next_at > now or not is_free(self._desk, effect):
            return None
        order = must_find_order(tx, effect.order_id, results=channel.include_payload)
        if notify.pointless(effect, order):
            tx.apply(notify.put_away(effect))
            return None
        if effect.claim is not None and effect.attempts >= self._desk.settings.notify_attempts:
            tx.apply(self._failed(effect, NotDelivered("every attempt ended with its process")))
            return None
        change = notify.taken(effect, *new_claim(self._desk))
        tx.apply(change)
        return change.effects[0], self._message(channel, effect, order)

    async def _attempt(self, channel: Channel, effect: Effect, message: Message) -> None:
        async with kept(self._desk, partial(_extend, effect)):
            failure = await self._tried(channel, message)
        if failure is None:
            await self._record(effect, notify.put_away(effect))
            return
        log.info("%s was not delivered by %s: %s", message.id, channel.name, failure)
        await self._record(effect, self._failed(effect, failure))

    async def _tried(self, channel: Channel, message: Message) -> NotDelivered | None:
        """What came of an attempt; what went wrong in our own code is told by its kind only, it may know a secret."""
        try:
            await self._deliver(channel, message, self._desk.clock.now())
        except NotDelivered as failure:
            return failure
        except Exception as error:
            return NotDelivered(f"an error of kind {type(error).__name__}")
        return None

    def _failed(self, effect: Effect, failure: NotDelivered) -> Change:
        return notify.undelivered(
            effect,
            str(failure),
            self._desk.clock.now(),
            attempts=self._desk.settings.notify_attempts,
            jitter=self._desk.ids.jitter(),
            wait=round(failure.wait_seconds * 1000),
            final=failure.final,
        )

    async def _record(self, effect: Effect, outcome: Change) -> None:
        """What became of it, written by whoever still has the claim."""

        def body(tx: WriteTx) -> None:
            mine = tx.effect(effect.id)
            if mine is not None and mine.claim == effect.claim and mine.state == "pending":
                tx.apply(outcome)

        with anyio.CancelScope(shield=True):
            await self._desk.change(body)

    async def drop_gone(self) -> None:
        """Put away what has waited for long for a channel that this process does not know."""
        before = self._desk.clock.now() - GONE_AFTER_MS
        old = await self._desk.store.read(lambda tx: tx.old_notifications(before, LOOKED_AT))
        for effect in old:
            if effect.channel not in self._channels:
                log.warning("%s is dropped: there is no channel %s any more", effect.id, effect.channel)
                await self._record(effect, notify.put_away(effect))

    # what is sent

    def _message(self, channel: Channel, effect: Effect, order: WorkOrder) -> Message:
        data, public = effect.data, self._desk.settings.public_url
        entry = self._desk.registry.find(order)
        title = (entry.type.title if entry else None) or order.type
        deadline = iso(order.deadline) if order.deadline is not None else None
        told: dict[str, Any] = view.present(
            order_id=order.id,
            order_type=order.type,
            title=title,
            state=data["state"],
            priority=order.priority,
            event=data["event"],
            seq=data["seq"],
            deadline=deadline,
            link=f"{public}/orders/{order.id}" if public else None,
        )
        if channel.include_payload:
            told["payload"] = order.payload
            told["results"] = {item.id: item.result for item in order.items if item.result is not None}
        return Message(
            id=notify.delivery_id(order, effect),
            type=f"order.{data['occasion']}",
            at=data["at"],
            title="workdocket",
            text=WORDS[data["occasion"]].format(id=order.id, title=title, deadline=deadline),
            data=told,
        )

    # what an operator asks

    async def test(self, name: str | None) -> Answer:
        """A message sent by a channel, or by all, and what came of each. Nothing is tried again."""
        channels = [self._channel(name)] if name else list(self._channels.values())
        rows = []
        for channel in channels:
            message = Message(
                id=f"msg_test_{self._desk.ids.token()}",
                type="workdocket.test",
                at=self._desk.clock.now(),
                title="workdocket",
                text=f"a test of the channel {channel.name}",
                data={"channel": channel.name},
            )
            failure = await self._tried(channel, message)
            rows.append(view.present(**_shown(channel), delivered=failure is None, reason=failure and str(failure)))
        return {"channels": rows}

    def _channel(self, name: str) -> Channel:
        if name not in self._channels:
            near = get_close_matches(name, self._channels)
            raise WorkError("not_found", f"there is no channel {name[:40]}", nearest=near)
        return self._channels[name]

    async def status(self, most: int = LOOKED_AT) -> Answer:
        """The channels with how much each has to send or gave up, and those notifications, the latest first."""
        rows, counts = await self._desk.store.read(lambda tx: tx.undelivered(most))
        gone = sorted({channel for channel, _ in counts} - self._channels.keys())
        known = [{**_shown(one), **_counted(one.name, counts)} for one in self._channels.values()]
        unknown = [{"name": name, "way": "not in the settings", **_counted(name, counts)} for name in gone]
        return {"channels": [*known, *unknown], "notifications": [_row(effect) for effect in rows]}


def _extend(effect: Effect, tx: WriteTx, until: int) -> None:
    tx.extend_claim(effect.id, effect.claim or "", until)


def _shown(channel: Channel) -> dict[str, Any]:
    return {
        "name": channel.name,
        "way": channel.way,
        "on": list(channel.on),
        "types": list(channel.types),
        "min_priority": channel.min_priority,
    }


def _counted(name: str, counts: Any) -> dict[str, int]:
    return {state: counts.get((name, state), 0) for state in ("pending", "failed")}


def _row(effect: Effect) -> dict[str, Any]:
    return view.present(
        order_id=effect.order_id,
        occasion=effect.data["occasion"],
        channel=effect.channel,
        state=effect.state,
        attempts=effect.attempts,
        due_at=iso(effect.next_at) if effect.state == "pending" else None,
        error=effect.error,
    )

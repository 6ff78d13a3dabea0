"""From a form to a decision. Each one names the digest that was on the screen, and goes through the tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from workdocket.app import App
from workdocket.domain.errors import Finding, WorkError
from workdocket.service.glance import Glances
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.inbox.forms import Form
from workdocket.surfaces.inbox.words import plainly
from workdocket.surfaces.tools import TOOLS

VERDICTS = ("approve", "reject", "rework")
KEY = "key"
"""The field that makes a form count once, however often it is sent."""

REASON, ITEM = "reason", "reason."

AT_ONCE = 8
MOST_MEMBERS = 200


class Desk:
    """Decides in the name of one caller."""

    def __init__(self, app: App, glances: Glances, caller: Caller) -> None:
        self._app = app
        self._glances = glances
        self._caller = caller

    async def decided(self, order_id: str, form: Form) -> str:
        """The decision of a form on one order; a sentence about what came of it. Raises ``WorkError``."""
        verdict, digest = _verdict(form), form.get("digest")
        if not digest:
            raise _misfit("/digest", "A decision names what was shown. Open the order again.")
        try:
            if verdict == "approve":
                answer = await self._approve(order_id, digest, form.get("comment"), form.get(KEY))
                return outcome(answer)
            errors = reasons(form)
            await self._must_be_as_shown(order_id, digest)
            return await self._reject(order_id, errors, form, rework=verdict == "rework")
        finally:
            self._glances.forget(order_id)

    async def waived(self, form: Form) -> str:
        item_id = form.get("item_id")
        await self._tool("waive", item_id=item_id, reason=_reason(form))
        return f"{item_id} is left out."

    async def undone(self, order_id: str, form: Form) -> str:
        answer = await self._tool(
            "undo", order_id=order_id, reason=_reason(form), idempotency_key=form.get(KEY) or None
        )
        filed = answer.get("order", {}).get("id", "")
        return f"An order that takes {order_id} back is filed{f': {filed}' if filed else ''}."

    async def retried(self, order_id: str, form: Form) -> str:
        answer = await self._tool("retry", order_id=order_id, idempotency_key=form.get(KEY) or None)
        return f"{order_id} is tried again; it is {_state(answer)}."

    async def batch(self, form: Form) -> list[Member]:
        """Each member approved as it was shown, or left out with a reason; several at a time."""
        members = list(dict.fromkeys(form.all("member")))
        if not members:
            raise _misfit("/member", "Nothing was selected.")
        if len(members) > MOST_MEMBERS:
            raise _misfit("/member", f"At most {MOST_MEMBERS} can be approved at once; {len(members)} were selected.")
        found: dict[str, Member] = {}
        places = anyio.CapacityLimiter(AT_ONCE)

        async def one(member: str) -> None:
            async with places:
                found[member] = await self._member(member, form)

        async with anyio.create_task_group() as group:
            for member in members:
                group.start_soon(one, member)
        return [found[member] for member in members]

    async def _member(self, member: str, form: Form) -> Member:
        order_id, _, digest = member.partition(":")
        if not digest:
            return Member(order_id, "left out", "It was not shown whole when you selected it.")
        try:
            answer = await self._approve(order_id, digest, form.get("comment"), form.get(KEY))
        except WorkError as error:
            return Member(order_id, "left out", plainly(error).replace(" Below is how it is now.", ""), error.code)
        finally:
            self._glances.forget(order_id)
        return Member(order_id, _state(answer), outcome(answer))

    async def _approve(self, order_id: str, digest: str, comment: str, key: str) -> dict[str, Any]:
        key = f"{key}-{order_id}" if key else ""
        return await self._tool(
            "approve", order_id=order_id, digest=digest, comment=comment or None, idempotency_key=key or None
        )

    async def _reject(self, order_id: str, errors: Sequence[dict[str, str]], form: Form, *, rework: bool) -> str:
        answer = await self._tool(
            "reject",
            order_id=order_id,
            errors=errors,
            rework=rework,
            comment=form.get("comment") or None,
            only_items=True if form.get("only_items") and not rework else None,
            idempotency_key=form.get(KEY) or None,
        )
        stopped = [item["id"] for item in answer.get("stopped", ())]
        if stopped:
            return f"The same was said of {', '.join(stopped)} before: stopped until somebody tries it again."
        return f"{order_id} is {'sent back' if rework else 'refused'}; it is {_state(answer)}."

    async def _must_be_as_shown(self, order_id: str, digest: str) -> None:
        """A refusal names what was shown too; the tool asks for no digest, since it changes nothing outside."""
        packet = await self._tool("review", order_id=order_id)
        if packet["digest"] != digest and packet["order"]["state"] == "submitted":
            raise WorkError("stale", f"{order_id} changed", shown=digest[:40], now=packet["digest"])

    async def _tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        given = {key: value for key, value in arguments.items() if value is not None}
        return await run_tool(self._app, self._caller, name, given)


@dataclass(frozen=True, slots=True)
class Member:
    """What came of one member of a batch."""

    order_id: str
    outcome: str
    words: str
    code: str | None = None


def outcome(answer: dict[str, Any]) -> str:
    """What an approval led to."""
    if answer.get("applied"):
        return f"{answer['order']['id']} is approved and applied."
    if answer["order"]["state"] == "approved":
        return f"{answer['order']['id']} is approved; it is being applied."
    return f"Your approval of {answer['order']['id']} counts; somebody else has to approve it as well."


def reasons(form: Form) -> list[dict[str, str]]:
    """The reasons of a refusal: for single items, and for the whole. Raises ``WorkError`` where there is none."""
    found = [{"message": text, "item_id": item_id} for item_id, text in form.under(ITEM)]
    if form.get(REASON):
        found.append({"message": form.get(REASON)})
    if not found:
        raise _misfit("/reason", "Say why: whoever works on it next sees the reasons, and nothing else.")
    return found


def offered(name: str, argument: str | None = None) -> bool:
    """Whether there is a tool of that name, which takes that argument."""
    return name in TOOLS and (argument is None or argument in TOOLS[name].args.model_fields)


def _verdict(form: Form) -> str:
    given = form.all("verdict")
    if len(given) != 1 or given[0] not in VERDICTS:
        raise _misfit("/verdict", "Choose exactly one of approve, send back and refuse.")
    return given[0]


def _reason(form: Form) -> str:
    if not form.get(REASON):
        raise _misfit("/reason", "Say why.")
    return form.get(REASON)


def _state(answer: dict[str, Any]) -> str:
    return str(answer.get("order", {}).get("state", "")).replace("_", " ")


def _misfit(path: str, message: str) -> WorkError:
    return WorkError("invalid_request", message, hint="", findings=[Finding("required", path, message)])

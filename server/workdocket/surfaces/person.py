"""Where a gate wants a person: who sits at the client is asked, in its own dialog, before anything is written."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import anyio
from mcp import MCPError
from mcp.server.mcpserver import Context
from mcp.server.session import ServerSession
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequest, InputRequiredResult
from mcp.types.version import is_version_at_least
from pydantic import BaseModel, Field, StrictBool, ValidationError

from workdocket.app import App
from workdocket.domain.errors import Finding, WorkError
from workdocket.settings import Settings
from workdocket.surfaces import wire
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import Caller, Yes
from workdocket.surfaces.progress import Activity
from workdocket.surfaces.question import question, quoted

log = logging.getLogger("workdocket.person")

RETURNED_SINCE = "2026-07-28"
"""From this version of the protocol on a question is an answer to the call, which the client then makes again."""

KEY = "person"

Answer = dict[str, Any]

LONGEST_NOTE = 4_000

FIELDS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "title": "Approve", "description": "Without it everything stays as it is."},
        "note": {
            "type": "string",
            "title": "Note",
            "description": "Kept with the decision.",
            "maxLength": LONGEST_NOTE,
        },
    },
    "required": ["approve"],
}
"""The dialog, in what protocols of all ages take."""


class Filled(BaseModel):
    """The dialog as a person filled it in."""

    approve: StrictBool
    note: str = Field("", max_length=LONGEST_NOTE)


class Dialogs:
    """The questions to the persons at the clients of one server. None stands for longer than ``within`` seconds, and
    none once the server ends."""

    def __init__(self, app: App, within: float) -> None:
        self._app = app
        self._within = within
        self._open: set[anyio.CancelScope] = set()
        self._ending = False

    def close(self) -> None:
        """Nobody is asked any more: calls that wait for a person are refused."""
        self._ending = True
        for scope in self._open:
            scope.cancel()

    async def run(
        self,
        caller: Caller,
        tool: str,
        arguments: Mapping[str, Any],
        context: Context[None, Any] | None,
        activity: Activity,
    ) -> Answer | InputRequiredResult:
        """The answer of the tool; of an ``approve`` that takes a person, after they said yes, or else the question."""
        try:
            return await run_tool(self._app, caller, tool, arguments)
        except WorkError as refusal:
            if tool != "approve" or refusal.details.get("rule") != "human":
                raise
            wanted = refusal
        order_id = str(arguments["order_id"])
        if context is None or not can_ask(context):
            raise self._elsewhere(order_id, wanted.message, "This client can't ask a person.")
        agreed = await self._agreed(caller, order_id, context, activity)
        if isinstance(agreed, InputRequiredResult):
            return agreed
        return await run_tool(self._app, caller.after(agreed), tool, arguments)

    async def _agreed(
        self, caller: Caller, order_id: str, context: Context[None, Any], activity: Activity
    ) -> Yes | InputRequiredResult:
        """The person's yes, or the question, for a client that brings the answer with its next call."""
        packet = await _undecided(self._app, caller, order_id)
        request = ElicitRequestFormParams(message=question(self._app, packet), requested_schema=FIELDS)
        seen = Seen(packet["digest"], _words(packet, caller))
        if not _returns_questions(context):
            with activity.meanwhile("a person is asked"):
                answer = await self._asked(context, request, order_id)
            return Yes(seen.digest, _note(answer, order_id))
        if context.request_state is None or not context.input_responses:
            asked: dict[str, InputRequest] = {KEY: ElicitRequest(params=request)}
            return InputRequiredResult(input_requests=asked, request_state=json.dumps(seen))
        shown = Seen(*json.loads(context.request_state))
        if shown.words != seen.words:
            message = f"{order_id} was decided on since the question was asked"
            raise WorkError("stale", message, shown=shown.digest, now=seen.digest)
        return Yes(shown.digest, _note(context.input_responses.get(KEY), order_id))

    async def _asked(
        self, context: Context[None, Any], request: ElicitRequestFormParams, order_id: str
    ) -> ElicitResult:
        """The client's answer to a question sent to it while its call waits."""
        fault = "the client could not ask the person"
        session: ServerSession = context.session
        with anyio.move_on_after(0 if self._ending else self._within) as scope:
            self._open.add(scope)
            try:
                return await session.elicit_form(request.message, request.requested_schema, context.request_id)
            except ValidationError:
                raise _misfit() from None
            except MCPError as error:
                log.info("%s: %r", fault, error)
            finally:
                self._open.discard(scope)
        if scope.cancelled_caught:
            fault = "the server is ending" if self._ending else "nobody answered in time"
        raise self._elsewhere(order_id, fault, "Nothing was changed.")

    def _elsewhere(self, order_id: str, message: str, hint: str) -> WorkError:
        """A refusal that names the ways to decide without the client."""
        command, link = f"workdocket approve {order_id}", inbox_link(self._app.settings, order_id)
        return WorkError(
            "forbidden",
            message,
            hint=f"{hint} A person runs: {command}" + (f" or opens {link}" if link else ""),
            details={"rule": "human", "command": command, **({"link": link} if link else {})},
        )


class Seen(NamedTuple):
    """What a person is asked about, and how many words on it went before: no answer counts twice, or once it was
    sent back."""

    digest: str
    words: int


def _words(packet: Answer, caller: Caller) -> int:
    """Decisions that end what was asked before them: the caller's own, and everybody's no."""
    ending = [one for one in packet["decisions"] if one["verdict"] != "approve" or one["by"]["id"] == caller.actor.id]
    return len(ending)


def can_ask(context: Context[None, Any]) -> bool:
    """Whether the client said that it shows forms, and a question can reach it."""
    capabilities = context.client_capabilities
    dialog = capabilities.elicitation if capabilities else None
    if dialog is None or (dialog.form is None and dialog.url is not None):
        return False
    return _returns_questions(context) or context.session.can_send_request


def _returns_questions(context: Context[None, Any]) -> bool:
    return is_version_at_least(context.protocol_version or "", RETURNED_SINCE)


async def _undecided(app: App, caller: Caller, order_id: str) -> Answer:
    """What there is to decide on; refused where the caller's word would change nothing."""
    packet = await app.reviews.review(caller.actor, order_id)
    if packet["findings"]:
        found = [Finding(one["code"], one["path"], one["message"]) for one in packet["findings"]]
        raise WorkError("not_ready", f"{order_id} is not fit for approval", findings=found)
    gate = packet["gate"]
    if caller.actor.id in gate["excluded"]:
        message = f"{caller.actor.id} proposed or worked on {order_id}"
        raise WorkError("self_approval", message, excluded=gate["excluded"])
    if caller.actor.id in gate["approved_by"]:
        raise WorkError(
            "forbidden",
            f"{caller.actor.id} has approved of {order_id} already",
            hint="Another person has to approve too.",
            rule="quorum",
        )
    return packet


def _note(answer: Any, order_id: str) -> str | None:
    """The note of a person who said yes. Anything but a clear yes is refused."""
    if not isinstance(answer, ElicitResult):
        raise _misfit()
    form = None
    if answer.action == "accept":
        try:
            wire.vet(answer.content)
            form = Filled.model_validate(answer.content)
        except ValidationError:
            raise _misfit() from None
        if form.approve:
            return form.note.strip() or None
    said = "closed the dialog without an answer" if answer.action == "cancel" else "said no"
    note = form.note.strip() if form else ""
    raise WorkError(
        "forbidden",
        f"the person who was asked about {order_id} {said}{f': {quoted(note)}' if note else ''}",
        hint="Nothing was changed. Ask them what they want; reject sends items back with reasons.",
        details={"rule": "human", "answer": "no" if form else answer.action, **({"note": note} if note else {})},
    )


def _misfit() -> WorkError:
    found = [Finding("answer", "/approve", "the dialog's answer is not what was asked for")]
    return WorkError(
        "invalid_request", found[0].message, hint="Nothing was changed. Call approve again.", findings=found
    )


def inbox_link(settings: Settings, order_id: str) -> str | None:
    """Where a person decides on an order in the web inbox; ``None`` where the server takes any free port."""
    if settings.public_url:
        return f"{settings.public_url.rstrip('/')}/orders/{order_id}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    where = f"[{host}]" if ":" in host else host
    return f"http://{where}:{settings.port}/orders/{order_id}" if settings.port else None

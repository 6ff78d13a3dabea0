"""What a form sends: read within limits, and known to come from a page of the same session."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from urllib.parse import parse_qsl

import anyio
from starlette.requests import Request

from workdocket.domain.errors import WorkError
from workdocket.surfaces import wire
from workdocket.surfaces.entrance import too_large
from workdocket.surfaces.inbox.sessions import Session

MOST_BYTES = 1 << 20
MOST_FIELDS = 4_000
SECONDS = 30.0

FORM = "form"
"""The field that every form of a session carries."""


class Form:
    """Fields by name, in the order they were sent, spaces around them taken away."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = [(name, value.replace("\r\n", "\n").strip()) for name, value in fields]

    def get(self, name: str) -> str:
        """The last value of a field; nothing where there is none."""
        return next((value for field, value in reversed(self._fields) if field == name), "")

    def all(self, name: str) -> list[str]:
        return [value for field, value in self._fields if field == name]

    def under(self, prefix: str) -> Iterator[tuple[str, str]]:
        """The rest of the name, and the value, of each filled-in field whose name begins so."""
        return ((name[len(prefix) :], value) for name, value in self._fields if name.startswith(prefix) and value)


async def sent(request: Request) -> Form:
    """The form in the body of a request. Raises ``WorkError`` for one that is none, or too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise WorkError("invalid_request", "This is not a form of these pages.", hint="Open the page again.")
    body = bytearray()
    with anyio.fail_after(SECONDS):
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BYTES:
                raise too_large(MOST_BYTES)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise WorkError("invalid_request", "The form cannot be read.", hint="Open the page again.") from error
    wire.vet(dict(fields))
    return Form(fields)


def must_be_of(session: Session, form: Form) -> None:
    """Refuse a form that another page, or another sign-in, made."""
    if not hmac.compare_digest(form.get(FORM).encode(), session.form.encode()):
        raise WorkError(
            "forbidden",
            "This form is of another sign-in; nothing was done.",
            hint="Open the page again and send it anew.",
        )

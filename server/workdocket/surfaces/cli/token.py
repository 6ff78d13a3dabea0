"""``workdocket token``: who may call a server over HTTP, and as what."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import click

from workdocket.domain.model import millis
from workdocket.surfaces.cli.run import JSON, Session, operate
from workdocket.surfaces.identity import ROLES

if TYPE_CHECKING:
    from workdocket.app import App
    from workdocket.domain.model import Actor

SPAN = re.compile(r"(\d{1,4})([hdw])")
UNITS_MS = {"h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

Expiry = Callable[[int], int | None]
"""From the present to the end of a token, both in milliseconds."""


def _expiry(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Expiry:
    if value is None:
        return lambda now: None
    if span := SPAN.fullmatch(value):
        length = int(span[1]) * UNITS_MS[span[2]]
        return lambda now: now + length
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a time like 2027-01-31 nor a span like 30d or 12h") from None
    return lambda now: millis(time if time.tzinfo else time.replace(tzinfo=UTC))


@click.group()
def token() -> None:
    """Give tokens to callers over HTTP, and take them back."""


@token.command("create")
@click.argument("name")
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="What it may do; repeatable."
)
@click.option(
    "--kind",
    type=click.Choice(["agent", "user"]),
    default="agent",
    show_default=True,
    help="Who holds it: a program (agent) or a person (user).",
)
@click.option(
    "--expires", metavar="WHEN", callback=_expiry, help="12h, 30d, 8w or a time, UTC if it names no zone; else never."
)
@JSON
@click.pass_obj
def token_create(
    session: Session,
    /,
    name: str,
    roles: tuple[str, ...],
    kind: Literal["agent", "user"],
    expires: Expiry,
    as_json: bool,
) -> None:
    """Make a token for NAME and print its secret, this once: only a hash of it is kept.

    NAME is the principal in the audit log. Several tokens may have the same.
    """

    async def work(app: App, actor: Actor) -> dict[str, Any]:
        end = expires(app.desk.clock.now())
        made, secret = await app.tokens.make(name, roles, actor, kind=kind, expires_at=end)
        return {"token": app.tokens.view(made), "secret": secret}

    session.show("token_made", operate(session, work), as_json)


@token.command("list")
@JSON
@click.pass_obj
def token_list(session: Session, /, as_json: bool) -> None:
    """List all tokens that were ever made, without their secrets."""

    async def work(app: App, actor: Actor) -> dict[str, Any]:
        return {"tokens": [app.tokens.view(one) for one in await app.tokens.all()]}

    session.show("tokens", operate(session, work), as_json)


@token.command("revoke")
@click.argument("which", metavar="ID|NAME")
@click.option("--dry-run", is_flag=True, help="Say what would be revoked, revoke nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@click.pass_obj
def token_revoke(session: Session, /, which: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take back a token, or with a name all tokens of it. Every running server refuses them from then on."""

    def revoked(*, dry_run: bool) -> dict[str, Any]:
        async def work(app: App, actor: Actor) -> dict[str, Any]:
            found = await app.tokens.revoke(which, actor, dry_run=dry_run)
            return {"dry_run": dry_run, "tokens": [app.tokens.view(one) for one in found]}

        return operate(session, work)

    if not (dry_run or yes):
        ids = [f"{one['id']} ({one['name']})" for one in revoked(dry_run=True)["tokens"]]
        if ids:
            click.confirm(f"Revoke {', '.join(ids)}?", abort=True, err=True)
    session.show("tokens_revoked", revoked(dry_run=dry_run), as_json)

"""``workdocket notify``: whether those are told who are to be told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from workdocket.surfaces.cli.run import JSON, Session, operate

if TYPE_CHECKING:
    from workdocket.app import App
    from workdocket.domain.model import Actor


@click.group()
def notify() -> None:
    """Look at the channels of the setting notify, and try them."""


@notify.command("test")
@click.argument("channel", required=False)
@JSON
@click.pass_obj
def notify_test(session: Session, /, channel: str | None, as_json: bool) -> None:
    """Send a message by CHANNEL, or by every channel, and say what came of it.

    Ends with 1 where one was not delivered. Nothing is tried again, and nothing is written.
    """

    async def work(app: App, actor: Actor) -> dict[str, Any]:
        return await app.notifier.test(channel)

    answer = operate(session, work)
    session.show("notify_tested", answer, as_json)
    if not answer["channels"]:
        click.echo("no channels are known: add a [[notify]] to workdocket.toml", err=True)
    sys.exit(0 if all(row["delivered"] for row in answer["channels"]) else 1)


@notify.command("list")
@JSON
@click.pass_obj
def notify_list(session: Session, /, as_json: bool) -> None:
    """Show the channels, and what is still to be sent or was given up."""

    async def work(app: App, actor: Actor) -> dict[str, Any]:
        return await app.notifier.status()

    session.show("notify_listed", operate(session, work), as_json)

"""Verdicts that are not about a whole order: an item left out, a completed order taken back."""

from __future__ import annotations

import click

from workdocket.surfaces.cli.run import JSON, Session, ask


@click.command()
@click.argument("item_id")
@click.option("--reason", required=True, help="Why the order goes on without it.")
@JSON
@click.pass_obj
def waive(session: Session, /, item_id: str, reason: str, as_json: bool) -> None:
    """Leave a failed item out, so that its order goes on without it."""
    session.show("state", ask(session, "waive", {"item_id": item_id, "reason": reason}), as_json)


@click.command()
@click.argument("order_id")
@click.option("--reason", required=True, help="Why it is taken back.")
@JSON
@click.pass_obj
def undo(session: Session, /, order_id: str, reason: str, as_json: bool) -> None:
    """File an order that takes a completed one back, under the same gate."""
    session.show("state", ask(session, "undo", {"order_id": order_id, "reason": reason}), as_json)

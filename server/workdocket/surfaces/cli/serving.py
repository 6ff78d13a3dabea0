"""Commands around a running house: serving it, and looking how it is."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

import click

from workdocket.surfaces.cli.run import JSON, Session, operate
from workdocket.surfaces.identity import ROLES

TRANSPORTS = {"stdio": "workdocket.surfaces.stdio", "http": "workdocket.surfaces.listener"}


@click.command()
@click.option("--transport", type=click.Choice(list(TRANSPORTS)), default="stdio", show_default=True)
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="What callers may do; default: all.")
@click.option("--actor", metavar="NAME", help="The principal of this process; default: the machine's user.")
@click.option("--host", metavar="ADDRESS", help="Where http listens, instead of the setting.")
@click.option("--port", type=int, help="The port of http, instead of the setting; 0 takes a free one.")
@click.pass_obj
def serve(
    session: Session,
    /,
    transport: str,
    roles: tuple[str, ...],
    actor: str | None,
    host: str | None,
    port: int | None,
) -> None:
    """Serve MCP over stdio, as Claude Desktop or Cursor starts it, or everything over HTTP.

    http serves MCP at /mcp and /sse, the tools for programs at /v1, and /healthz. Role and actor are those of callers
    without a token; once a token was made, nobody comes in without one.
    """
    gc.disable()  # a tenth of the start is looking for garbage in what imports leave, which is none
    from workdocket.surfaces.identity import local_caller

    place = {"host": host, "port": port}
    settings = session.with_settings({key: value for key, value in place.items() if value is not None})
    caller = local_caller(actor or session.actor, roles or ROLES)
    sys.exit(import_module(TRANSPORTS[transport]).serve(settings, caller))


@click.command()
@JSON
@click.pass_obj
def stats(session: Session, /, as_json: bool) -> None:
    """Show how many orders are in each state, and how many leases are live or ran out."""
    from workdocket.service.health import health

    session.show("stats", operate(session, lambda app, actor: health(app.desk)), as_json)

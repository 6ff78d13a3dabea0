"""A command's way to the service: the same tools as everybody's, called by a person at this machine."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anyio
import click

if TYPE_CHECKING:
    from workdocket.app import App
    from workdocket.domain.model import Actor
    from workdocket.settings import Settings
    from workdocket.surfaces.identity import Caller

JSON = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


@dataclass
class Session:
    """What the options in front of the command say."""

    overrides: Mapping[str, Any]
    actor: str | None

    @cached_property
    def settings(self) -> Settings:
        from workdocket.settings import load_settings

        return load_settings(self.overrides)

    def with_settings(self, more: Mapping[str, Any]) -> Settings:
        """The settings with what an option of the command says."""
        from workdocket.settings import load_settings

        return load_settings({**self.overrides, **more})

    def show(self, what: str, answer: Mapping[str, Any], as_json: bool) -> None:
        from workdocket.surfaces.cli import show

        show.as_json(answer) if as_json else show.VIEWS[what](answer)


def ask(session: Session, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a tool, for the person at the command line."""
    return anyio.run(_ask, session, tool, arguments)


def operate(session: Session, work: Callable[[App, Actor], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What ``work`` answers: for commands of an operator, that agents have no tool for."""
    return anyio.run(_at_work, session, lambda app, caller: work(app, caller.actor))


async def _ask(session: Session, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from workdocket.surfaces.dispatch import run_tool

    return await _at_work(session, lambda app, caller: run_tool(app, caller, tool, arguments))


async def _at_work(session: Session, work: Callable[[App, Caller], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    from workdocket.app import open_app

    caller = person(session)
    log_briefly(session.settings.log_level)
    async with open_app(session.settings) as app:
        return await work(app, caller)


def person(session: Session) -> Caller:
    """Who sits at the command line."""
    from workdocket.surfaces.identity import local_caller

    return local_caller(session.actor, kind="user").known_as(client="cli")


class Brief(logging.Formatter):
    """One harmless line a record: an exception's own words instead of its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        from workdocket.surfaces.cli.texts import plain

        error = record.exc_info[1] if record.exc_info else None
        return plain(record.getMessage() + (f": {type(error).__name__}: {error}" if error else ""))


def log_briefly(level: str) -> None:
    """For people the refusal is the message; log_level debug shows where it came from."""
    from workdocket.surfaces.logs import configure

    configure(level, "text")
    if level != "debug":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(Brief())

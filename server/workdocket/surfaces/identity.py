"""Who is calling. A tool's arguments never say; the process or the token does."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace

from workdocket.domain.model import ROLES, Actor, ActorType, known_roles

__all__ = ["ROLES", "Caller", "local_caller", "machine_user"]


@dataclass(frozen=True, slots=True)
class Yes:
    """What a person agreed to when asked: what ``digest`` stands for, with a note where they wrote one."""

    digest: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal and what it may do. ``yes`` is there when the person behind it was asked in a dialog."""

    actor: Actor
    roles: frozenset[str]
    yes: Yes | None = None

    def may(self, allowed: frozenset[str]) -> bool:
        return "admin" in self.roles or bool(self.roles & allowed)

    @property
    def sees_all(self) -> bool:
        return "admin" in self.roles

    def known_as(self, *, agent: str | None = None, client: str | None = None) -> Caller:
        """The same principal with the labels of one call."""
        return replace(self, actor=replace(self.actor, agent=agent or self.actor.agent, client=client))

    def after(self, yes: Yes) -> Caller:
        """The person behind the same principal, who was asked in a dialog of the client."""
        return replace(self, actor=replace(self.actor, type="user", channel="dialog"), yes=yes)


calling: ContextVar[Caller] = ContextVar("workdocket_caller")
"""Who sent the request that is being answered, where a server has many callers."""


def local_caller(actor: str | None, roles: Iterable[str] = ROLES, *, kind: ActorType = "agent") -> Caller:
    """The principal of this process. A named actor is the same one in every process; the machine's user gets a session
    of its own in each, so that two agents of one person are told apart."""
    wanted = known_roles(roles)
    if actor:
        return Caller(Actor(kind, actor, actor), wanted)
    user = machine_user()
    return Caller(Actor(kind, user, f"{user}-{secrets.token_hex(3)}"), wanted)


def machine_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "local"

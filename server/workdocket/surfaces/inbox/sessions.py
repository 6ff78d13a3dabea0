"""Who is signed in. A browser holds a random name in a cookie; what it stands for is in the memory of this process."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from workdocket.domain.errors import WorkError
from workdocket.domain.model import Actor
from workdocket.ports import Clock
from workdocket.surfaces.bearer import Verify
from workdocket.surfaces.identity import Caller

IDLE_MS = 3_600_000
LONGEST_MS = 12 * 3_600_000
MOST = 1_000
"""Sessions kept; those that were silent for longest go first."""

CLIENT = "inbox"


@dataclass
class Session:
    """``form`` is what a form of its pages carries. ``secret`` is asked for anew at each request, so that a token which
    was revoked ends its sessions at once; a session of this machine's user has none."""

    caller: Caller
    began: int
    seen: int
    secret: str | None = field(default=None, repr=False)
    form: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    notice: str | None = None


class Sessions:
    """``local`` is who is signed in where no token is asked for."""

    def __init__(self, clock: Clock, verify: Verify, local: Caller, demanded: Callable[[], Awaitable[bool]]) -> None:
        self._clock = clock
        self._verify = verify
        self._local = local
        self._demanded = demanded
        self._open: OrderedDict[str, Session] = OrderedDict()

    async def with_token(self, secret: str) -> str:
        """The cookie of a new session. Raises ``WorkError`` for a secret that lets no person in."""
        caller = await self._verify(secret)
        if caller is None:
            raise WorkError("unauthenticated", "This is not a valid token.", hint="It may have expired.")
        if caller.actor.type != "user":
            raise WorkError(
                "forbidden",
                "This token is for a program. The inbox is for people.",
                hint="Make one with: workdocket token create NAME --kind user --role reviewer.",
            )
        return self._begin(_person(caller), secret)

    async def without(self) -> str | None:
        """The cookie of a new session of this machine's user, if no token is asked for."""
        return None if await self._demanded() else self._begin(_person(self._local), None)

    async def find(self, cookie: str, *, active: bool = True) -> Session | None:
        """The session of a cookie, as long as it lasts. What a page asks for by itself is not ``active``."""
        key, now = _key(cookie), self._clock.now()
        session = self._open.get(key)
        if session is None:
            return None
        over = now >= min(session.seen + IDLE_MS, session.began + LONGEST_MS)
        caller = None if over else await self._present(session)
        if caller is None:
            self._open.pop(key, None)
            return None
        session.caller = caller
        if active:
            session.seen = now
            self._open.move_to_end(key)
        return session

    def end(self, cookie: str) -> None:
        self._open.pop(_key(cookie), None)

    async def _present(self, session: Session) -> Caller | None:
        """The caller with the roles of this moment."""
        if session.secret is not None:
            caller = await self._verify(session.secret)
            return None if caller is None else _person(caller)
        return None if await self._demanded() else session.caller

    def _begin(self, caller: Caller, secret: str | None) -> str:
        cookie, now = secrets.token_urlsafe(32), self._clock.now()
        self._open[_key(cookie)] = Session(caller, now, now, secret)
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return cookie


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _person(caller: Caller) -> Caller:
    actor = caller.actor
    return replace(caller, actor=Actor("user", actor.id, actor.session, actor.agent, CLIENT))

"""From the secret behind ``Authorization: Bearer`` to the caller: a token made here, else one of the issuer's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from workdocket.app import App
from workdocket.domain.model import Actor
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.oauth import issued

Verify = Callable[[str], Awaitable[Caller | None]]


def bearer(app: App) -> Verify:
    """Whose secret it is; ``None`` for one that lets nobody in."""

    async def local(secret: str) -> Caller | None:
        token = await app.tokens.holder(secret)
        return None if token is None else Caller(Actor(token.kind, token.name, token.id), token.roles)

    if app.settings.oauth_issuer is None:
        return local

    foreign = issued(app.settings)

    async def either(secret: str) -> Caller | None:
        return await local(secret) or await foreign(secret)

    return either

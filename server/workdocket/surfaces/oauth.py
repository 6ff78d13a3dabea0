"""For teams that have an OAuth issuer: what a client is told about it, and who comes with a token of it.

Nothing here makes or renews tokens; how one is checked is in ``issuer.py``, which is loaded where an issuer is set.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from workdocket.domain.model import ROLES, Actor
from workdocket.settings import Settings
from workdocket.surfaces.identity import Caller

METADATA = "/.well-known/oauth-protected-resource"
SCOPE = "workdocket:"
SHARED_CLAIM = "scope"
"""The claim that an issuer fills for every program: a role in it carries our name."""


def protected_resource(settings: Settings, path: str = "") -> dict[str, Any]:
    """The RFC 9728 document at ``METADATA`` + ``path``: where a client gets a token, and what to ask for."""
    return {
        "resource": f"{settings.public_url}{path}",
        "authorization_servers": [settings.oauth_issuer],
        "scopes_supported": [f"{SCOPE}{role}" for role in ROLES],
        "bearer_methods_supported": ["header"],
        "resource_name": "workdocket",
    }


def challenge(settings: Settings, error: str | None = None, path: str = "/mcp") -> str:
    """The value of ``WWW-Authenticate``. ``error`` is RFC 6750's word; none where no token was sent."""
    said = {"realm": "workdocket", "error": error}
    if settings.oauth_issuer is not None:
        said["resource_metadata"] = f"{settings.public_url}{METADATA}{path}"
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in said.items() if value is not None)


def audiences(settings: Settings) -> tuple[str, ...]:
    """What a token must be meant for, one of them. Clients name the server, or its MCP endpoint."""
    if settings.oauth_audience is not None:
        return (settings.oauth_audience,)
    return tuple(f"{settings.public_url}{path}" for path in ("", "/", "/mcp"))


def issued(
    settings: Settings, clock: Callable[[], float] = time.monotonic
) -> Callable[[str], Awaitable[Caller | None]]:
    """From an access token of the issuer to the caller; ``None`` for one that lets nobody in."""
    from workdocket.surfaces.issuer import Issuer

    issuer = Issuer(str(settings.oauth_issuer), audiences(settings), clock)

    async def caller(secret: str) -> Caller | None:
        access = await issuer.verify_token(secret)
        return None if access is None else caller_of(access.claims or {}, access.client_id, settings)

    return caller


def caller_of(claims: Mapping[str, Any], client: str, settings: Settings) -> Caller:
    """A principal that no token made here can have, with a session for each of its programs."""
    principal = f"oauth:{claims['sub']}"
    roles = roles_in(claims.get(settings.oauth_roles_claim), prefixed_only=settings.oauth_roles_claim == SHARED_CLAIM)
    return Caller(Actor(settings.oauth_kind, principal, f"{principal} {client}"), roles)


def roles_in(claim: Any, *, prefixed_only: bool) -> frozenset[str]:
    """The roles that a claim names; what is no role of ours is passed over."""
    named = {word.removeprefix(SCOPE) for word in words(claim) if word.startswith(SCOPE) or not prefixed_only}
    return frozenset(named & set(ROLES))


def words(claim: Any) -> list[str]:
    """A claim's values: some issuers write a list, some one text with spaces between."""
    values = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return [value for value in values if isinstance(value, str)]

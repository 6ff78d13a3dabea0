"""Who may come in by HTTP: the one guard in front of every route. Host and Origin first, then size, then the token."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from workdocket.domain.errors import WorkError
from workdocket.settings import Settings
from workdocket.surfaces.bearer import Verify
from workdocket.surfaces.identity import Caller, calling
from workdocket.surfaces.problems import problem

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("0.0.0.0", "::", "")
PUBLIC = ("/healthz", "/.well-known/")
"""Paths that answer without a token."""


def refusal(error: WorkError, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as ``application/problem+json``, with the header that says when to come again."""
    usual, body = problem(error)
    code = usual if status is None else status
    more = dict(headers or {})
    if error.retry_after_seconds is not None:
        more["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    content = json.dumps({**body, "status": code}, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, code, more, "application/problem+json")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Address:
    """Refuses requests that were not meant for this server: a foreign Host, or an Origin that may not call it.

    A web page that got a name of its own resolved to this machine comes with that name as Host; any other page comes
    with its Origin.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        own = () if settings.host in WILDCARDS else (settings.host.lower(),)
        public = (urlsplit(settings.public_url).hostname or "",) if settings.public_url else ()
        self._hosts = frozenset({*LOOPBACK, *own, *public, *(_name(host) for host in settings.allowed_hosts)})
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (found := self._foreign(scope)) is not None:
            await found(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _foreign(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._is_ours(hosts[0], scope):
            message = "this server does not answer to that Host"
            return refusal(_forbidden(message, "Name it in allowed_hosts."), status=421)
        if len(origins) > 1 or (origins and not self._may_call(origins[0], hosts[0])):
            return refusal(_forbidden("pages of that Origin may not call this server", "Name it in allowed_origins."))
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        address = (scope.get("server") or ("",))[0]
        return "*" in self._hosts or _name(host) in {*self._hosts, str(address).lower()}

    def _may_call(self, origin: str, host: str) -> bool:
        """The server's own pages, by whichever name of this machine, and those of the setting."""
        if origin.lower() in self._origins:
            return True
        try:
            place, own = urlsplit(origin), urlsplit(f"//{host}")
            same_port = (place.port or _usual_port(place.scheme)) == (own.port or _usual_port(place.scheme))
        except ValueError:
            return False
        return same_port and (place.hostname == own.hostname or {place.hostname, own.hostname} <= set(LOOPBACK))


class Admission:
    """Lets in who has a token, and everybody where none is asked for; says who it is to what is further in.

    ``local`` is who calls without a token. A token that is sent is never ignored, asked for or not.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        local: Caller,
        demanded: Callable[[], Awaitable[bool]],
        verify: Verify,
        challenge: Callable[[str | None], str],
        most_bytes: int,
    ) -> None:
        self._app = app
        self._local = local
        self._demanded = demanded
        self._verify = verify
        self._challenge = challenge
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._admitted(scope)
        except WorkError as error:
            await self._refused(error, scope)(scope, receive, send)
            return
        if caller is None:
            await self._app(scope, receive, send)
            return
        before = calling.set(caller)
        try:
            await self._app({**scope, "user": _as_sdk_user(caller)}, receive, send)
        finally:
            calling.reset(before)

    async def _admitted(self, scope: Scope) -> Caller | None:
        """Who is calling; ``None`` for somebody unknown on a path that is open to all."""
        headers = Headers(scope=scope)
        self._small_enough(headers)
        given = headers.getlist("authorization")
        if not given:
            if not await self._demanded():
                return self._local
            if scope["path"].startswith(PUBLIC):
                return None
            raise WorkError("unauthenticated", "this server asks for a token")
        scheme, _, secret = given[0].partition(" ")
        if len(given) == 1 and scheme.lower() == "bearer" and (caller := await self._verify(secret.strip())):
            return caller
        raise WorkError("unauthenticated", "the token is not valid")

    def _small_enough(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._most_bytes:
            raise too_large(self._most_bytes)

    def _refused(self, error: WorkError, scope: Scope) -> Response:
        if error.code != "unauthenticated":
            return refusal(error)
        said = "invalid_token" if "authorization" in Headers(scope=scope) else None
        return refusal(error, headers={"WWW-Authenticate": self._challenge(said)})


def too_large(most: int) -> WorkError:
    return WorkError("too_large", f"the request is larger than {most} bytes", limit=most)


def _as_sdk_user(caller: Caller) -> AuthenticatedUser:
    """What the SDK ties its sessions to: a session that one principal opened is not there for another."""
    session, roles = caller.actor.session, sorted(caller.roles)
    return AuthenticatedUser(AccessToken(token="", client_id=session, subject=caller.actor.id, scopes=roles))


def _forbidden(message: str, hint: str) -> WorkError:
    return WorkError("forbidden", message, hint=hint)


def _name(host: str) -> str:
    """A Host without its port, small letters."""
    try:
        return (urlsplit(f"//{host.strip()}").hostname or host).lower()
    except ValueError:
        return host.lower()


def _usual_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80

"""An OAuth issuer as a resource server sees it: its signing keys, fetched and kept for a while, and who it vouches for.

The issuer may be slow, down or lying about others; each of them refuses tokens, and none holds up a call for long.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import jwt
from anyio import to_thread
from mcp.server.auth.provider import AccessToken, TokenVerifier

from workdocket.settings import trusted_url
from workdocket.surfaces.oauth import words

log = logging.getLogger("workdocket.issuer")

KINDS = ("RSA", "EC", "OKP")
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by public keys; a secret that both sides share is no key of an issuer."""

REQUIRED = ("exp", "iss", "aud", "sub")
LEEWAY_SECONDS = 30.0
LONGEST_TOKEN = 16_384
LONGEST_SUBJECT = 255

KEYS_SECONDS = 3600.0
PAUSE_SECONDS = 10.0
"""Least time between two fetches of the keys, whatever tokens come in and whether the last one succeeded."""
FETCH_SECONDS = 5.0
LARGEST_DOCUMENT = 1 << 20

Jwk = Mapping[str, Any]


class Unreachable(Exception):
    """The issuer did not say what its keys are."""


class Issuer(TokenVerifier):
    """The SDK's verifier. Tokens go by the time of day, keys by ``clock``: seconds that never go back."""

    def __init__(self, url: str, audiences: Sequence[str], clock: Callable[[], float]) -> None:
        self._url = url
        self._audiences = audiences
        self._keys = Keys(url, clock)

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the token says, if the issuer signed it for us and it is valid now; else ``None``."""
        try:
            claims = await self._claims(token)
        except (jwt.PyJWTError, Unreachable) as error:
            log.info("an access token was refused: %s", error)
            return None
        client = claims.get("client_id") or claims.get("azp") or claims["sub"]
        return AccessToken(
            token=token,
            client_id=str(client),
            scopes=words(claims.get("scope")),
            expires_at=int(claims["exp"]),
            resource=next((one for one in self._audiences if one in words(claims["aud"])), None),
            subject=claims["sub"],
            claims=claims,
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        if not token.isascii() or len(token) > LONGEST_TOKEN or token.count(".") != 2:
            raise jwt.InvalidTokenError("it is no signed token")
        header = jwt.get_unverified_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(kid, str) or algorithm not in ALGORITHMS:
            raise jwt.InvalidTokenError("it names no key, or an algorithm that is not taken")
        key = await self._keys.find(kid)
        if key is None or key.get("alg", algorithm) != algorithm:
            raise jwt.InvalidTokenError("the issuer has no such key for that algorithm")
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(dict(key), algorithm),
            algorithms=[algorithm],
            audience=self._audiences,
            issuer=self._url,
            leeway=LEEWAY_SECONDS,
            options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
        )
        if not (0 < len(claims["sub"]) <= LONGEST_SUBJECT and claims["sub"].isprintable()):
            raise jwt.InvalidTokenError("its subject is no name")
        return claims


class Keys:
    """The issuer's public keys by id. One fetch at a time; who comes meanwhile waits for it."""

    def __init__(self, issuer: str, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._clock = clock
        self._found: Mapping[str, Jwk] = {}
        self._good_until = self._next_fetch = float("-inf")
        self._fetching = anyio.Lock()

    async def find(self, kid: str) -> Jwk | None:
        """The key of that id, asked for anew where it is unknown or what is known is old. Raises ``Unreachable``."""
        if not self._knows(kid):
            async with self._fetching:
                if not self._knows(kid) and self._clock() >= self._next_fetch:
                    await self._fetch()
        return self._found.get(kid) if self._fresh() else None

    def _fresh(self) -> bool:
        return self._clock() < self._good_until

    def _knows(self, kid: str) -> bool:
        return self._fresh() and kid in self._found

    async def _fetch(self) -> None:
        try:
            with anyio.fail_after(FETCH_SECONDS):
                self._found = await fetched_keys(self._issuer)
            self._good_until = self._clock() + KEYS_SECONDS
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, RecursionError) as error:
            reason = str(error) or type(error).__name__
            log.warning("the keys of the issuer %s could not be read: %s", self._issuer, reason)
            raise Unreachable("the issuer's keys could not be read") from error
        finally:
            self._next_fetch = self._clock() + PAUSE_SECONDS


async def fetched_keys(issuer: str) -> dict[str, Jwk]:
    """The keys that sign, by id. Raises ``ValueError`` and what httpx2 raises."""
    context = await to_thread.run_sync(httpx2.create_ssl_context)
    async with httpx2.AsyncClient(verify=context, follow_redirects=False, timeout=FETCH_SECONDS) as client:
        place = await _keys_place(client, issuer)
        document = await _document(client, place)
    keys = document.get("keys") if document else None
    if not isinstance(keys, list):
        raise ValueError(f"there are no keys at {place}")
    return {key["kid"]: key for key in keys if _signs(key)}


async def _keys_place(client: httpx2.AsyncClient, issuer: str) -> str:
    for url in metadata_urls(issuer):
        document = await _document(client, url)
        if document is None:
            continue
        if document.get("issuer") != issuer:
            raise ValueError(f"{url} speaks for {document.get('issuer')!r}")
        place = document.get("jwks_uri")
        if not isinstance(place, str) or not trusted_url(place):
            raise ValueError(f"{url} names no place of its keys that is safe")
        return place
    raise ValueError("it has no metadata where RFC 8414 and OpenID Connect say")


def metadata_urls(issuer: str) -> list[str]:
    """Where an issuer describes itself: RFC 8414, then OpenID Connect, as it is written and as it is often done."""
    parts = urlsplit(issuer)
    host, path = f"{parts.scheme}://{parts.netloc}/.well-known", parts.path.rstrip("/")
    openid = "openid-configuration"
    urls = [f"{host}/oauth-authorization-server{path}", f"{issuer.rstrip('/')}/.well-known/{openid}"]
    return [*urls, f"{host}/{openid}{path}"] if path else urls


async def _document(client: httpx2.AsyncClient, url: str) -> dict[str, Any] | None:
    """A JSON object from there; ``None`` where there is nothing. Goes nowhere else, and reads no more than it must."""
    async with client.stream("GET", url, headers={"accept": "application/json"}) as response:
        if 400 <= response.status_code < 500:
            return None
        if response.status_code != 200:
            raise ValueError(f"{url} answered {response.status_code}")
        text = bytearray()
        async for piece in response.aiter_bytes():
            text += piece
            if len(text) > LARGEST_DOCUMENT:
                raise ValueError(f"{url} has more than {LARGEST_DOCUMENT} bytes")
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"{url} is no JSON object")
    return document


def _signs(key: Any) -> bool:
    return (
        isinstance(key, dict)
        and isinstance(key.get("kid"), str)
        and key.get("kty") in KINDS
        and key.get("use", "sig") == "sig"
    )

"""An OAuth issuer on this machine: a real HTTP server with real keys, that a test can break in many ways."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.support.harness import LIMIT

METADATA = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
KEYS = "/keys"

Answer = tuple[int, dict[str, str], Any]
"""Status, headers, and the body: bytes, or an iterable of them that may take its time."""


@cache
def rsa_key(name: str = "rsa") -> rsa.RSAPrivateKey:
    """The same under the same name: to make one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key(name: str = "ec") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def public(kid: str, key: Any, **more: Any) -> dict[str, Any]:
    """A key as issuers publish it."""
    algorithm = next(
        algorithm
        for kind, algorithm in (
            (rsa.RSAPrivateKey, RSAAlgorithm),
            (ec.EllipticCurvePrivateKey, ECAlgorithm),
            (ed25519.Ed25519PrivateKey, OKPAlgorithm),
        )
        if isinstance(key, kind)
    )
    jwk: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**{name: value for name, value in jwk.items() if name != "key_ops"}, "kid": kid, "use": "sig", **more}


def pem(key: Any) -> bytes:
    written: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return written


@dataclass
class Issuer:
    """``pages`` answers by path, ``asked`` is every path that was asked for."""

    url: str
    audience: str = "https://work.example.com"
    asked: list[str] = field(default_factory=list)
    pages: dict[str, Callable[[], Answer]] = field(default_factory=dict)

    def publish(self, *keys: dict[str, Any], at: str = METADATA, issuer: str | None = None) -> None:
        metadata = {"issuer": issuer or self.url, "jwks_uri": f"{self.url}{KEYS}"}
        self.pages[at] = lambda: page(metadata)
        self.pages[KEYS] = lambda: page({"keys": list(keys)})

    def token(self, key: Any = None, algorithm: str = "RS256", kid: str | None = "rsa", **claims: Any) -> str:
        """Signed and valid, but for what the test says; a claim of ``None`` is left out."""
        now = int(time.time())
        usual = {
            "iss": self.url, "aud": self.audience, "sub": "ann", "iat": now, "exp": now + 300,
            "scope": "openid workdocket:worker", "client_id": "desktop",
        }  # fmt: skip
        payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        signing = rsa_key() if key is None else key
        return jwt.encode(payload, signing, algorithm, headers=None if kid is None else {"kid": kid})


def page(document: Any, status: int = 200, **headers: str) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return status, headers, body


@contextmanager
def issuer() -> Iterator[Issuer]:
    """It publishes an RSA key with the id rsa, where RFC 8414 says."""
    found: Issuer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            status, headers, body = found.pages.get(self.path, lambda: page({}, 404))()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                for piece in [body] if isinstance(body, bytes) else body:
                    self.wfile.write(piece)

        def log_message(self, format: str, *values: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Issuer(f"http://127.0.0.1:{server.server_port}")
    found.publish(public("rsa", rsa_key()))
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        serving.join(LIMIT)


@contextmanager
def stuck(found: Issuer, path: str) -> Iterator[None]:
    """As long as this lasts, the page at that path never comes."""
    over = Event()
    with _instead(found, path, lambda: (over.wait(LIMIT), page({}))[1]):
        yield
        over.set()


@contextmanager
def dribbling(found: Issuer, path: str) -> Iterator[None]:
    """As long as this lasts, the page at that path comes byte by byte."""
    over = Event()
    pieces = (b" " for _ in range(round(LIMIT / 0.1)) if not over.wait(0.1))
    with _instead(found, path, lambda: (200, {}, pieces)):
        yield
        over.set()


@contextmanager
def _instead(found: Issuer, path: str, answer: Callable[[], Answer]) -> Iterator[None]:
    usual, found.pages[path] = found.pages[path], answer
    try:
        yield
    finally:
        found.pages[path] = usual

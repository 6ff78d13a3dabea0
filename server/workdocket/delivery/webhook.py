"""A message posted to a web address, signed as the Standard Webhooks specification (v1) says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import ssl
import time
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio import to_thread

import workdocket
from workdocket.channel import Channel, Message, NotDelivered, is_this_machine
from workdocket.delivery.surroundings import secret_of

SECONDS = 10.0
"""How long the receiver may take, from the first packet to its status."""
LONGEST_WAIT_SECONDS = 86_400.0
SHORTEST_SECRET = 24
"""Bytes, says the specification."""
PREFIX = "whsec_"

for _talker in ("httpx2", "httpcore2"):  # they log whole addresses and headers
    logging.getLogger(_talker).setLevel(logging.WARNING)


async def post(channel: Channel, message: Message, now: int, *, seconds: float = SECONDS) -> None:
    """Post a message; any status of 2xx is a yes. Redirects are not followed: the address that was set is the one.

    Raises ``NotDelivered``: final on 410, with the wait that the receiver asks for on 429 and 503.
    """
    url = channel.webhook or ""
    try:
        headers = signed(message, secret_of(channel), now)
        with anyio.fail_after(seconds):
            status, wait = await _status(url, message.body, headers, seconds)
    except (TimeoutError, httpx2.TimeoutException):
        raise NotDelivered(f"no answer within {seconds:g} s") from None
    except httpx2.ConnectError:
        raise NotDelivered("no connection") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise NotDelivered(f"the connection broke: {type(error).__name__}") from None
    if not 200 <= status < 300:
        raise NotDelivered(f"it answered {status}", wait_seconds=wait, final=status == 410)


def signed(message: Message, secret: str | None, now: int) -> dict[str, str]:
    """The headers of one attempt. The signature is over id, time and body, and left out where there is no secret."""
    sent = str(now // 1000)
    headers = {
        "content-type": "application/json",
        "user-agent": f"workdocket/{workdocket.__version__}",
        "x-workdocket-delivery": message.id,
        "webhook-id": message.id,
        "webhook-timestamp": sent,
    }
    if secret is not None:
        covered = b".".join((message.id.encode(), sent.encode(), message.body))
        made = hmac.new(key_of(secret), covered, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(made).decode()}"
    return headers


def key_of(secret: str) -> bytes:
    """The bytes of a secret: base64, with or without ``whsec_`` before it. Raises ``NotDelivered``."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise NotDelivered(f"the secret is not {PREFIX} and base64 behind it") from None
    if len(key) < SHORTEST_SECRET:
        raise NotDelivered(f"the secret has fewer than {SHORTEST_SECRET} bytes")
    return key


async def _status(url: str, body: bytes, headers: dict[str, str], seconds: float) -> tuple[int, float]:
    """What the receiver answers, and how many seconds it wants to be left alone. What else it says is not read."""
    parts = urlsplit(url)
    async with (
        httpx2.AsyncClient(
            verify=await to_thread.run_sync(_trust) if parts.scheme == "https" else False,
            follow_redirects=False,
            timeout=seconds,
            trust_env=not is_this_machine(parts.hostname or ""),  # no proxy leads back here
        ) as client,
        client.stream("POST", url, content=body, headers=headers) as response,
    ):
        asked = response.headers.get("retry-after", "") if response.status_code in (429, 503) else ""
        return response.status_code, seconds_of(asked, time.time())


@cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def seconds_of(retry_after: str, now: float) -> float:
    """A ``Retry-After`` in seconds, whichever form it has; none where it has neither, and never more than a day."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), LONGEST_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, TypeError):
        return 0.0
    return min(max(until - now, 0.0), LONGEST_WAIT_SECONDS)

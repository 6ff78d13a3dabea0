"""A request to a web service, made once, with whatever HTTP library you like.

>>> import json, urllib.error, urllib.request
>>> def send(headers):
...     request = urllib.request.Request(f"{url}/payments", b'{"amount": 10}', headers, method="POST")
...     return json.load(urllib.request.urlopen(request, timeout=2))
>>> def find(key):
...     try:
...         return json.load(urllib.request.urlopen(f"{url}/payments/{key}", timeout=2))
...     except urllib.error.HTTPError as error:
...         if error.code == 404:
...             return None
...         raise
>>> once(ctx, send, find)  # this service makes the payment, and drops the connection before it answers
{'amount': 10}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from workdocket.domain.errors import Refused
from workdocket.order_type import ApplyContext

T = TypeVar("T")


def once(
    ctx: ApplyContext, send: Callable[[Mapping[str, str]], T], find: Callable[[str], T | None], *, step: str = ""
) -> T:
    """What the service made under the key of this order, sent for only where it may not be there yet.

    ``send(headers)`` makes the request with these headers (``Idempotency-Key``), and returns what was made. It raises
    for everything that is no success: no answer in time, a lost connection, a status of 4xx or 5xx. ``find(key)`` asks
    the service what it has under the key: ``None`` says nothing, an exception says that it can't tell.

    When ``send`` raises, what came of it is unknown: ``find`` is asked, and what it finds is the answer. Where it finds
    nothing, the exception goes on, nothing is sent a second time, and the next attempt of apply, after its pause,
    asks ``find`` before it sends. ``Refused`` by ``send`` is a sure no and goes on at once.

    ``step`` tells several requests of one apply apart; each has a key of its own.
    """
    key = f"{ctx.idempotency_key}-{step}" if step else ctx.idempotency_key
    if ctx.attempt > 1 and (found := find(key)) is not None:
        return found
    try:
        return send({"Idempotency-Key": key})
    except Refused:
        raise
    except Exception:
        found = find(key)
        if found is None:
            raise
        return found

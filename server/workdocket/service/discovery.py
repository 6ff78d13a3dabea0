"""Asking a generator: where it runs, how much it may give, and what of that can be filed."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import anyio.to_thread

from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.model import HIGHEST_PRIORITY, canonical
from workdocket.generator import Proposal
from workdocket.plugins import takes
from workdocket.registry import GeneratorEntry

log = logging.getLogger("workdocket.generators")

MOST_PROPOSALS = 10_000
LONGEST_CAUSE = 500
LONGEST_KEY = 255
LATEST_YEAR = 9_998


@dataclass
class Discovered:
    """What a generator gave, whatever that is; ``error`` is what it raised after that."""

    given: list[Any] = field(default_factory=list)
    error: str | None = None

    def add(self, one: Any) -> None:
        if len(self.given) == MOST_PROPOSALS:
            raise OverflowError(f"it gives more than {MOST_PROPOSALS} proposals")
        self.given.append(one)


async def discovered(entry: GeneratorEntry, slot: datetime) -> Discovered:
    """Everything it proposes for the slot. Only an ``async def`` runs on the loop; the rest may block its thread."""
    found = Discovered()
    discover: Any = entry.generator.discover
    ask = partial(discover, slot) if takes(discover, 1) else discover
    try:
        if inspect.iscoroutinefunction(discover) or inspect.isasyncgenfunction(discover):
            answer = ask()
        else:
            answer = await anyio.to_thread.run_sync(partial(_asked, ask, found), abandon_on_cancel=True)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, AsyncIterable):
            async for one in answer:
                found.add(one)
        else:
            _add_all(answer, found)
    except (Exception, SystemExit) as error:
        log.exception("generator %s raised", entry.name)
        found.error = f"{type(error).__name__}: {error}"[:LONGEST_CAUSE].encode(errors="replace").decode()
    return found


def _asked(ask: Callable[[], Any], found: Discovered) -> Any:
    """Called and drained on one thread, as whoever opens a database in it expects; what has to be awaited is left."""
    answer = ask()
    if inspect.isawaitable(answer) or isinstance(answer, AsyncIterable):
        return answer
    _add_all(answer, found)
    return ()


def _add_all(answer: Iterable[Any], found: Discovered) -> None:
    for one in answer:
        found.add(one)


def fit(given: Any) -> Proposal:
    """What was given, as it can be filed; refused with all findings where it can't. Nobody has checked it before."""
    if not isinstance(given, Proposal):
        raise WorkError("invalid_request", f"it is of type {type(given).__name__}, not a Proposal")
    findings = [
        Finding("type", f"/{name}", f"{name} has to be {wanted}")
        for name, fits, wanted in FIELDS
        if not fits(getattr(given, name))
    ]
    if findings:
        raise WorkError("invalid_request", "; ".join(one.message for one in findings), findings=findings)
    plain = {name: json.loads(canonical(getattr(given, name))) for name in ("payload", "meta")}
    return replace(given, **plain)


def _object(value: Any) -> bool:
    return isinstance(value, dict) and _storable(value)


def _storable(value: Any) -> bool:
    try:
        return bool(canonical(value).encode())
    except (TypeError, ValueError, RecursionError):
        return False


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_KEY and _storable(value)


def _time(value: Any) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None and 1970 < value.year <= LATEST_YEAR


FIELDS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("type", _text, "the name of an order type"),
    ("payload", _object, "a dict that is JSON"),
    ("priority", lambda value: type(value) is int and 0 <= value <= HIGHEST_PRIORITY, "a whole number from 0 to 100"),
    ("meta", lambda value: value is None or _object(value), "a dict that is JSON, or None"),
    ("not_before", lambda value: value is None or _time(value), "a datetime with a time zone, or None"),
    ("deadline", lambda value: value is None or _time(value), "a datetime with a time zone, or None"),
    ("depends_on", lambda value: isinstance(value, list | tuple) and all(map(_text, value)), "a list of order ids"),
    ("dedupe_key", lambda value: value is None or _text(value), f"a text of 1 to {LONGEST_KEY} characters, or None"),
)

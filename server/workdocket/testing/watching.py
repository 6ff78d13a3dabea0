"""Watching an order type's own code run: stop it at a line, hold it at a line, see what it reaches for."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

Line = tuple[str, int]


class Stopped(BaseException):
    """What stands for the end of the process at a line."""


@dataclass(frozen=True)
class Own:
    """The code that counts as the type's: the files beside the one that defines it."""

    begins: str

    @classmethod
    def of(cls, file: str) -> Own:
        path = Path(os.path.abspath(file))
        return cls(str(path) if path.parent.name in ("site-packages", "dist-packages") else f"{path.parent}{os.sep}")

    def has(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename.startswith(self.begins)


@contextmanager
def at_lines(own: Own, act: Callable[[Line], None]) -> Iterator[None]:
    """``act`` before each line of the type's own code that this thread runs."""

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            act((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line if own.has(frame) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def lines_seen(own: Own) -> Iterator[list[Line]]:
    """Every line of the type's own code in the order of its first run."""
    found: dict[Line, None] = {}
    seen: list[Line] = []
    with at_lines(own, lambda line: found.update({line: None})):
        yield seen
    seen += found


@contextmanager
def stopping_at(own: Own, where: Line) -> Iterator[None]:
    """The type's code ends when it comes to a line, as if its process had died there."""

    def act(line: Line) -> None:
        if line == where:
            raise Stopped

    try:
        with at_lines(own, act):
            yield
    except Stopped:
        pass


@contextmanager
def meeting_at(own: Own, where: Line, meet: Callable[[], None]) -> Iterator[None]:
    """``meet`` is called once, when the type's code comes to a line."""
    met = threading.Event()

    def act(line: Line) -> None:
        if line == where and not met.is_set():
            met.set()
            meet()

    with at_lines(own, act):
        yield


# what pure code must not ask for

CLOCKS = {"now", "today", "utcnow", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
FILES = {"open", "stat", "lstat", "scandir", "listdir", "getcwd", "connect", "getpid"}
CHANCE = {"urandom", "getrandbits", "random", "getrandom"}
PLUMBING = ("importlib", "_frozen_importlib", "logging", "linecache", "warnings", "coverage")
"""Modules that may ask for such things on behalf of anybody, without a word of it in the answer."""


@dataclass
class Reached:
    """What was reached for, with the lines of the type's own code that did."""

    places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, what: str, frame: FrameType | None, own: Own) -> None:
        while frame is not None and not own.has(frame):
            if str(frame.f_globals.get("__name__")).startswith(PLUMBING):
                return
            frame = frame.f_back
        if frame is not None:
            where = f"{Path(frame.f_code.co_filename)}:{frame.f_lineno}"
            self.places.setdefault(where, (what, where))


@contextmanager
def reaching_out(own: Own) -> Iterator[Reached]:
    """What the type's own code, and what it calls, asks of clock, chance, environment and files in this thread."""
    reached = Reached()
    environment = type(os.environ).__getitem__.__code__

    def profile(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            what = _named(function)
            if what:
                reached.add(what, frame, own)
        elif event == "call" and frame.f_code is environment:
            reached.add("the environment", frame.f_back, own)

    before, collecting = sys.getprofile(), gc.isenabled()
    gc.disable()  # whoever listens to the collector may ask for the time in the middle of anything
    sys.setprofile(profile)
    try:
        yield reached
    finally:
        sys.setprofile(before)
        if collecting:
            gc.enable()


def _named(function: Any) -> str:
    """What a built-in function asks for, or nothing."""
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    module = getattr(owner, "__name__", "") or getattr(function, "__module__", "") or ""
    if name in CLOCKS and module in ("time", "datetime", "date"):
        return f"the clock ({module}.{name})"
    if name in CHANCE and (module in ("posix", "nt") or _shared_random(owner)):
        return f"chance ({name})"
    if name in FILES and module in ("posix", "nt", "io", "_io", "sqlite3", "_sqlite3", "_socket"):
        return f"the machine ({name})"
    return ""


def _shared_random(owner: Any) -> bool:
    """Whether it is the generator that everybody shares; one that was seeded by the type is no chance."""
    import random

    return owner is getattr(random, "_inst", None)

"""Plans made again in a fresh process, where all is different that must make no difference.

Another clock, time zone, working folder, home, environment, and order of sets. The clock is moved before the type is
imported, so that ``from datetime import datetime`` gets the moved one. Run as a module, it reads what to do from stdin.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pydantic.main  # noqa: F401 - models must have met the classes of datetime before these are moved
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

if TYPE_CHECKING:  # nothing of the product is imported before the clock is moved
    from workdocket.registry import TypeEntry

AHEAD = 400 * 86_400 + 7 * 3_600 + 13 * 60
SECONDS = 60
KEPT = ("PATH", "SYSTEM", "PYTHON", "LD_", "DYLD_", "COVERAGE", "TMP", "TEMP", "VIRTUAL_ENV")
"""Beginnings of the names of variables that a process may need to start."""


class NotAsked(Exception):
    """The other process could not answer; why not."""


def kept_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(KEPT)}


def plans(entry: TypeEntry, payloads: Sequence[Any]) -> list[Any]:
    """The plan of each payload as JSON, or the text of what was raised. Raises ``NotAsked``."""
    cls = type(entry.type)
    request = {
        "module": cls.__module__,
        "file": entry.origin.rpartition(":")[0],
        "class": cls.__qualname__,
        "payloads": list(payloads),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = os.pathsep.join(dict.fromkeys(os.path.abspath(path) for path in sys.path))
        environment = {
            **kept_environment(),
            "PYTHONPATH": paths,
            "PYTHONHASHSEED": "7",
            "HOME": folder,
            "TZ": "Asia/Kathmandu",
        }
        done = subprocess.run(
            [sys.executable, "-m", "workdocket.testing.elsewhere"],
            input=json.dumps(request), cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8",
            timeout=SECONDS, check=False,
        )  # fmt: skip
    if done.returncode:
        raise NotAsked((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    answer: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


# in the other process


def move_clock() -> None:
    """Everything that tells the time tells a later one."""
    true_time, true_ns, local, universal, text = time.time, time.time_ns, time.localtime, time.gmtime, time.strftime

    def moved_local(seconds: Any = None) -> time.struct_time:
        return local(time.time() if seconds is None else seconds)

    def moved_universal(seconds: Any = None) -> time.struct_time:
        return universal(time.time() if seconds is None else seconds)

    def moved_text(form: str, when: Any = None) -> str:
        return text(form, time.localtime() if when is None else when)

    time.time = lambda: true_time() + AHEAD
    time.time_ns = lambda: true_ns() + AHEAD * 1_000_000_000
    time.localtime, time.gmtime, time.strftime = moved_local, moved_universal, moved_text

    class Kind(type):
        def __instancecheck__(cls, one: Any) -> bool:
            return isinstance(one, cls.__mro__[1])

    class AsBefore:
        """In a pydantic model it is the class that it stands for."""

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            return handler.generate_schema(cls.__mro__[1])

    class Moved(datetime.datetime, AsBefore, metaclass=Kind):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    class MovedDate(datetime.date, AsBefore, metaclass=Kind):
        @classmethod
        def today(cls) -> Any:
            return cls.fromtimestamp(time.time())

    for name, moved in (("datetime", Moved), ("date", MovedDate)):
        moved.__name__ = moved.__qualname__ = name
        setattr(datetime, name, moved)


def answers(request: dict[str, Any]) -> list[Any]:
    from workdocket.testing.calling import called, draft, shown

    entry = _loaded(request)

    def plan(payload: Any) -> Any:
        try:
            return shown(called(entry, "plan", draft(entry, payload)))
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    return [plan(payload) for payload in request["payloads"]]


def _loaded(request: dict[str, Any]) -> TypeEntry:
    """The type by its module where that is importable, else by its file."""
    from functools import reduce
    from importlib import import_module

    from workdocket.registry import entry_of, load

    try:
        found: Any = reduce(getattr, request["class"].split("."), import_module(request["module"]))
        return entry_of(found)
    except (ImportError, AttributeError):
        loaded = load([request["file"]], entry_points=False)
        return next(entry for entry in loaded if type(entry.type).__qualname__ == request["class"])


if __name__ == "__main__":
    move_clock()
    os.environ.pop("PYTHONPATH", None)
    result = json.dumps(answers(json.load(sys.stdin)))
    sys.stdout.write(f"\n{result}\n")

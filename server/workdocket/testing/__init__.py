"""The kit for authors of order types: it tries a type out, and says what is wrong with it.

>>> from workdocket.testing import Example, check_order_type
>>> check_order_type(MyType, [Example({"message": "hi"}, result={"message": "hi"})])  # doctest: +SKIP

Needs no pytest. With ``hypothesis`` (``pip install 'workdocket[testing]'``) it makes payloads and results of its own.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import getsourcefile, isclass
from pathlib import Path

from workdocket.order_type import OrderType
from workdocket.registry import BrokenType, TypeEntry, entry_of
from workdocket.testing import values
from workdocket.testing.changing import Changing
from workdocket.testing.example import Example, Given, World
from workdocket.testing.life import Life
from workdocket.testing.problems import Book, OrderTypeProblems, Problem
from workdocket.testing.thinking import check_arrival, check_parts, check_plans, check_results
from workdocket.testing.watching import Own

__all__ = ["Checked", "Example", "OrderTypeProblems", "Problem", "check_order_type"]

Type = OrderType | type[OrderType]


@dataclass(frozen=True, slots=True)
class Checked:
    """A type in which nothing wrong was found. ``notes`` say what could not be checked, and why."""

    name: str
    seconds: float
    notes: tuple[str, ...] = ()


def check_order_type(
    order_type: Type, examples: Sequence[Given] = (), *, also: Sequence[Type] = (), allow: Collection[str] = ()
) -> Checked:
    """Try an order type out on its examples, and on payloads and results made from its schemas.

    An example is an :class:`Example`, or a function that takes an empty folder and returns one; then it is made anew
    for every trial, and its targets belong into that folder. ``also`` are types that it files follow-ups of. ``allow``
    are codes of problems that are meant. Raises :class:`OrderTypeProblems` with everything that was found.
    """
    began = time.monotonic()
    with ThreadPoolExecutor(1) as own_thread:  # no loop runs there, and nobody else traces it
        book = own_thread.submit(_checked, _class_of(order_type), examples, list(map(_class_of, also)), allow).result()
    name = getattr(order_type, "name", _class_of(order_type).__name__)
    if book.problems:
        raise OrderTypeProblems(str(name), book.problems)
    return Checked(str(name), time.monotonic() - began, tuple(book.notes))


def _class_of(order_type: Type) -> type[OrderType]:
    return order_type if isclass(order_type) else type(order_type)


def _checked(
    cls: type[OrderType], examples: Sequence[Given], also: Sequence[type[OrderType]], allow: Collection[str]
) -> Book:
    book = Book(f"{getsourcefile(cls)}", allow)
    try:
        entry, others = entry_of(cls), [entry_of(one) for one in also]
    except BrokenType as broken:
        for fault in broken.faults:
            place, _, text = fault.partition(": ")
            book.problem("broken_type", "registered it as a server does", text, place)
        return book
    book.place = entry.origin
    if not values.available():
        book.note("hypothesis is not installed, so only the examples were tried: pip install 'workdocket[testing]'")
    if not examples:
        book.note("there is no example, so no life was lived and nothing applied")
    with tempfile.TemporaryDirectory(prefix="workdocket-") as folder, _silence():
        _try_out(entry, others, examples, Path(folder).resolve(), book)
    return book


def _try_out(entry: TypeEntry, others: list[TypeEntry], examples: Sequence[Given], folder: Path, book: Book) -> None:
    own = Own.of(getsourcefile(type(entry.type)) or "")
    life = Life(entry, others, folder / "stores", book)
    worlds = [World(given, folder / f"example-{n}") for n, given in enumerate(examples, 1)]
    check_plans(entry, [world.example for world in worlds], life, own, book)
    lives = [(world, asyncio.run(life.whole(world))) for world in worlds]
    lived = [(world, order) for world, order in lives if order is not None]
    check_results(entry, [world.example for world in worlds], [order for _, order in lived], book)
    check_parts(entry, [world.example for world, _ in lived], [order for _, order in lived], book)
    for world, order in lived:
        if world.example.parts:
            asyncio.run(check_arrival(life, world, order, book))
        Changing(entry, order, world, own, book).check()


@contextmanager
def _silence() -> Iterator[None]:
    """What hooks raise is reported here, not logged."""
    log = logging.getLogger("workdocket")
    before = log.propagate
    quiet = logging.NullHandler()
    log.addHandler(quiet)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = before
        log.removeHandler(quiet)

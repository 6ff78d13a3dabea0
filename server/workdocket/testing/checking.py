"""The checks of one order type, one after the other."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from inspect import getsourcefile
from pathlib import Path

from workdocket.lint import remarks
from workdocket.order_type import OrderType
from workdocket.plugins import BrokenType
from workdocket.registry import TypeEntry, entry_of
from workdocket.testing import values
from workdocket.testing.changing import Changing
from workdocket.testing.example import Given, World
from workdocket.testing.life import Life
from workdocket.testing.problems import Book
from workdocket.testing.thinking import check_arrival, check_parts, check_plans, check_results
from workdocket.testing.watching import Own


def checked(
    cls: type[OrderType], examples: Sequence[Given], also: Sequence[type[OrderType]], allow: Collection[str]
) -> Book:
    """What is wrong with it, and what could not be told."""
    book = Book(f"{getsourcefile(cls)}", allow)
    try:
        entry, others = entry_of(cls), [entry_of(one) for one in also]
    except BrokenType as broken:
        for fault in broken.faults:
            place, _, text = fault.partition(": ")
            book.problem("broken_type", "registered it as a server does", text, place)
        return book
    book.place = entry.origin
    for remark in remarks(entry):
        if remark.level == "error":
            book.problem("broken_type", "looked at its declaration", remark.message, remark.place)
        else:
            book.note(f"{remark.place}: {remark.message}")
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

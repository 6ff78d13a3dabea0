"""The kit for authors of order types: it tries a type out, and says what is wrong with it.

>>> from workdocket.testing import Example, check_order_type
>>> check_order_type(MyType, [Example({"message": "hi"}, result={"message": "hi"})])  # doctest: +SKIP

Needs no pytest. With ``hypothesis`` (``pip install 'workdocket[testing]'``) it makes payloads and results of its own.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from inspect import isclass

from workdocket.order_type import OrderType
from workdocket.testing.example import Example, Given
from workdocket.testing.problems import OrderTypeProblems, Problem

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
    from workdocket.testing.checking import checked

    began = time.monotonic()
    with ThreadPoolExecutor(1) as own_thread:  # no loop runs there, and nobody else traces it
        book = own_thread.submit(checked, _class_of(order_type), examples, list(map(_class_of, also)), allow).result()
    name = getattr(order_type, "name", _class_of(order_type).__name__)
    if book.problems:
        raise OrderTypeProblems(str(name), book.problems)
    return Checked(str(name), time.monotonic() - began, tuple(book.notes))


def _class_of(order_type: Type) -> type[OrderType]:
    return order_type if isclass(order_type) else type(order_type)

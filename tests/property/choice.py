"""What the next step is about: chosen among what is there, so that most steps do something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from tests.property.model import Model
from tests.property.records import WORKING, Item, Lease, Order
from tests.property.walk import Doom, Walk

T = TypeVar("T")
Arguments = dict[str, Any]

PEOPLE = (*("ann", "bob", "cy", "rita", "roy") * 3, "wim")
WORKERS = ("ann", "bob", "cy", "wim")

DOOMS: tuple[Doom, ...] = (*[None] * 17, ("after", 1), ("before", 1), ("after", 2), ("before", 2), ("after", 3))
"""Where the process that serves a step ends. Most calls commit once; an approval thrice."""


class Choice:
    """The chances of one step, and the ways to make its calls."""

    def __init__(self, random: Random, walk: Walk) -> None:
        self._random = random
        self.walk = walk

    @property
    def model(self) -> Model:
        return self.walk.model

    def pick(self, options: Sequence[T]) -> T:
        return self._random.choice(options)

    def one_in(self, chances: int) -> bool:
        return self._random.randrange(chances) == 0

    # what there is

    def orders(self, *states: str) -> list[Order]:
        return [one for one in self.model.orders.values() if one.state in states]

    def order(self, *states: str) -> Order:
        """One in such a state, mostly, if there is one."""
        fitting = self.orders(*states)
        everything = list(self.model.orders.values())
        return self.pick(fitting if fitting and not self.one_in(12) else everything)

    def items(self, fits: Callable[[Item], object]) -> list[Item]:
        return [item for item in self.model.items.values() if fits(item)]

    def at_work(self, item: Item) -> bool:
        return item.state in WORKING

    def lease(self, prefer: Callable[[Item], object]) -> tuple[Item, Lease]:
        """A live one, mostly, and of a preferred item, mostly."""
        everything = [(item, lease) for item in self.model.items.values() for lease in item.leases]
        current = [(item, lease) for item, lease in everything if lease is item.lease and item.state in WORKING]
        stale = [row for row in everything if row not in current]
        rows = stale if stale and (not current or self.one_in(12)) else current
        preferred = [row for row in rows if prefer(row[0])]
        rows = preferred if preferred and not self.one_in(8) else rows
        return self.pick(rows)

    def held(self, prefer: Callable[[Item], object] = lambda item: True) -> tuple[Item, str, Arguments]:
        """An item, who calls, and the two arguments that every worker's call carries."""
        item, lease = self.lease(prefer)
        actor = lease.holder if not self.one_in(15) else self.pick(WORKERS)
        token = lease.token if not self.one_in(25) else "made-up"
        return item, actor, {"item_id": item.id, "lease_token": token}

    # calls

    def keyed(self, arguments: Arguments) -> Arguments:
        if not self.one_in(3):
            return arguments
        return {**arguments, "idempotency_key": f"key {self.walk.number()}"}

    def do(self, tool: str, actor: str, arguments: Arguments, **hidden: Any) -> dict[str, Any]:
        """The step's own call: from either process, which may not live to tell."""
        return self.walk.call(tool, actor, arguments, process=self.pick((0, 1)), doom=self.pick(DOOMS), **hidden)

    def ask(self, tool: str, actor: str, arguments: Arguments) -> dict[str, Any]:
        """The answer of a call that the step needs to know something."""
        answer: dict[str, Any] = self.walk.call(tool, actor, arguments)["ok"]
        return answer

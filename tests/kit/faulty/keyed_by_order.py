"""It looks for the order's id, which another installation gives to an order of its own."""

from dataclasses import dataclass
from typing import Any

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder


@dataclass
class _Renamed:
    idempotency_key: str


class KeyedByOrder(Shelf):
    name = "faulty.keyed_by_order"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        context: Any = _Renamed(order.id)
        return super().apply(order, context)


EXPECTED = "diff_lies"
EXAMPLES = [on_a_shelf(again=None)]

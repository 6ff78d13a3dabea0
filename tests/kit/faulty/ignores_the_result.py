"""It applies the order, whatever was approved."""

from dataclasses import replace

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder


class IgnoresTheResult(Shelf):
    name = "faulty.ignores_the_result"

    def preview(self, order: WorkOrder) -> Diff | None:
        return super().preview(_as_filed(order))

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return super().apply(_as_filed(order), ctx)


def _as_filed(order: WorkOrder) -> WorkOrder:
    return replace(order, items=tuple(replace(item, result=item.input) for item in order.items))


EXPECTED = "result_ignored"
EXAMPLES = [on_a_shelf()]

"""Its effect is had once per attempt, not once per key."""

from pathlib import Path

from tests.kit.faulty._shelf import Shelf, _notes, _stock, _write, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder


class AppendsEveryTime(Shelf):
    name = "faulty.appends_every_time"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        before = _stock(order)
        _write(Path(order.payload["shelf"], f"{len(before)}.json"), {"notes": _notes(order)})
        return Diff.between(before, _stock(order))


EXPECTED = "not_once"
EXAMPLES = [on_a_shelf()]

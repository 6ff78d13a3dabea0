"""It notes the key before it is done, so an attempt after a crash believes that there is nothing left to do."""

import json
from pathlib import Path

from tests.kit.faulty._shelf import Shelf, _notes, _stock, _write, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder


class HalfDone(Shelf):
    name = "faulty.half_done"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        known = Path(order.payload["shelf"], f"{ctx.idempotency_key}.known")
        before = _stock(order)
        diff = Diff.between(before, [*before, _notes(order)])
        if known.exists():
            return Diff.from_dict(json.loads(known.read_text()))
        _write(known, diff.as_dict())
        _write(Path(order.payload["shelf"], f"{ctx.idempotency_key}.json"), {"notes": _notes(order)})
        return diff


EXPECTED = "keeps_partial_effect"
EXAMPLES = [on_a_shelf()]

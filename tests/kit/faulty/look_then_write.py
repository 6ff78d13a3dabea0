"""It looks whether the key is there, and writes later, into one file that holds all."""

import json
from pathlib import Path

from tests.kit.faulty._shelf import Shelf, _notes, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder
from workdocket.testing import Example


class LookThenWrite(Shelf):
    name = "faulty.look_then_write"

    def preview(self, order: WorkOrder) -> Diff | None:
        return None

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        file = Path(order.payload["shelf"], "all.jsonl")
        lines = file.read_text().splitlines() if file.exists() else []
        known = [json.loads(line) for line in lines]
        before = [one["notes"] for one in known if one["key"] != ctx.idempotency_key]
        if len(before) == len(known):
            with file.open("a") as shelf:
                shelf.write(json.dumps({"key": ctx.idempotency_key, "notes": _notes(order)}) + "\n")
        return Diff.between(before, [*before, _notes(order)])


def _example(folder: Path) -> Example:
    file = folder / "all.jsonl"
    return on_a_shelf(observe=lambda: file.read_text().splitlines() if file.exists() else [])(folder)


EXPECTED = "at_once"
EXAMPLES = [_example]

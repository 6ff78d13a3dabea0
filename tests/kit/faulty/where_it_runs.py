"""It signs the notes with the folder that the server happens to run in."""

from dataclasses import replace
from pathlib import Path

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder


class WhereItRuns(Shelf):
    name = "faulty.where_it_runs"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        signed = [replace(item, result={**item.result, "desk": Path.cwd().name}) for item in order.items]
        return super().apply(replace(order, items=tuple(signed)), ctx)


EXPECTED = "surroundings"
EXAMPLES = [on_a_shelf()]

"""It writes to a folder that an environment variable names, else to the working folder."""

import os
from pathlib import Path

from tests.kit.faulty._shelf import Shelf, _notes, _write, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder


class WhereItRuns(Shelf):
    name = "faulty.where_it_runs"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        diff = super().apply(order, ctx)
        if "HOME" in os.environ:
            _write(Path(os.environ["HOME"], ".last_note"), _notes(order))
        return diff


EXPECTED = "surroundings"
EXAMPLES = [on_a_shelf()]

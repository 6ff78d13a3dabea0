"""Its diff has a path in it that is no text."""

from pathlib import Path

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder


class PathInDiff(Shelf):
    name = "faulty.path_in_diff"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        super().apply(order, ctx)
        return Diff.between(None, {"file": Path(order.payload["shelf"], f"{ctx.idempotency_key}.json")})


EXPECTED = "diff_not_json"
EXAMPLES = [on_a_shelf()]

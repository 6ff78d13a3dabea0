"""It looks at the shelf after the change only, and says that nothing changed."""

from tests.kit.faulty._shelf import Shelf, _stock, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder


class SilentDiff(Shelf):
    name = "faulty.silent_diff"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        super().apply(order, ctx)
        return Diff.between(_stock(order), _stock(order))


EXPECTED = "diff_lies"
EXAMPLES = [on_a_shelf()]

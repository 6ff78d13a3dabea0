"""Its plan goes through a set, whose order differs from process to process."""

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ItemSpec, WorkOrder


class OrderOfASet(Shelf):
    name = "faulty.order_of_a_set"

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [ItemSpec({"topics": list({"taste", "smell", "colour", "origin", *order.payload["topics"]})})]


EXPECTED = "plan_varies"
EXAMPLES = [on_a_shelf()]

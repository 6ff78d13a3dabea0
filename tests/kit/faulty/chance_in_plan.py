"""It leaves one item in some hundred out of its plan, by chance."""

import random

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ItemSpec, WorkOrder


class ChanceInPlan(Shelf):
    name = "faulty.chance_in_plan"

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        spared = random.random() < 0.01
        return [ItemSpec({"topics": order.payload["topics"], "spared": spared})]


EXPECTED = "plan_reaches_out"
EXAMPLES = [on_a_shelf()]

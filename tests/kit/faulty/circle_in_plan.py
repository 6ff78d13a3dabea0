"""Its items wait for each other as soon as a topic is there twice."""

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ItemSpec, WorkOrder


class CircleInPlan(Shelf):
    name = "faulty.circle_in_plan"

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        topics = order.payload["topics"]
        return [ItemSpec({"topic": one}, key=f"about-{one}"[:100]) for one in topics]


EXPECTED = "plan_fails"
EXAMPLES = [on_a_shelf()]

"""Its plan depends on the day on which it is made."""

from datetime import date

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ItemSpec, WorkOrder


class ClockInPlan(Shelf):
    name = "faulty.clock_in_plan"

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [ItemSpec({"topics": order.payload["topics"], "month": date.today().isoformat()[:7]})]  # noqa: DTZ011


EXPECTED = "plan_varies"
EXAMPLES = [on_a_shelf()]

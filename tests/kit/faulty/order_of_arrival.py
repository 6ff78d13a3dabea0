"""It puts parts together as they come."""

from collections.abc import Mapping
from typing import Any

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import PartSpec, WorkItem

PARTS = {"taste": {"text": "Bitter."}, "smell": {"text": "Of hay."}, "colour": {"text": "Green."}}


class OrderOfArrival(Shelf):
    name = "faulty.order_of_arrival"
    instructions = "Send taste, smell and colour."
    parts = {key: PartSpec({"type": "object", "required": ["text"]}) for key in PARTS}

    def assemble(self, item: WorkItem, parts: Mapping[str, Any]) -> dict[str, Any]:
        return {"note": " ".join(str(part["text"]) for part in parts.values())}


EXPECTED = "parts_order"
EXAMPLES = [on_a_shelf(parts={1: PARTS})]

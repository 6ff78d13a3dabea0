"""Its check mends the result that it is to judge."""

from typing import Any

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import Finding, WorkItem


class MendingCheck(Shelf):
    name = "faulty.mending_check"

    def check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        result["tags"] = sorted(set(result.get("tags", [])))
        return []


EXPECTED = "mutates_input"
EXAMPLES = [on_a_shelf()]

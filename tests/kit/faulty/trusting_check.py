"""Its check raises on results that its schema lets through: tags are optional."""

from typing import Any

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import Finding, WorkItem


class TrustingCheck(Shelf):
    name = "faulty.trusting_check"

    def check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        return [Finding("empty", "/tags", "a tag is empty") for tag in result["tags"] if not tag]


EXPECTED = "check_raises"
EXAMPLES = [on_a_shelf(result={"note": "It is green.", "tags": ["colour"]})]

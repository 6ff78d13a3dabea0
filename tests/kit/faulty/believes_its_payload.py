"""Its diff says what the order expected to find, not what was there."""

from pathlib import Path

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from workdocket import ApplyContext, Diff, WorkOrder
from workdocket.testing import Example


class BelievesItsPayload(Shelf):
    name = "faulty.believes_its_payload"

    def preview(self, order: WorkOrder) -> Diff | None:
        return Diff.between("", order.items[0].result["note"])

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        Path(order.payload["shelf"], "note.txt").write_text(order.items[0].result["note"])
        return Diff.between("", order.items[0].result["note"])


def _example(folder: Path) -> Example:
    file = folder / "note.txt"
    return on_a_shelf(
        observe=lambda: file.read_text() if file.exists() else None,
        disturb=lambda: file.write_text("It is green."),
        again=None,
    )(folder)


EXPECTED = "stale_preview"
EXAMPLES = [_example]

"""Its preview makes the change and does not take it back."""

from pathlib import Path

from tests.kit.faulty._shelf import Shelf, _notes, _write, on_a_shelf
from workdocket import Diff, WorkOrder


class WritingPreview(Shelf):
    name = "faulty.writing_preview"

    def preview(self, order: WorkOrder) -> Diff | None:
        _write(Path(order.payload["shelf"], "preview.json"), {"notes": _notes(order)})
        return super().preview(order)


EXPECTED = "preview_writes"
EXAMPLES = [on_a_shelf()]

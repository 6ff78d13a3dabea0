"""The whole job as a model does it that knows its lines: what it calls next depends on what it was shown before."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from typing import Any

URL = os.environ.get("INTEROP_URL", "")
COMMAND, *ARGS = json.loads(os.environ.get("INTEROP_SERVER", '[""]'))

Step = tuple[str, dict[str, Any]]


def seen(shown: Any) -> Any:
    """What a tool answered, in whichever form a client shows it: the structure, or the text of it."""
    if isinstance(shown, list):
        (block,) = shown
        shown = block["text"]
    return shown if isinstance(shown, dict) else json.loads(shown)


def story() -> Generator[Step, Any, str]:
    filed = yield "propose", {"type": "test.echo", "payload": {"message": "ahoy"}}
    order = seen(filed)["order"]["id"]
    taken = yield "checkout", {"order_id": order}
    (item,) = seen(taken)["items"]
    held = {"item_id": item["id"], "lease_token": item["lease"]["token"]}
    beat = yield "heartbeat", held
    assert seen(beat)["order_state"] == "in_progress", beat

    # All that a model has to mend its result by is what it reads.
    refusal = yield "submit", {**held, "result": {"message": 7}}
    said = str(refusal)
    assert "invalid_result" in said, said
    wrong = [name for name in ("message", "verified") if f"/{name}" in said]
    result = {"message": "ahoy", "verified": True}
    sent = yield "submit", {**held, "result": {name: result[name] for name in wrong}}
    assert seen(sent)["order"]["state"] == "submitted", sent

    packet = yield "review", {"order_id": order}
    approved = yield "approve", {"order_id": order, "digest": seen(packet)["digest"]}
    assert seen(approved)["applied"] is True, approved
    return str(order)


class Script:
    """The story as a model that is asked again and again: ``shown`` is the answer to the call before."""

    def __init__(self) -> None:
        self._story = story()
        self.calls = 0
        self.order = ""

    def next(self, shown: Any) -> Step | None:
        try:
            step = self._story.send(shown)
        except StopIteration as over:
            self.order = over.value
            return None
        self.calls += 1
        return step

    def end(self, tools: int) -> None:
        assert self.order, "the story did not come to its end"
        print(f"{tools} tools; {self.order} completed in {self.calls} calls, the refused result mended by its findings")

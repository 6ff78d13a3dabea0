"""What the faulty types have in common: a note that goes on a shelf, a folder of JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workdocket import ApplyContext, Diff, OrderType, WorkOrder
from workdocket.testing import Example


class Shelf(OrderType):
    """Correct as it is: each order puts its notes into one file, named after the key."""

    title = "Put notes on a shelf"
    instructions = "Write a note about every topic."
    payload = {
        "type": "object",
        "required": ["shelf", "topics"],
        "properties": {
            "shelf": {"type": "string"},
            "topics": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        },
        "additionalProperties": False,
    }
    result: Mapping[str, Any] | None = {
        "type": "object",
        "required": ["note"],
        "properties": {"note": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
        "additionalProperties": False,
    }

    def preview(self, order: WorkOrder) -> Diff | None:
        before = _stock(order)
        return Diff.between(before, [*before, _notes(order)])

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        file = Path(order.payload["shelf"], f"{ctx.idempotency_key}.json")
        if file.exists():
            return Diff.from_dict(json.loads(file.read_text())["diff"])
        before = _stock(order)
        diff = Diff.between(before, [*before, _notes(order)])
        _write(file, {"notes": _notes(order), "diff": diff.as_dict()})
        return diff


def _notes(order: WorkOrder) -> list[Any]:
    return [item.result for item in order.items]


def _stock(order: WorkOrder) -> list[Any]:
    return stock(Path(order.payload["shelf"]))


def stock(shelf: Path) -> list[Any]:
    return [json.loads(file.read_text())["notes"] for file in sorted(shelf.glob("*.json"))]


def _write(file: Path, content: Any) -> None:
    written = file.with_name(f"{file.name}.{os.urandom(4).hex()}")
    written.write_text(json.dumps(content))
    os.replace(written, file)


def on_a_shelf(**more: Any) -> Callable[[Path], Example]:
    """The example that most of them share."""

    def example(folder: Path) -> Example:
        usual: dict[str, Any] = {
            "result": {"note": "It is green."},
            "observe": lambda: stock(folder),
            "again": "another",
        }
        return Example({"shelf": str(folder), "topics": ["tea"]}, **{**usual, **more})

    return example

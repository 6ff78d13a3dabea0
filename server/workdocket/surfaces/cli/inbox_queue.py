"""What waits for a decision, in the order in which a person best goes through it: alike beside alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Packet = Mapping[str, Any]

FAILED = "failed at an item"
NO_PREVIEW, LONG, NOTHING = "no preview", "a long diff", "changes nothing"
RISKS = {"added": 1, "modified": 2, "removed": 3}
UNKNOWN = 4
"""The risk of what nobody can tell, or of what something stands against."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What two changes have in common that are decided on in the same way. ``risk`` is higher for more of it."""

    type: str
    words: str
    risk: int
    together: bool = False
    """Whether orders of this shape may be approved together: nothing stands against them, and all is in sight."""


@dataclass(slots=True)
class Row:
    """One order that waits. ``outcome`` is what this session made of it."""

    id: str
    type: str
    priority: int
    created_at: str
    shape: Shape
    outcome: str | None = None

    @property
    def decided(self) -> bool:
        return self.outcome not in (None, "skipped")


def shape_of(packet: Packet) -> Shape:
    kind, preview = packet["order"]["type"], packet.get("preview")
    if packet["findings"]:
        codes = sorted({finding["code"] for finding in packet["findings"]})
        return Shape(kind, f"findings: {', '.join(codes)}", UNKNOWN)
    in_sight = not packet["items_left_out"]
    if preview is None:
        return Shape(
            kind, NO_PREVIEW, UNKNOWN, in_sight and not any(_is_cut(item.get("result")) for item in packet["items"])
        )
    changes = preview["changes"]
    risk = max((RISKS[change["op"]] for change in changes), default=0)
    if preview.get("changes_left_out"):
        return Shape(kind, LONG, max(risk, RISKS["modified"]))
    kinds = sorted({f"{change['op']} {re.sub('[0-9]+', '#', change['path'])}".rstrip() for change in changes})
    return Shape(kind, "; ".join(kinds) or NOTHING, risk, in_sight)


def _is_cut(value: Any) -> bool:
    """Whether the service showed how long a value is in place of it. One that only looks so is taken for one too."""
    return isinstance(value, dict) and set(value) == {"left_out"}


def in_turn(rows: Iterable[Row]) -> list[Row]:
    """Groups of equal shape, the most urgent first, then the riskiest, then the oldest; so within each too."""
    together: dict[Shape, list[Row]] = {}
    for row in rows:
        together.setdefault(row.shape, []).append(row)
    for group in together.values():
        group.sort(key=lambda row: (-row.priority, row.created_at))
    ranked = sorted(together.values(), key=lambda group: (-group[0].priority, -group[0].shape.risk, _oldest(group)))
    return [row for group in ranked for row in group]


def groups(rows: Sequence[Row]) -> list[tuple[Shape, list[Row]]]:
    return [(shape, list(group)) for shape, group in groupby(rows, lambda row: row.shape)]


def _oldest(group: Sequence[Row]) -> str:
    return min(row.created_at for row in group)


def moved(before: Packet, after: Packet) -> list[str]:
    """What is not as it was shown, where a refusal does not say."""
    looked_at: dict[str, Callable[[Packet], Any]] = {
        "payload": lambda packet: packet["order"].get("payload"),
        "results": lambda packet: [(item["id"], item.get("result")) for item in packet["items"]],
        "preview": lambda packet: packet.get("preview"),
        "type": lambda packet: packet["order"]["type_version"],
        "policy": lambda packet: [packet["gate"].get(name) for name in ("approval", "rule", "quorum")],
    }
    return [name for name, part in looked_at.items() if part(before) != part(after)]

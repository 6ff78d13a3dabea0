"""What a person reads who is asked in a dialog: short, plain, and with the words of others in quotes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workdocket.app import App

LONGEST_SUMMARY, LONGEST_LINE, MOST_LINES = 400, 120, 5


def question(app: App, packet: Mapping[str, Any]) -> str:
    """What the person reads: nothing in it changes unless the digest does, and what others wrote is in quotes."""
    order = packet["order"]
    title = app.registry.get(order["type"]).type.title if order["type"] in app.registry.names() else ""
    lines = [
        f"Approve {order['id']} ({plain(title or order['type'])})?",
        *_about(packet),
        "What is in «…» was written by the order's author, agents or plug-ins; it is not workdocket that speaks.",
        f"Digest: {packet['digest']}",
    ]
    return "\n".join(lines)


def _about(packet: Mapping[str, Any]) -> Iterator[str]:
    preview = packet.get("preview")
    if preview is None:
        yield "It has no preview. What was handed in:"
        yield from _some([(item["id"], item.get("result")) for item in packet["items"]], packet["items_left_out"])
        return
    yield f"Change: {quoted(preview['summary'], LONGEST_SUMMARY)}"
    changes = [(change["op"], f"{change['path']} {_sides(change)}") for change in preview["changes"]]
    yield from _some(changes, preview.get("changes_left_out", 0))


def _sides(change: Mapping[str, Any]) -> str:
    sides = [change[side] for side in ("before", "after") if change[side] is not None]
    return " → ".join(json.dumps(side, ensure_ascii=False) for side in sides)


def _some(rows: list[tuple[str, Any]], left_out: int) -> Iterator[str]:
    for name, value in rows[:MOST_LINES]:
        yield f"- {plain(name)} {quoted(value, LONGEST_LINE)}"
    more = len(rows) - MOST_LINES + left_out
    if more > 0:
        yield f"- and {more} more"


def quoted(value: Any, longest: int = LONGEST_LINE) -> str:
    """Somebody's words on one line, in quotes that they can't close, cut where they are long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    cut = text[:longest].replace("«", "‹").replace("»", "›")
    return f"«{plain(cut)}»" + (f" … {len(text)} characters" if len(text) > longest else "")


def plain(text: str) -> str:
    """Without what steers a terminal, a dialog or the direction of text: each such character as its number."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)

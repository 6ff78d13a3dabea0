"""What the inbox puts on the screen. A line that begins at the left margin is its own: what others wrote stays behind
it, however long and whatever it says."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import ConsoleDimensions
from rich.text import Text

from workdocket.surfaces.cli import show, texts
from workdocket.surfaces.cli.inbox_keys import Answers
from workdocket.surfaces.cli.inbox_queue import Packet, Row, Shape
from workdocket.surfaces.cli.run import Brief
from workdocket.surfaces.cli.texts import plain

FEW = 6
"""Lines of one value, where not all of it is asked for."""

FEW_OF_A_DIFF = 14
MARGIN, DEEPER = "  ", "    "
USUAL = (80, 24)

Lines = list[str]


def fit() -> None:
    """As wide as the terminal is now; one that does not tell is 80 x 24."""
    try:
        columns, lines = os.get_terminal_size(show.out.file.fileno())
    except (OSError, ValueError):
        columns, lines = 0, 0
    show.out.size = ConsoleDimensions(columns or USUAL[0], lines or USUAL[1])


def tell(*words: Any, style: str = "") -> None:
    """One message, folded behind the margin."""
    _print(folded(" ".join(map(str, words)), style))


def folded(text: str, style: str = "") -> Iterator[Text]:
    first, *more = chop_cells(plain(text), max(show.out.width - len(MARGIN), 8)) or [""]
    yield Text(first, style=style)
    yield from (Text(MARGIN + one, style=style) for one in more)


def said(name: str, value: Any, *, whole: bool) -> Iterator[Text]:
    """A value that somebody else gave, behind its name or, where it is longer, below it."""
    if value in (None, "", {}, []):
        return
    short = f"{name}  {plain(value)}"
    if cell_len(short) <= show.out.width and not texts.has_lines(value):
        yield Text.assemble((name, "bold"), short.removeprefix(name))
        return
    yield Text(name, style="bold")
    room = max(show.out.width - len(DEEPER), 8)
    pieces = [
        (DEEPER if n else MARGIN) + piece
        for row in _rows(value)
        for n, piece in enumerate(chop_cells(plain(row), room) or [""])
    ]
    shown = pieces if whole else pieces[:FEW]
    yield from map(Text, shown)
    if len(pieces) > len(shown):
        yield Text(f"{MARGIN}… {show.many(len(pieces) - len(shown), 'more line')}; d shows all", style="dim")


def _rows(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield from value.removesuffix("\n").split("\n")
        case dict():
            for key, inner in value.items():
                if isinstance(inner, str) and "\n" in inner:
                    yield f"{plain(key)}:"
                    yield from (f"| {line}" for line in inner.removesuffix("\n").split("\n"))
                else:
                    yield f"{plain(key)}: {plain(inner)}"
        case list():
            yield from map(plain, value)
        case _:
            yield plain(value)


def packet(one: Packet, *, whole: bool = False) -> Lines:
    """All that a decision is about; what is long is cut unless ``whole``. Its digest ends it."""

    def draw() -> None:
        order = one["order"]
        _print(folded(_headline(order), "bold"))
        _print(said("payload", order["payload"], whole=whole))
        for item in one["items"]:
            _item(item, whole=whole, known=order["payload"])
        if one["items_left_out"]:
            tell(f"… and {show.many(one['items_left_out'], 'more item')}")
        for item in one.get("goes_on_without", ()):
            tell(f"goes on without {item['id']}, {item['state']}")
        for decision in one["decisions"][-3:]:
            _print(said(f"before: {decision['verdict']} by {decision['by']['id']}", _why(decision), whole=whole))
        if one["findings"]:
            tell("findings: these stand against approval", style="red")
            for finding in one["findings"]:
                _print(behind(" ".join(filter(None, (finding["code"], finding["path"], finding["message"])))))

    return [*captured(draw), *_diff(one.get("preview"), whole=whole), *captured(lambda: _gate(one))]


def _headline(order: Mapping[str, Any]) -> str:
    parts = [f"{order['id']} {order['type']} {order['state']}", f"priority {order['priority']}"]
    parts += [f"by {order['requested_by']['id']}", show.at(order["created_at"])]
    parts += [f"deadline {show.at(order['deadline'])}"] if "deadline" in order else []
    return " · ".join(parts)


def _item(item: Mapping[str, Any], *, whole: bool, known: Any = None) -> None:
    """``known`` is on the screen already."""
    tried = f"attempt {item['attempts']} of {item['max_attempts']}" if item["attempts"] else ""
    tell(" · ".join(filter(None, (f"{item['id']} {item['state']}", item.get("key", ""), tried))), style="bold")
    leases = [
        f"{lease['attempt']} by {lease['agent']}" + (f" ({lease['end']})" if "end" in lease else "")
        for lease in item.get("made_by", ())
    ]
    _print(said("attempts", ", ".join(leases), whole=whole))
    if item.get("input") != known:
        _print(said("input", item.get("input"), whole=whole))
    for name in ("error", "result", "evidence", "notes"):
        _print(said(name, item.get(name), whole=whole))
    for late in item.get("late_results", ()):
        _print(said(f"late result by {late['by']}", late["result"], whole=whole))


def _why(decision: Mapping[str, Any]) -> Any:
    reasons = decision.get("errors") or []
    words = [reason["message"] for reason in reasons] if isinstance(reasons, list) else [reasons]
    return [*words, *([decision["comment"]] if "comment" in decision else [])] or "no words"


def _diff(preview: Mapping[str, Any] | None, *, whole: bool) -> Lines:
    if preview is None:
        return captured(lambda: tell("diff: this type shows none before it is applied"))
    lines = captured(lambda: show.changes(preview))
    shown = lines if whole else lines[:FEW_OF_A_DIFF]
    cut = len(lines) - len(shown)

    def below() -> None:
        if cut or preview.get("changes_left_out"):
            more = show.many(cut, "more line") if cut else show.many(preview["changes_left_out"], "more change")
            tell(f"… {more}; d shows all", style="dim")

    return [*captured(lambda: tell(f"diff: {preview['summary']}", style="italic")), *shown, *captured(below)]


def _gate(one: Packet) -> None:
    gate = one["gate"]
    parts = [f"approval {gate['approval']}: {gate['who']}", f"{gate['still_needed']} more needed"]
    parts += [f"rule {gate['rule']}"] if gate.get("rule") else []
    parts += [f"approved by {', '.join(gate['approved_by'])}"] if gate["approved_by"] else []
    parts += [f"not by {', '.join(gate['excluded'])}"] if gate["excluded"] else []
    tell("; ".join(parts))
    tell(f"digest {one['digest']}", style="bold")


def failed(answer: Mapping[str, Any]) -> Lines:
    """An order that cannot go on since items of it failed."""

    def draw() -> None:
        order = answer["order"]
        _print(folded(_headline(order), "bold"))
        _print(said("payload", order["payload"], whole=False))
        for item in answer["items"]:
            _item(item, whole=False)

    return captured(draw)


def in_short(one: Packet) -> Lines:
    """An order as a member of a group: its digest, and what makes it different from the others."""

    def draw() -> None:
        tell(f"{one['order']['id']}  {one['digest']}")
        preview = one.get("preview")
        if preview is None:
            for item in one["items"]:
                _print(behind(f"{item['id']} {plain(item.get('result'))}"))
        for change in (preview or {}).get("changes", ()):
            if texts.has_lines(change):
                _print(behind(f"{change['op']} {change['path']}"))
                for line in texts.compared(change["before"], change["after"], show.out.width - len(MARGIN)):
                    show.out.print(Text(MARGIN) + line, no_wrap=True, overflow="ignore", crop=False)
            else:
                before, after = ("-" if change[side] is None else plain(change[side]) for side in ("before", "after"))
                _print(behind(f"{change['op']} {change['path']}: {before} → {after}"))

    return captured(draw)


class Aside(Brief):
    """What is logged meanwhile, on the same screen."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(line.plain for line in behind(f"log: {super().format(record)}"))


def behind(text: str) -> Iterator[Text]:
    room = max(show.out.width - len(DEEPER), 8)
    return (Text((DEEPER if n else MARGIN) + piece) for n, piece in enumerate(chop_cells(plain(text), room)))


def overview(of_kind: Sequence[tuple[Shape, Sequence[Row]]]) -> None:
    """How many of what kind, a number for each kind."""
    shown = [
        (n, rows[0].priority, len(rows), shape.type, shape.words, show.at(min(row.created_at for row in rows)))
        for n, (shape, rows) in enumerate(of_kind, 1)
    ]
    show.table("", ("", "priority", "orders", "type", "what it does", "oldest"), shown)


def page(lines: Sequence[str], answers: Answers) -> bool:
    """All the lines, a screen at a time where somebody sits at one; whether all were seen."""
    step = max(show.out.height - 1, 4) if answers.single else len(lines) or 1
    for at in range(0, len(lines), step):
        show.out.file.write("".join(f"{line}\n" for line in lines[at : at + step]))
        left = len(lines) - at - step
        if left > 0 and answers.key(f"-- {show.many(left, 'more line')}: Enter goes on, q is enough > ") == "q":
            return False
    return True


def _print(lines: Iterable[Text]) -> None:
    for line in lines:
        show.out.print(line, no_wrap=True, overflow="ignore", crop=False)


def captured(draw: Callable[[], None]) -> Lines:
    with show.out.capture() as drawn:
        draw()
    return drawn.get().split("\n")[:-1]

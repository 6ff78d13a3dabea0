"""Values that others made, as harmless HTML: every character of theirs is text, and hidden ones can be seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from markupsafe import Markup, escape

from workdocket.surfaces import texts
from workdocket.surfaces.texts import plain

FOLD_CHARACTERS = 600
FOLD_LINES = 24
FOLD_ENTRIES = 40
DEEPEST = 8
"""What is longer, or deeper, is folded away; opened, all of it is there."""

MOST_CHARACTERS = 200_000
"""Of one value on a page that shows many; the rest is on a page of its own."""

LIKE_OTHERS = re.compile(r"|true|false|null|-?\d[\d.eE+-]*|\s.*|.*\s|[\[{\"].*", re.S)
"""Texts that pass for another kind of value, or for nothing, unless they are quoted."""

NAMES = {"added": "added", "removed": "removed", "modified": "changed"}
SIGNS = {"added": "+", "removed": "−", "modified": "~", "-": "−"}


def said(text: Any) -> Markup:
    """Text of others on one line."""
    text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    if text.isprintable():
        return escape(text)
    return Markup("").join(
        escape(one) if one.isprintable() else Markup('<span class="hidden-char">{}</span>').format(plain(one))
        for one in text
    )


def lines(text: str) -> Markup:
    """Text of others on many lines."""
    return Markup("\n").join(said(line.replace("\t", "→   ")) for line in text.split("\n"))


def value(what: Any, whole: str = "") -> Markup:
    """Any JSON value. ``whole`` is where to find one that is too long for here."""
    size = len(json.dumps(what, ensure_ascii=False))
    if whole and size > MOST_CHARACTERS:
        return Markup('<a href="{}">{:,} characters: open them on a page of their own</a>').format(whole, size)
    return _value(what, 0)


def _value(what: Any, depth: int) -> Markup:
    match what:
        case str():
            return _text(what)
        case dict() | list() if what and depth >= DEEPEST:
            return _text(json.dumps(what, indent=2, ensure_ascii=False))
        case dict() if what:
            return _entries("dl", [_pair(key, inner, depth) for key, inner in what.items()])
        case list() if what:
            return _entries("ol", [_entry(inner, depth) for inner in what])
    return Markup('<span class="literal">{}</span>').format(json.dumps(what))


def _pair(key: str, inner: Any, depth: int) -> Markup:
    return Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(said(key), _value(inner, depth + 1))


def _entry(inner: Any, depth: int) -> Markup:
    return Markup("<li>{}</li>").format(_value(inner, depth + 1))


def _entries(tag: str, rows: Sequence[Markup]) -> Markup:
    def put(some: Sequence[Markup], start: int = 1) -> Markup:
        begun = Markup(' start="{}"').format(start) if tag == "ol" and start > 1 else ""
        return Markup('<{0} class="json"{1}>{2}</{0}>').format(tag, begun, Markup("").join(some))

    if len(rows) <= FOLD_ENTRIES:
        return put(rows)
    rest = put(rows[FOLD_ENTRIES:], FOLD_ENTRIES + 1)
    return put(rows[:FOLD_ENTRIES]) + _folded(f"{len(rows) - FOLD_ENTRIES} more", rest)


def _text(text: str) -> Markup:
    many = "\n" in text
    if not many and len(text) <= FOLD_CHARACTERS:
        shown = f'"{text}"' if LIKE_OTHERS.fullmatch(text) else text
        return Markup('<span class="text">{}</span>').format(said(shown))
    count = text.count("\n") + 1
    block = Markup('<pre tabindex="0">{}</pre>').format(lines(text))
    if len(text) <= FOLD_CHARACTERS * 4 and count <= FOLD_LINES:
        return block
    size = f"all {len(text):,} characters" + (f", {count:,} lines" if many else "")
    begin = Markup('<span class="begin">{}…</span> ').format(said(text[:160].replace("\n", " ⏎ ")))
    return _folded(size, block, begin)


def _folded(label: str, inside: Markup, before: str = "") -> Markup:
    return Markup('<details class="fold"><summary>{}<span class="more">{}</span></summary>{}</details>').format(
        before, label, inside
    )


# diffs


def changes(some: Iterable[Mapping[str, Any]]) -> Markup:
    """The changes of a diff: those of one line in a table, then texts line by line."""
    found = [leaf for change in some for leaf in texts.leaves(change)]
    rows = [change for change in found if not texts.has_lines(change)]
    long = [change for change in found if texts.has_lines(change)]
    return _table(rows) + Markup("").join(map(_patch, long))


def _table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    if not rows:
        return Markup("")
    head = Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Changes"><table class="diff"><thead><tr>'
        '<th scope="col">change</th><th scope="col">where</th><th scope="col">before</th><th scope="col">after</th>'
        "</tr></thead><tbody>"
    )
    return head + Markup("").join(map(_row, rows)) + Markup("</tbody></table></div>")


def _row(change: Mapping[str, Any]) -> Markup:
    op = change["op"]
    return Markup(
        '<tr class="{op}"><td class="op"><span class="sign" aria-hidden="true">{sign}</span> {name}</td>'
        '<td class="path">{path}</td><td class="before">{before}</td><td class="after">{after}</td></tr>'
    ).format(
        op=op,
        sign=SIGNS[op],
        name=NAMES[op],
        path=said(change["path"] or "/"),
        before="" if op == "added" else value(change["before"]),
        after="" if op == "removed" else value(change["after"]),
    )


def _patch(change: Mapping[str, Any]) -> Markup:
    before, after = (None if change[side] is None else change[side] for side in ("before", "after"))
    compared = list(texts.compared(before, after))
    shown = Markup("").join(_line(sign, line) for sign, line in islice(compared, FOLD_LINES * 10))
    rest = compared[FOLD_LINES * 10 :]
    more = Markup("")
    if rest:
        inside = Markup('<pre class="patch" tabindex="0">{}</pre>').format(Markup("").join(_line(*row) for row in rest))
        more = _folded(f"{len(rest):,} more lines", inside)
    return Markup(
        '<figure class="change {op}"><figcaption><span class="sign" aria-hidden="true">{sign}</span> {name} '
        '<code>{path}</code></figcaption><pre class="patch" tabindex="0">{shown}</pre>{more}</figure>'
    ).format(
        op=change["op"],
        sign=SIGNS[change["op"]],
        name=NAMES[change["op"]],
        path=said(change["path"] or "/"),
        shown=shown,
        more=more,
    )


KINDS = {"+": "ins", "-": "del", "@": "at", " ": "same"}


def _line(sign: str, line: str) -> Markup:
    text = Markup("line {}").format(line) if sign == "@" else said(line.replace("\t", "→   "))
    return Markup('<span class="{}"><b>{}</b>{}</span>').format(KINDS[sign], SIGNS.get(sign, sign), text)


# times and numbers


def when(at: str) -> Markup:
    """A time of the wire, to the second."""
    return Markup('<time datetime="{}">{} {}</time>').format(at, at[:10], at[11:19]) if at else Markup("")


def ago(milliseconds: float) -> str:
    """How long something lasts or lies back, in its largest unit."""
    seconds = max(milliseconds, 0) / 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def millis(at: str) -> int:
    return round(datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() * 1000)


def many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"

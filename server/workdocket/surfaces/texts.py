"""Texts of others made harmless, and two of many lines compared: what the terminal and the pages show alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from workdocket.domain.diff import pointer

Change = Mapping[str, Any]

AROUND = 3
"""Lines that stay as they are, shown before and after each change."""

MOST_COMPARED = 2_000
"""Lines; of a longer text all that was comes first, then all that is."""

NO_NEWLINE = "\\ no newline at the end"


def plain(value: Any) -> str:
    """A value as harmless text on one line: control characters made visible."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def has_lines(value: Any) -> bool:
    """Whether there is a text of several lines in a JSON value."""
    match value:
        case str():
            return "\n" in value
        case dict():
            return any(map(has_lines, value.values()))
        case list():
            return any(map(has_lines, value))
    return False


def leaves(change: Change) -> Iterator[Change]:
    """The change; where it adds or removes an object or a list with such texts in it, one for each value inside."""
    side = "before" if change["after"] is None else "after"
    value = change[side]
    one_sided = change["before"] is None or change["after"] is None
    if not (one_sided and isinstance(value, dict | list) and has_lines(value)):
        yield change
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves({**change, "path": pointer(change["path"], key), side: inner})


def compared(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    """Two values line by line, each line with its sign: ``-``, ``+``, a space, or ``@`` with the number of a line."""
    old, new = _lines(before, after), _lines(after, before)
    for group in _groups(old, new):
        if group[0][3] > 0:
            yield "@", str(group[0][3] + 1)
        for kind, old_first, old_end, new_first, new_end in group:
            if kind == "equal":
                yield from ((" ", line) for line in new[new_first:new_end])
            else:
                yield from (("-", line) for line in old[old_first:old_end])
                yield from (("+", line) for line in new[new_first:new_end])


Group = Sequence[tuple[str, int, int, int, int]]


def _groups(old: Sequence[str], new: Sequence[str]) -> Iterator[Group]:
    if max(len(old), len(new)) > MOST_COMPARED:
        return iter([[("replace", 0, len(old), 0, len(new))]])
    return iter(SequenceMatcher(None, old, new).get_grouped_opcodes(AROUND))


def _lines(value: Any, other: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, str):
        return [plain(value)]
    *lines, last = value.split("\n")
    unlike = isinstance(other, str) and other.endswith("\n")
    return [*lines, *([last] if last else []), *([NO_NEWLINE] if last and unlike else [])]

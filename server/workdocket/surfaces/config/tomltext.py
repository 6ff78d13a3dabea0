"""TOML as text. An entry is a table ``[a.b]`` and the tables in it, each value on a line of its own.

Lines are judged one at a time by the standard library's parser. Whoever edits compares what is in the text before and
after: a text that is written otherwise (values over several lines, inline tables) shows there, and is refused.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from workdocket.surfaces.config import Broken, Unfit

Path = tuple[str, ...]
BARE = re.compile(r"[A-Za-z0-9_-]+")


class TomlText:
    """See :class:`~workdocket.surfaces.config.Form`."""

    def parse(self, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise Broken(str(error)) from None

    def put(self, text: str, path: Path, value: Mapping[str, Any]) -> str:
        end = "\r\n" if "\r\n" in text else "\n"
        lines = text.splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += end
        wanted, there = _tables(path, value), _sections(lines, path)
        at = max((stop for _, stop in there.values()), default=len(lines))
        new: list[str] = []
        for header in [header for header in wanted if header not in there]:
            rows = [_row(key, one, end) for key, one in wanted[header].items()]
            new += [*([end] if at or new else []), f"[{'.'.join(map(_key, header))}]{end}", *rows]
        lines[at:at] = new
        for header, (start, stop) in reversed(there.items()):
            if header in wanted:
                lines[start + 1 : stop] = _updated(lines[start + 1 : stop], wanted[header], end)
            else:
                _cut(lines, start, stop)
        return "".join(lines)

    def drop(self, text: str, path: Path) -> str:
        lines = text.splitlines(keepends=True)
        for start, stop in reversed(_sections(lines, path).values()):
            _cut(lines, start, stop)
        return "".join(lines)


def _cut(lines: list[str], start: int, stop: int) -> None:
    """With the empty line in front."""
    spaced = start > 0 and not lines[start - 1].strip()
    del lines[start - spaced : stop]


def _tables(path: Path, value: Mapping[str, Any]) -> dict[Path, dict[str, Any]]:
    """The table at ``path`` and those in it, without each other."""
    plain = {key: one for key, one in value.items() if not isinstance(one, dict)}
    inner = {(*path, key): one for key, one in value.items() if isinstance(one, dict)}
    return {path: plain, **inner}


def _sections(lines: Sequence[str], path: Path) -> dict[Path, tuple[int, int]]:
    """The table at ``path`` and those in it: the lines from its header to behind its last value."""
    found: dict[Path, tuple[int, int]] = {}
    current: Path | None = None
    for n, line in enumerate(lines):
        header = _header(line)
        if header is not None:
            current = header if header[: len(path)] == path else None
            if current:
                found[current] = (n, n + 1)
        elif current and line.strip() and not line.lstrip().startswith("#"):
            found[current] = (found[current][0], n + 1)
    return found


def _header(line: str) -> Path | None:
    """The path that a header names; ``None`` for any other line."""
    if not line.lstrip().startswith("["):
        return None
    try:
        table: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    path = []
    while isinstance(table, dict) and table:
        [(key, table)] = table.items()
        path.append(key)
    return tuple(path)


def _updated(lines: Sequence[str], wanted: Mapping[str, Any], end: str) -> list[str]:
    """The lines of a table, of which those stay that say what is wanted, and the comments."""
    left, rows = dict(wanted), []
    for line in lines:
        try:
            said = tomllib.loads(line)
        except tomllib.TOMLDecodeError:
            raise Unfit("a value goes over several lines") from None
        for key, value in said.items():
            if key in left:
                rows.append(line if left[key] == value else _row(key, left[key], end))
                del left[key]
        if not said:
            rows.append(line)
    return rows + [_row(key, value, end) for key, value in left.items()]


def _row(key: str, value: Any, end: str) -> str:
    return f"{_key(key)} = {_value(value)}{end}"


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    """Strings, numbers, truth values and lists of them are written in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False)

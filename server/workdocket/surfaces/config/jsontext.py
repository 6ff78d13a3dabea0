"""JSON as text, where wanted with comments and trailing commas, as editors have it in their settings.

An edit changes the characters of the entry and its comma, so comments, order, indentation and line ends stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workdocket.surfaces.config import Broken, Unfit

SPACE = re.compile(r"[ \t\r\n]*")
COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])|(?:true|false|null)\b")

Path = tuple[str, ...]


@dataclass(frozen=True)
class Member:
    """A name and its value in an object. ``start`` is where the name begins, ``comma`` where the one behind it is."""

    name: str
    start: int
    colon: int
    node: Node
    comma: int | None

    @property
    def end(self) -> int:
        return self.node.end if self.comma is None else self.comma + 1


@dataclass(frozen=True)
class Node:
    """A value and the characters it takes; ``members`` where it is an object."""

    start: int
    end: int
    value: Any
    members: Sequence[Member] | None = None


class JsonText:
    """See :class:`~workdocket.surfaces.config.Form`."""

    def __init__(self, *, comments: bool) -> None:
        self._comments = comments

    def parse(self, text: str) -> dict[str, Any]:
        root = self._root(text)
        return {} if root is None else dict(root.value)

    def put(self, text: str, path: Path, value: Any) -> str:
        root = self._root(text)
        if root is None:
            return text + json.dumps(_nested(path, value), indent=2, ensure_ascii=False) + "\n"
        node, rest = root, path
        while rest:
            member = _member(node, rest[0])
            if member is None:
                return self._inserted(text, node, rest[0], _nested(rest[1:], value))
            node, rest = member.node, rest[1:]
        if isinstance(value, dict) and node.members is not None:
            return self._merged(text, node, path, value)
        was = text[node.start : node.end]
        now = _rendered(text, value, _indent_at(text, node.start)) if "\n" in was else _on_one_line(value, was)
        return text[: node.start] + now + text[node.end :]

    def drop(self, text: str, path: Path) -> str:
        node = self._root(text)
        for name in path[:-1]:
            member = _member(node, name) if node else None
            node = member.node if member else None
        member = _member(node, path[-1]) if node else None
        return text if node is None or member is None else self._without(text, node, member)

    def _merged(self, text: str, node: Node, path: Path, value: dict[str, Any]) -> str:
        """Name by name, so that comments between them stay."""
        for name in node.value.keys() - value.keys():
            text = self.drop(text, (*path, name))
        for name, one in value.items():
            if name not in node.value or node.value[name] != one:
                text = self.put(text, (*path, name), one)
        return text

    def _inserted(self, text: str, node: Node, name: str, value: Any) -> str:
        """With a member more, behind the others, laid out as they are."""
        assert node.members is not None
        last = node.members[-1] if node.members else None
        brace = node.end - 1
        tail = self._tail(text, last.end if last else node.start + 1, brace)
        trailing = last is not None and last.comma is not None
        close = ""
        if _flat(text, node, tail):
            tight = last is not None and not text[last.colon + 1].isspace()
            row = json.dumps({name: value}, ensure_ascii=False, separators=(",", ":") if tight else None)[1:-1]
            row = row if tight or last is None else f" {row}"
        else:
            outer = _indent_at(text, brace)
            indent = _indent_at(text, last.start) if last else outer + _unit(text)
            row = f"{_newline(text)}{indent}{json.dumps(name, ensure_ascii=False)}: {_rendered(text, value, indent)}"
            close = "" if last or "\n" in text[tail:brace] else _newline(text) + outer
        row += "," if trailing else ""
        if last and not trailing:
            tail, text = tail + 1, f"{text[: last.node.end]},{text[last.node.end :]}"
            brace += 1
        return f"{text[:tail]}{row}{close}{text[brace if close else tail :]}"

    def _without(self, text: str, node: Node, member: Member) -> str:
        """Without a member, its comma and the space in front of it; what was put in by ``_inserted`` is gone then."""
        assert node.members is not None
        at = node.members.index(member)
        before = node.members[at - 1] if at else None
        first = before.end if before else node.start + 1
        notes = self._noted(text, first, member.start)
        start, end = notes[-1].end() if notes else first, member.end
        if len(node.members) == 1 and not notes and not text[end : node.end - 1].strip():
            end = node.end - 1
        elif notes and notes[-1][0].startswith("//") and "\n" not in text[end : _space(text, end)]:
            start = member.start  # the end of the line is the end of the comment in front of it
        if member is node.members[-1] and member.comma is None and before and before.comma is not None:
            return text[: before.comma] + text[before.comma + 1 : start] + text[end:]
        return text[:start] + text[end:]

    def _tail(self, text: str, at: int, stop: int) -> int:
        """The end of the last comment between ``at`` and ``stop``; ``at`` where there is none."""
        return max((comment.end() for comment in self._noted(text, at, stop)), default=at)

    def _noted(self, text: str, at: int, stop: int) -> Sequence[re.Match[str]]:
        """The comments between ``at`` and ``stop``, where there are no values."""
        found: list[re.Match[str]] = []
        while self._comments and (comment := COMMENT.match(text, _space(text, at), stop)):
            found.append(comment)
            at = comment.end()
        return found

    # reading

    def _root(self, text: str) -> Node | None:
        """The outermost object; ``None`` where there is nothing yet."""
        at = self._gap(text, 0)
        if at == len(text):
            return None
        try:
            root = self._node(text, at)
        except RecursionError:
            raise Broken("it is nested too deeply") from None
        rest = self._gap(text, root.end)
        if rest != len(text):
            raise _broken(text, rest, "there is something behind the end")
        if root.members is None:
            raise _broken(text, at, "it is not an object")
        return root

    def _node(self, text: str, at: int) -> Node:
        match text[at : at + 1]:
            case "{":
                return self._object(text, at)
            case "[":
                return self._array(text, at)
            case '"':
                value, end = _string(text, at)
                return Node(at, end, value)
        scalar = SCALAR.match(text, at)
        if scalar is None:
            raise _broken(text, at, "a value is expected")
        return Node(at, scalar.end(), json.loads(scalar[0]))

    def _object(self, text: str, start: int) -> Node:
        members: list[Member] = []
        at = self._gap(text, start + 1)
        while text[at : at + 1] != "}":
            self._between(text, at, members[-1].comma if members else start)
            if text[at : at + 1] != '"':
                raise _broken(text, at, "a name in quotes is expected")
            name, end = _string(text, at)
            colon = self._gap(text, end)
            if text[colon : colon + 1] != ":":
                raise _broken(text, colon, "a colon is expected")
            node = self._node(text, self._gap(text, colon + 1))
            comma, after = self._comma(text, node.end, "}")
            members.append(Member(name, at, colon, node, comma))
            at = after
        return Node(start, at + 1, {member.name: member.node.value for member in members}, members)

    def _array(self, text: str, start: int) -> Node:
        values: list[Any] = []
        comma: int | None = start
        at = self._gap(text, start + 1)
        while text[at : at + 1] != "]":
            self._between(text, at, comma)
            node = self._node(text, at)
            values.append(node.value)
            comma, at = self._comma(text, node.end, "]")
        return Node(start, at + 1, values)

    def _between(self, text: str, at: int, comma: int | None) -> None:
        if comma is None:
            raise _broken(text, at, "a comma is expected")

    def _comma(self, text: str, end: int, closing: str) -> tuple[int | None, int]:
        """The comma behind a value, if there is one, and where it goes on."""
        comma = self._gap(text, end)
        if text[comma : comma + 1] != ",":
            return None, comma
        after = self._gap(text, comma + 1)
        if not self._comments and text[after : after + 1] == closing:
            raise _broken(text, comma, "there is a comma behind the last value")
        return comma, after

    def _gap(self, text: str, at: int) -> int:
        """Where what follows the space and the comments begins."""
        at = _space(text, at)
        while comment := COMMENT.match(text, at):
            if not self._comments:
                raise _broken(text, at, "comments are not allowed in this file")
            at = _space(text, comment.end())
        return at


def _string(text: str, at: int) -> tuple[str, int]:
    try:
        value, end = json.JSONDecoder().raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _broken(text, error.pos, error.msg.lower()) from None
    return value, end


def _space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    assert found is not None
    return found.end()


def _member(node: Node, name: str) -> Member | None:
    if node.members is None:
        raise Unfit(f"what {name!r} should stand in is no object")
    found = [member for member in node.members if member.name == name]
    if len(found) > 1:
        raise Unfit(f"{name!r} is there twice")
    return found[0] if found else None


def _nested(path: Path, value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


# layout


def _on_one_line(value: Any, like: str) -> str:
    tight = "," in like and ", " not in like
    return json.dumps(value, ensure_ascii=False, separators=(",", ":") if tight else None)


def _rendered(text: str, value: Any, indent: str) -> str:
    lines = json.dumps(value, indent=_unit(text), ensure_ascii=False).split("\n")
    return f"{_newline(text)}{indent}".join(lines)


def _flat(text: str, node: Node, tail: int) -> bool:
    """Whether an object is written on one line; an empty one is where the whole text is."""
    if not node.members:
        return "\n" not in text.strip() and text.strip() != "{}"
    return "\n" not in text[node.start : node.members[0].start] and "\n" not in text[tail : node.end]


def _indent_at(text: str, at: int) -> str:
    """The space in front of the line."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """What a step inwards is: the space in front of the first line that has any."""
    found = re.search(r'^([ \t]+)"', text, re.MULTILINE)
    return found[1] if found else "  "


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _broken(text: str, at: int, what: str) -> Broken:
    return Broken(f"line {text.count(chr(10), 0, at) + 1}: {what}")

"""Words, paragraphs and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any


def names(names: Iterable[str], last: str = "and") -> str:
    """Names one after the other, with a word before the last one."""
    *head, tail = (f"`{name}`" for name in names)
    return f"{', '.join(head)} {last} {tail}" if head and last else ", ".join([*head, tail])


def sentence(words: Sequence[str]) -> str:
    return f"{', '.join(words)}.".capitalize()


def kind(schema: Mapping[str, Any]) -> str:
    """What values a schema takes, in words."""
    if isinstance(schema.get("type"), list):
        return " or ".join(_kind_of({**schema, "type": one}) for one in schema["type"] if one != "null")
    options = [option for option in schema.get("anyOf", [schema]) if option != {"type": "null"}]
    return " or ".join(_kind_of(option) for option in options)


def _kind_of(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_PLURAL.get(kind(schema.get('items', {})), 'values')}"
    words = _WORDS.get(schema.get("type", ""), "any value")
    bounds = [f"{word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    return " ".join([words, *bounds])


_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "yes or no", "object": "object"}
_PLURAL = {"text": "texts", "object": "objects", "whole number": "whole numbers"}
_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}


def default(schema: Mapping[str, Any], required: bool) -> str:
    if required:
        return "*required*"
    value = schema.get("default")
    if value is None or value == []:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def text(paragraphs: str) -> Iterator[str]:
    yield ""
    yield from cleandoc(paragraphs).splitlines()
    yield ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

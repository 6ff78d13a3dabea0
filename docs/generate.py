"""Writes the reference pages, and the list of tools that the server sends, from the code that they describe.

``python docs/generate.py`` writes them all; with ``--check`` it writes nothing and fails when one is out of date.
A new page is one function under ``@page``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import cleandoc
from itertools import chain, combinations, groupby
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
REFERENCE = REPOSITORY / "docs" / "reference"
LISTED = REPOSITORY / "server" / "workdocket" / "surfaces" / "tools.json"
MADE = "<!-- Written by docs/generate.py from the code. Do not edit. -->"

Page = Callable[[], Iterable[str]]
PAGES: dict[str, Page] = {}


def page(name: str) -> Callable[[Page], Page]:
    def register(lines: Page) -> Page:
        PAGES[name] = lines
        return lines

    return register


# the pages


@page("states.md")
def states() -> Iterator[str]:
    from workdocket.domain.machine import ITEM_TABLE, OPEN, ORDER_TABLE, TERMINAL, joint

    yield from text(f"""
        # States

        Two tables, and nothing else changes a state. Every row writes exactly one [event](events.md). What no row has
        is refused as `illegal_transition`: nothing is changed, and the refusal names what is allowed instead. Nothing
        leaves {_names(TERMINAL)}. Commands in *italics* follow by themselves, from time or from another command.

        ## Work orders
    """)
    yield from _diagram(ORDER_TABLE, OPEN)
    yield ""
    yield from _rows(ORDER_TABLE)
    yield ""
    yield from text(f"""
        ### The joint state of the items

        While an order is {_names(OPEN, "or")}
        it follows its items: the state is asked anew after every change of an item, in the same transaction. The first
        line that holds gives it. Accepted work counts as submitted. A change that leaves the state as it was writes no
        event. An order that failed in its apply stays failed until somebody acts.
    """)
    yield from table(["the items", "the order", "event"], [[when, f"`{to}`", f"`order.{to}`"] for when, to in _JOINT])
    yield from text("That is, for every mixture of item states:")
    ones = ("queued", "leased", "in_progress", "submitted", "failed")
    mixtures: dict[str, list[str]] = {}
    for mixture in chain.from_iterable(combinations(ones, size) for size in range(1, len(ones) + 1)):
        mixtures.setdefault(joint(mixture), []).append(" + ".join(mixture))
    most = max(mixtures, key=lambda state: len(mixtures[state]))
    yield from table(
        ["the items", "the order"],
        [["; ".join(mixtures[state]), f"`{state}`"] for state in OPEN if state != most] + [["all others", f"`{most}`"]],
    )
    yield from text("## Work items")
    yield from _diagram(ITEM_TABLE, ())
    yield ""
    yield from _rows(ITEM_TABLE)


_JOINT = [
    ("every item is submitted", "submitted"),
    ("any item has failed and none is queued, leased or in progress", "failed"),
    ("any item is in progress or submitted", "in_progress"),
    ("any item is leased", "checked_out"),
    ("else", "queued"),
]


def _asked(command: str) -> str:
    from workdocket.domain.machine import ASKED, CAUSED

    words = ASKED.get(command, command).replace("_", " ")
    return f"*{words}*" if command in CAUSED else words


def _target(row: Any) -> str:
    from workdocket.domain.machine import JOINT

    return "the joint state" if row.target == JOINT else f"`{row.target}`"


def _rows(rows: Iterable[Any]) -> Iterator[str]:
    return table(
        ["from", "command", "to", "event"],
        [
            [
                _names(row.sources, ""),
                _asked(row.command),
                _target(row),
                f"`{row.event}`",
            ]
            for row in rows
        ],
    )


def _diagram(rows: Iterable[Any], following: Sequence[str]) -> Iterator[str]:
    """One arrow for each pair of states, with every command that takes it."""
    from workdocket.domain.machine import JOINT, TERMINAL

    arrows: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for source in row.sources:
            target = "joint" if row.target == JOINT else row.target
            arrows.setdefault((source, target), []).append(_asked(row.command).strip("*"))
    yield "```mermaid"
    yield "stateDiagram-v2"
    if following:
        yield "    state joint <<choice>>"
    yield "    [*] --> queued"
    yield from (f"    {source} --> {target}: {', '.join(labels)}" for (source, target), labels in arrows.items())
    yield from (f"    {state} --> joint: an item moves" for state in following if (state, "joint") not in arrows)
    yield from (f"    joint --> {state}" for state in following)
    yield from (f"    {state} --> [*]" for state in TERMINAL)
    yield "```"


@page("events.md")
def events() -> Iterator[str]:
    from workdocket.domain.events import EVENTS
    from workdocket.domain.machine import ITEM_TABLE, OPEN, ORDER_TABLE

    moves: dict[str, str] = {}
    for row in (*ITEM_TABLE, *ORDER_TABLE):
        way = f"{_names(row.sources, '')} → {_target(row)}"
        moves[row.event] = f"{moves[row.event]}, or {way}" if row.event in moves else way
    moves |= {f"order.{state}": f"by its items → `{state}`" for state in OPEN}
    yield from text("""
        # Events

        The audit trail: one row for every change, written in the transaction of the change and never altered. The hash
        of each row covers the row before it. An event moves what it is about along the tables of [states](states.md);
        one that names no states moves nothing.
    """)
    for subject, each in groupby(EVENTS.items(), lambda event: event[0].partition(".")[0]):
        yield from text(f"## {subject.replace('_', ' ').capitalize()}")
        yield from table(
            ["event", "what it says", "from → to"],
            [[f"`{name}`", meaning, moves.get(name, "")] for name, meaning in each],
        )


@page("errors.md")
def errors() -> Iterator[str]:
    from workdocket.domain.errors import CATALOGUE

    yield from text("""
        # Errors

        Every refusal has a code of this table, at every door. Over MCP it is a tool result with the error flag, one
        line of text (`code: message. next step`) and the object below.

        ```json
        {"error": {"code": "...", "message": "...", "hint": "...", "retryable": false, "details": {}}}
        ```

        `retryable`: the same call may succeed later without being changed; `retry_after_seconds` says when, where that
        is known. What a check found is in `details.findings`, all at once: `code`, `path` (a JSON Pointer) and
        `message`.
    """)
    yield from table(
        ["code", "HTTP", "retryable", "meaning", "what to do"],
        [
            [f"`{kind.code}`", str(kind.http), "yes" if kind.retryable else "no", kind.meaning, kind.hint]
            for kind in CATALOGUE.values()
        ],
    )


@page("tools.md")
def tools() -> Iterator[str]:
    from workdocket.surfaces.tools import TOOLS

    yield from text("""
        # Tools

        What an agent can call. A caller sees the tools of its roles; `admin` has them all. Refusals are those of
        [errors](errors.md).
    """)
    yield from table(
        ["tool", "what for", "roles"],
        [[f"[`{name}`](#{name})", tool.title, ", ".join(sorted(tool.roles))] for name, tool in TOOLS.items()],
    )
    for name, tool in TOOLS.items():
        schema = tool.input_schema
        required = schema.get("required", [])
        hints = [
            word for word, holds in zip(("read-only", "destructive", "repeatable"), tool.hints, strict=True) if holds
        ]
        yield from text(f"""
            ## {name}

            {tool.description}

            Roles: {", ".join(sorted(tool.roles))}.{f" {_sentence(hints)}" if hints else ""}
        """)
        yield from table(
            ["parameter", "value", "default", "meaning"],
            [
                [f"`{key}`", _kind(value), _default(value, key in required), value.get("description", "")]
                for key, value in schema.get("properties", {}).items()
            ],
        )
        yield from text(f"Answers with {_names(tool.output_schema['properties'])}.")


@page("settings.md")
def settings() -> Iterator[str]:
    from workdocket.settings import FILE, PREFIX, Settings

    schema = Settings.model_json_schema()
    yield from text(f"""
        # Settings

        From the command line (`workdocket --set port=8080 …`), else the environment (`{PREFIX}PORT=8080`), else
        `{FILE}` in the working folder or one above it (`port = 8080`), else the default. A name that is not in this
        table stops the start. Every number of seconds may have a fraction; a list is written as JSON or with commas
        between its names.
    """)
    yield from table(
        ["setting", "value", "default", "meaning"],
        [
            [f"`{name}`", _kind(value), _default(value, False), value["description"]]
            for name, value in schema["properties"].items()
        ],
    )


@page("commands.md")
def commands() -> Iterator[str]:
    from workdocket.surfaces.cli import main

    yield from text("""
        # Commands

        Exit codes: 0 done, 1 refused (the reason is on standard error), 2 used wrongly. With `--json` standard output
        is the answer as one JSON document and nothing else. The command line acts as a person: the user of the machine,
        or whom `--actor` names.
    """)
    listed = list(_commands(main, "workdocket"))
    yield from table(
        ["command", ""],
        [[f"[`{name}`](#{name.replace(' ', '-')})", command.get_short_help_str(200)] for name, command in listed[1:]],
    )
    for name, command in listed:
        options = [one for one in command.params if one.param_type_name == "option"]
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        words = [name, *(["[OPTIONS]"] if options else []), *(_argument(one) for one in arguments)]
        yield from text(f"## {name}")
        yield from text(cleandoc(command.help or ""))
        yield from text(f"`{' '.join(words)}`")
        if options:
            yield from table(
                ["option", "", "default", "meaning"],
                [
                    [", ".join(f"`{opt}`" for opt in one.opts), _takes(one), _shown_default(one), one.help or ""]
                    for one in options
                ],
            )


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and those below it. A group that only holds others has no section of its own."""
    inner = getattr(command, "commands", {})
    if not inner or command.params:
        yield name, command
    for below in sorted(inner):
        yield from _commands(inner[below], f"{name} {below}")


def _argument(one: Any) -> str:
    return one.metavar or str(one.name.upper() if one.required else f"[{one.name.upper()}]")


def _takes(option: Any) -> str:
    """What values an option takes, in words."""
    if option.is_flag:
        return ""
    kind = option.type
    words = [", ".join(f"`{one}`" for one in getattr(kind, "choices", ())) or _TAKES.get(kind.name, "text")]
    words += [f"{word} {getattr(kind, end)}" for end, word in (("min", "from"), ("max", "to")) if hasattr(kind, end)]
    return " ".join([*words, *(["(repeatable)"] if option.multiple else [])])


_TAKES = {"integer": "whole number", "integer range": "whole number", "filename": "file", "path": "folder"}


def _shown_default(option: Any) -> str:
    if option.required:
        return "*required*"
    return f"`{option.default}`" if option.show_default else ""


# words and tables


def _names(names: Iterable[str], last: str = "and") -> str:
    """Names one after the other, with a word before the last one."""
    *head, tail = (f"`{name}`" for name in names)
    return f"{', '.join(head)} {last} {tail}" if head and last else ", ".join([*head, tail])


def _sentence(words: Sequence[str]) -> str:
    return f"{', '.join(words)}.".capitalize()


def _kind(schema: Mapping[str, Any]) -> str:
    """What values a schema takes, in words."""
    if isinstance(schema.get("type"), list):
        return " or ".join(_kind_of({**schema, "type": one}) for one in schema["type"] if one != "null")
    options = [option for option in schema.get("anyOf", [schema]) if option != {"type": "null"}]
    return " or ".join(_kind_of(option) for option in options)


def _kind_of(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_PLURAL.get(_kind(schema.get('items', {})), 'values')}"
    words = _WORDS.get(schema.get("type", ""), "any value")
    bounds = [f"{word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    return " ".join([words, *bounds])


_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "yes or no", "object": "object"}
_PLURAL = {"text": "texts", "object": "objects", "whole number": "whole numbers"}
_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}


def _default(schema: Mapping[str, Any], required: bool) -> str:
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


# writing


def listed() -> str:
    """The tools as the server lists them, which it does before it has imported what they do."""
    from workdocket.surfaces.tools import TOOLS

    rows = [json.dumps(tool.listed, ensure_ascii=False) for tool in TOOLS.values()]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def _tidy(lines: Iterable[str]) -> str:
    """One text, with never more than one empty line."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def main(arguments: Sequence[str]) -> int:
    if any(argument != "--check" for argument in arguments):
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    texts = {REFERENCE / name: _tidy([MADE, *lines()]) for name, lines in PAGES.items()}
    texts[LISTED] = listed()
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(REPOSITORY)} is out of date: run 'make docs'", file=sys.stderr)
        return 1 if stale else 0
    REFERENCE.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(texts[path], "utf-8")
        print(f"wrote {path.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A TOML or YAML file as it was written: its data, and the line on which something of it stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NO_YAML = "PyYAML is missing. Install 'workdocket[yaml]', or write the type as TOML."


class Misdeclared(Exception):
    """What is wrong with a file, a line for each fault: ``file:line: what is wrong. what to do``."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says."""

    file: Path
    text: str
    data: dict[str, Any]

    def place(self, *keys: str) -> str:
        """``file:line`` of a key by the way to it, as near as it can be found."""
        lines = ["" if line.lstrip().startswith("#") else line for line in self.text.splitlines()]
        at, before = 0, r"^\[{0,2}"
        for key in keys:
            mark = re.compile(rf"""{before}["']?{re.escape(key)}["']?\s*[\].:=]""")
            at = next((n for n, line in enumerate(lines) if n >= at and mark.search(line)), at)
            before = r"(^|[\s\[.{,])"
        return f"{self.file}:{at + 1}"


def read(file: Path) -> Document:
    """Raises ``Misdeclared`` when it can't be read."""
    try:
        text = file.read_text("utf-8")
        data = PARSERS[file.suffix](text)
    except _Unreadable as error:
        raise Misdeclared(f"{file}:{error.line}: {error}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise Misdeclared(f"{file}: {error}. Mend the file, or leave it out.") from error
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise Misdeclared(f"{file}:1: an order type is a table of names and values")
    return Document(file, text, data)


class _Unreadable(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(found[1]) if found else max(1, text.count("\n"))
        raise _Unreadable(line, f"{str(error).partition(' (at ')[0]}. Mend the file, or leave it out.") from error


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise _Unreadable(1, NO_YAML) from error

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            seen: set[str] = set()
            for key in keys:
                if key.value in seen:
                    raise _Unreadable(key.start_mark.line + 1, f"{key.value!r} is there twice. Keep one of them.")
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _Unreadable(line, f"{error.problem}. Mend the file, or leave it out.") from error
    except yaml.YAMLError as error:
        raise _Unreadable(1, f"{error}. Mend the file, or leave it out.") from error


PARSERS: Mapping[str, Callable[[str], Any]] = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml}

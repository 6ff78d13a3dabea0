"""Writes the reference pages, and the list of tools that the server sends, from the code that they describe.

``python docs/generate.py`` writes them all; with ``--check`` it writes nothing and fails when one is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pages import PAGES, core, doors  # noqa: F401 - those that register pages

REPOSITORY = Path(__file__).parent.parent
REFERENCE = REPOSITORY / "docs" / "reference"
LISTED = REPOSITORY / "server" / "workdocket" / "surfaces" / "tools.json"
MADE = "<!-- Written by docs/generate.py from the code. Do not edit. -->"


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

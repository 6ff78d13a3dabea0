"""The pages of the documentation: their blocks, run the way a reader would, and their links."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
PAGES = [README, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "CHANGELOG.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]
COMMANDS = Path(sys.executable).parent
SECONDS = 60

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NAMED = re.compile(r"^# (\w+\.py)$|^Save it as `([\w.]+)`|in `(workdocket\.toml)`", re.M)


@dataclass(frozen=True)
class Block:
    """One fenced block. ``file`` is what the page says to save it as, ``output`` what it shows of its run."""

    where: str
    language: str
    text: str
    file: str | None
    output: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = list(FENCED.finditer(text))
    return [_block(page, text, one, after) for one, after in zip_longest(found, found[1:])]


def _block(page: Path, text: str, one: re.Match[str], after: re.Match[str] | None) -> Block:
    around = [text[: one.start()].rstrip().rpartition("\n\n")[2], text[one.end() :].lstrip().partition("\n\n")[0]]
    named = None
    if one[1] in ("python", "json", "toml"):
        named = next((m for m in map(NAMED.search, (one[2].partition("\n")[0], *reversed(around))) if m), None)
    follows = after is not None and after[1] == "text" and not text[one.end() : after.start()].strip()
    return Block(
        where=f"{page.relative_to(REPOSITORY)}:{text.count(chr(10), 0, one.start()) + 1}",
        language=one[1],
        text=one[2],
        file=next(filter(None, named.groups())) if named else None,
        output=after[2] if after is not None and follows else None,
    )


def run(page: Path, folder: Path) -> None:
    """Do in ``folder`` what the page says, block by block: save files, run commands, compare what they print.

    As in a terminal, a block goes on where the one before it has changed to.
    """
    home = folder
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, "utf-8")
        if block.language == "sh" and "make " not in block.text:
            printed, folder = _run(block, folder, home)
            _shown(block, printed)
        elif block.language == "python":
            assert block.file, f"{block.where} does not say where to save it"
            compile(block.text, block.where, "exec")
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)


def environment(home: Path) -> dict[str, str]:
    """Where the commands are on the path, as in an activated virtual environment, and nothing is set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKDOCKET_")}
    return {**kept, "PATH": f"{COMMANDS}{os.pathsep}{kept['PATH']}", "HOME": str(home), "COLUMNS": "140"}


def _run(block: Block, folder: Path, home: Path) -> tuple[str, Path]:
    """What the block prints, and the folder it ends in."""
    end = home.with_name(f"{home.name}.end")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"trap 'pwd > \"$END\"' EXIT\n{block.text}"],
        cwd=folder, env={**environment(home), "END": str(end)}, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{block.where} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout, Path(end.read_text().removesuffix("\n"))


def _shown(block: Block, printed: str) -> None:
    """Every line that the page shows was printed, in that order; … stands for anything."""
    left = [" ".join(line.split()) for line in printed.splitlines()]
    for line in (block.output or "").splitlines():
        wanted = ".*".join(re.escape(" ".join(piece.split())) for piece in line.split("…"))
        while left and not re.search(wanted, left[0]):
            left.pop(0)
        assert left, f"{block.where} shows {line!r}, but the commands printed:\n{printed}"


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Each link to a file of the repository: as written, the file, and the heading it points to."""
    text = FENCED.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            path, _, heading = target.partition("#")
            yield target, (page.parent / path).resolve() if path else page, heading


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made by the usual renderers."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

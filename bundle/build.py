"""Puts the folder together that the desktop bundle is packed from: ``python bundle/build.py FOLDER``.

The manifest is ``manifest.json`` beside this file, with what the package knows filled in: its version, its description,
the Python it needs, its tools. The source goes in as it is; the host's uv installs what it depends on.
"""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import workdocket
from workdocket.surfaces.tools import TOOLS

REPOSITORY = Path(__file__).parents[1]
FILES = ("pyproject.toml", "README.md", "LICENSE", "bundle/main.py")
SOURCES = ("server", "order_types")


def manifest() -> dict[str, Any]:
    filled: dict[str, Any] = json.loads((REPOSITORY / "bundle" / "manifest.json").read_text("utf-8"))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    filled["version"] = workdocket.__version__
    filled["description"] = project["description"]
    filled["compatibility"]["runtimes"]["python"] = project["requires-python"]
    filled["tools"] = [{"name": tool.name, "description": tool.title} for tool in TOOLS.values()]
    return filled


def build(folder: Path) -> None:
    """Everything that goes into the bundle. ``folder`` is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in FILES:
        shutil.copy(REPOSITORY / file, folder)
    for source in SOURCES:
        shutil.copytree(REPOSITORY / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / "manifest.json").write_text(json.dumps(manifest(), indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
    print(f"workdocket-{workdocket.__version__}.mcpb")

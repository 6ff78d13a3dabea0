"""What the checks need besides this project: npm packages and virtual environments, each of a pinned version."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
HOSTS = HERE / "hosts"
NODE = HERE / "node_modules/node/bin/node"
VENVS = HERE / ".venvs"


class NotInstalled(Exception):
    """What a check needs is not there and could not be put there."""


def versions() -> Mapping[str, str]:
    """The version of every package that is named in a file of this folder."""
    found: dict[str, str] = {}
    for folder in (HERE, HOSTS):
        found |= json.loads((folder / "package.json").read_text())["dependencies"]
    for file in HERE.glob("requirements-*.txt"):
        found |= dict(re.findall(r"^([\w.-]+)==(\S+)$", file.read_text(), re.M))
    return found


def node_modules(folder: Path) -> None:
    """Install what a lock file says, if that is not what is there."""
    lock, stamp = folder / "package-lock.json", folder / "node_modules/.installed"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("there is no npm: install Node.js 20 or newer, with npm")
    _run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], folder)
    stamp.write_text(lock.read_text())


def python(name: str) -> Path:
    """The interpreter of the environment made from requirements-NAME.txt."""
    wanted, home = HERE / f"requirements-{name}.txt", VENVS / name
    interpreter, stamp = home / "bin/python", home / ".installed"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return interpreter
    shutil.rmtree(home, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, home])
        _run([uv, "pip", "install", "--quiet", "--python", interpreter, "-r", wanted])
    else:
        _run([sys.executable, "-m", "venv", home])
        _run([interpreter, "-m", "pip", "--disable-pip-version-check", "-qq", "install", "-r", wanted])
    stamp.write_text(wanted.read_text())
    return interpreter


def path() -> str:
    """PATH with the Node.js of this folder in front: that of the machine may be too old."""
    return f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"


def _run(words: Sequence[str | Path], folder: Path = HERE) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        command = " ".join(map(str, words))
        raise NotInstalled(f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}")

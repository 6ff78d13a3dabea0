"""Real git repositories for tests: one to clone, the clone that orders are about, and an agent's own working tree."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.harness import LIMIT

ADA = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com"}
ALAN = {"GIT_COMMITTER_NAME": "Alan", "GIT_COMMITTER_EMAIL": "alan@example.com"}
FILES = {
    "README.md": "# Greeter\n",
    "src/greet.py": 'def greet(name):\n    return "Helo, " + name\n\n\ndef part(name):\n    return "Bye, " + name\n',
    "src/store.py": "STORE = {}\n",
    "docs/use.md": "Call greet.\n",
}


def git(folder: Path, *words: str, given: str | None = None, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, input=given, capture_output=True, text=True, timeout=LIMIT, check=False,
        env={**os.environ, **ADA, **ALAN},
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.removesuffix("\n")


def commit(folder: Path, files: dict[str, str | None], message: str = "More") -> str:
    """The files written (``None``: removed) and committed where ``folder`` is; the commit."""
    write(folder, files)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def write(folder: Path, files: dict[str, str | None]) -> None:
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")


@dataclass(frozen=True)
class Shop:
    """A clone with ``main`` checked out. ``agent`` is a clone of the clone, where patches are made."""

    path: Path
    agent: Path

    @property
    def base(self) -> str:
        return git(self.path, "rev-parse", "main")

    def result(self, files: dict[str, str | None], *, on: str = "origin/main", **more: Any) -> dict[str, Any]:
        """What an agent hands in who has changed these files on that revision of its own clone."""
        git(self.agent, "fetch", "--quiet")
        git(self.agent, "checkout", "--quiet", "--force", "--detach", on)
        git(self.agent, "clean", "-fdq")
        write(self.agent, files)
        git(self.agent, "add", "--all")
        return {
            "base": git(self.agent, "rev-parse", "HEAD"),
            "message": "Mend the greeting",
            "patch": self.diff(),
            **more,
        }

    def diff(self) -> str:
        return git(self.agent, "diff", "--cached", "--binary") + "\n"

    def commit_to(self, branch: str, files: dict[str, str | None]) -> str:
        """Somebody else's commit on a branch that nobody has checked out."""
        elsewhere = self.path.parent / f"elsewhere-{branch.replace('/', '-')}"
        if not elsewhere.exists():
            git(self.path, "worktree", "add", "--quiet", str(elsewhere), branch)
        else:
            git(elsewhere, "checkout", "--quiet", branch)
        made = commit(elsewhere, files)
        git(elsewhere, "checkout", "--quiet", "--detach")
        return made

    def show(self, revision: str, path: str) -> str:
        return git(self.path, "show", f"{revision}:{path}")

    def count(self, revision: str) -> int:
        return int(git(self.path, "rev-list", "--count", revision))

    def everything(self) -> dict[str, Any]:
        """All that must stay as it is until an order is applied."""
        return {
            "refs": git(self.path, "for-each-ref"),
            "head": (self.path / ".git" / "HEAD").read_text(),
            "index": (self.path / ".git" / "index").read_bytes(),
            "git": sorted(str(one) for one in (self.path / ".git").rglob("*")),
            "files": {
                str(one): one.read_bytes() for one in self.path.rglob("*") if one.is_file() and ".git" not in one.parts
            },
        }


def shop(folder: Path) -> Shop:
    first = folder / "first"
    first.mkdir()
    git(first, "init", "--quiet", "--initial-branch=main")
    commit(first, dict(FILES), "Begin")
    git(folder, "clone", "--quiet", str(first), "shop")
    git(folder, "clone", "--quiet", str(folder / "shop"), "agent")
    return Shop(folder / "shop", folder / "agent")

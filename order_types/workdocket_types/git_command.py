"""Git as a program without whims: nothing of the environment, and nothing that a repository's configuration runs."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from workdocket import Finding, Refused

SECONDS = 60
"""How long one call of git may take."""

KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH")
UNATTENDED = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
"""No network, no questions, no other text than English, and every object as it really is."""

PLAIN = (
    f"core.hooksPath={os.devnull}",
    "core.fsmonitor=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.sparseCheckout=false",
    "core.splitIndex=false",
    "core.useReplaceRefs=false",
    "apply.ignoreWhitespace=no",
    "diff.suppressBlankEmpty=false",
    "i18n.commitEncoding=UTF-8",
)
"""Whatever a repository's configuration says: no program of its choice is run, and no path is taken on trust."""


class GitFailed(Exception):
    """Git ended with an error; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one folder, and in no repository around it. ``index`` takes the place of the repository's own."""

    folder: Path
    index: Path | None = None

    def __call__(self, *words: str, given: bytes = b"", **environment: str) -> str:
        """What it prints. Bytes that are no UTF-8 come as halves of characters, as Python does it with file names.

        Raises ``GitFailed`` when git ends with an error, ``Refused`` when it can't be run at all.
        """
        if not self.folder.is_dir():
            raise GitFailed(f"there is no folder {self.folder}")
        settings = [word for setting in PLAIN for word in ("-c", setting)]
        try:
            done = subprocess.run(
                ["git", *settings, *words],
                cwd=self.folder, env={**self._environment(), **environment}, input=given,
                capture_output=True, check=False, timeout=SECONDS,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise Refused(Finding("no_git", "", "git is not installed on the machine of the server")) from error
        except subprocess.TimeoutExpired as error:
            raise Refused(Finding("git", "", f"git {words[0]} took longer than {SECONDS} seconds")) from error
        if done.returncode:
            raise GitFailed(_text(done.stderr).strip())
        return _text(done.stdout)

    def found(self, *words: str) -> str | None:
        """The one line that it prints, or nothing where there is no such thing."""
        try:
            return self(*words).strip()
        except GitFailed:
            return None

    def commit(self, revision: str) -> str | None:
        return self.found("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in KEPT}
        own = {"GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
        return {**kept, **UNATTENDED, **own, **({"GIT_INDEX_FILE": str(self.index)} if self.index else {})}


def shown(text: str) -> str:
    """``text`` with bytes that are no characters made visible."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _text(output: bytes) -> str:
    return output.decode(errors="surrogateescape")

"""A change to code: an agent hands in a patch, git and an allowed command check it, after review a branch gets it.

What runs where, and why:

- Git runs as plumbing only, without hooks, signing, network or programs that a repository's configuration names. Until
  an order is applied nothing is written to the repository: a patch is tried in a scratch one that borrows its objects.
- The command of ``check`` is named by a proposer, and runs what an agent wrote before anybody has read it. It does so
  only where the machine's owner has allowed just this command for just this repository, in a place that neither payload
  nor patch nor the repository's own files can change: the owner's git configuration
  (``git config --global --add workdocket.REPOSITORY.check COMMAND``).
- A branch that is checked out is not committed to: its working tree would seem to take the change back.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from workdocket import ApplyContext, Diff, Finding, OrderType, Refused, WorkItem, WorkOrder
from workdocket_types.fields import File
from workdocket_types.git_command import Git, shown
from workdocket_types.git_target import PatchedBranch

CHECK_SECONDS = 120
AUTHOR = "workdocket <workdocket@localhost>"
TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
"""No control characters but tabs and line feeds."""

NAME = r"^[^-./\s\x00-\x1f\x7f~^:?*\[\\@{][^\s\x00-\x1f\x7f~^:?*\[\\]*$"
REVISION = r"^[^-\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
COMMIT = r"^([0-9a-f]{40}|[0-9a-f]{64})$"

Glob = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")]

TAIL = 2_000
"""Characters of a failed command's output that an agent is shown."""

PASSED_ON = ("HOME", "LANG", "LOGNAME", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "USER")
"""All that a command gets of the server's environment, which may hold secrets."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Task(Strict):
    title: str = Field(min_length=3, max_length=200, pattern=TEXT)
    description: str = Field(default="", max_length=50_000)


class Payload(Strict):
    """What is to be changed in which repository, and where the commit goes."""

    repository: File = Field(description="Absolute path of the git repository: its top folder, or a bare one.")
    branch: str = Field(max_length=200, pattern=NAME, description="Gets the commit; made when it is not there.")
    base: str = Field(
        default="HEAD", max_length=200, pattern=REVISION, description="Revision that a branch which is made begins at."
    )
    task: Task
    paths: list[Glob] = Field(
        default=[], max_length=50, description="What may be touched, as git's glob pathspecs: src/**/*.py. All: []."
    )
    check: list[str] = Field(
        default=[], max_length=50, description="Command the patched files must pass; the machine's owner allows it."
    )
    check_timeout_seconds: float = Field(default=CHECK_SECONDS, gt=0, le=1_200)
    author: str = Field(default=AUTHOR, max_length=200, pattern=r"^[^<>\x00-\x1f\x7f]+ <[^<>\s\x00-\x1f\x7f]+>$")
    message: str = Field(
        default="$message", min_length=1, max_length=2_000, pattern=TEXT,
        description="Commit message: $message is the agent's, $title the task's, $order the order's id.",
    )  # fmt: skip

    @field_validator("message")
    @classmethod
    def only_known_names(cls, message: str) -> str:
        template = Template(message)
        if not template.is_valid() or not set(template.get_identifiers()) <= {"message", "title", "order"}:
            raise PydanticCustomError("template", "the names are $message, $title and $order; $$ is a dollar sign")
        return message


class Result(Strict):
    base: str = Field(pattern=COMMIT, description="Full id of the commit that the patch was made against.")
    patch: str = Field(min_length=1, max_length=300_000, description="What git diff prints, unaltered.")
    message: str = Field(min_length=3, max_length=10_000, pattern=TEXT, description="Subject, empty line, body.")


class CodeChange(OrderType):
    name = "code.change"
    title = "Change code"
    description = "Takes a patch for a git repository and, after review, commits it to a branch once."
    instructions = (
        "Do input.task in a clone or working tree of your own, on the head of input.branch, or on input.base (HEAD) "
        "where there is no such branch. Touch only what input.paths allows. Hand in `patch` as printed by "
        "`git add --all; git diff --cached`, `base` from `git rev-parse HEAD`, and a commit `message`. After `stale`, "
        "do it anew on the present head. Never commit or push to the repository itself; no binary files, links, modes "
        "or submodules."
    )
    payload = Payload
    result = Result
    lease_ttl_seconds = 1_800
    concurrency_key = "/repository"

    def check_result(self, item: WorkItem, result: dict[str, Any]) -> list[Finding]:
        asked = Payload.model_validate(item.input)
        patched = _patched_branch(asked, item.order_id, result)
        if asked.check and asked.check not in _allowed(patched.repository):
            raise Refused(_not_allowed(asked.check, patched.repository))
        patched.rehearse()
        return _checked(asked, patched) if asked.check else []

    def check_order(self, order: WorkOrder) -> list[Finding]:
        with suppress(Refused):  # whatever keeps git from answering, the preview names
            return _of(order).checked_out()
        return []

    def preview(self, order: WorkOrder) -> Diff:
        return _of(order).rehearse()

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _of(order).apply(ctx.idempotency_key)


def _of(order: WorkOrder) -> PatchedBranch:
    return _patched_branch(Payload.model_validate(order.payload), order.id, order.items[0].result)


def _patched_branch(asked: Payload, order_id: str, result: dict[str, Any]) -> PatchedBranch:
    names = {"message": result["message"], "title": asked.task.title, "order": order_id}
    return PatchedBranch(
        repository=Path(asked.repository).expanduser().resolve(),
        branch=asked.branch,
        start=asked.base,
        base=result["base"],
        patch=result["patch"],
        paths=asked.paths,
        author=asked.author,
        message=Template(asked.message).substitute(names),
    )


# the command


def _allowed(repository: Path) -> list[list[str]]:
    """The commands that the machine's owner allows for a repository."""
    with tempfile.TemporaryDirectory() as nowhere:
        key = f"workdocket.{repository}.check"
        values = Git(Path(nowhere)).found("config", "--global", "--includes", "--null", "--get-all", key) or ""
    return [_words(value) for value in values.split("\0")[:-1]]


def _words(value: str) -> list[str]:
    """Nothing where a quote is left open."""
    try:
        return shlex.split(value)
    except ValueError:
        return []


def _not_allowed(command: list[str], repository: Path) -> Finding:
    allow = shlex.join(["git", "config", "--global", "--add", f"workdocket.{repository}.check", shlex.join(command)])
    text = f"{shlex.join(command)} is not allowed in {repository}; the machine's owner can allow it with: {allow}"
    return Finding("check_not_allowed", "/check", text)


def _checked(asked: Payload, patched: PatchedBranch) -> list[Finding]:
    """What the command finds, run on the files of ``base`` with the patch, checked out in the scratch repository."""
    with patched.scratch() as git, tempfile.TemporaryFile() as output:
        git("update-ref", "--no-deref", "HEAD", patched.base)
        patched.patched(git)
        git("checkout-index", "--all")
        try:
            code = _run(asked.check, git.folder, output, asked.check_timeout_seconds)
        except OSError as error:
            return [Finding("check_failed", "", f"{asked.check[0]} cannot be started: {error.strerror}")]
        if code == 0:
            return []
        output.seek(max(output.seek(0, os.SEEK_END) - 2 * TAIL, 0))
        tail = shown(output.read().decode(errors="replace").replace("\0", ""))[-TAIL:].strip()
    ended = f"took longer than {asked.check_timeout_seconds:g} seconds" if code is None else f"ended with {code}"
    found = "check_timed_out" if code is None else "check_failed"
    return [Finding(found, "/patch", f"{shlex.join(asked.check)} {ended}. The end of its output:\n{tail}")]


def _run(command: list[str], folder: Path, output: Any, seconds: float) -> int | None:
    """The exit code of a command, or nothing when its time was over; whatever it started is gone afterwards."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()

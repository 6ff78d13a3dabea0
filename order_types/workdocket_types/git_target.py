"""A commit that goes onto a branch once: rehearsed in a scratch repository, then made beside any working tree."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from workdocket import Diff, Finding, Refused
from workdocket_types.git_command import Git, GitFailed, shown

TRIES = 5
MOST_FILES = 100
MOST_BYTES = 5_000_000
"""Of all touched files together, before and after."""

LONGEST_PATCH = 300_000
"""Characters of the patch as git renders it: no person reads more at a time."""

TRAILER = "Workdocket-"
FILES = ("100644", "100755")
NOTHING = "000000"

COMMITTER = {"GIT_COMMITTER_NAME": "workdocket", "GIT_COMMITTER_EMAIL": "workdocket@localhost"}
RENDERED = (
    "--patch", "--unified=3", "--inter-hunk-context=0", "--full-index", "--no-renames", "--text", "--no-ext-diff",
    "--no-textconv", "--no-color", "--diff-algorithm=myers", "--indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@.*\n", re.M)
NO_NEWLINE = "\n\\ No newline at end of file\n"
PATCH_FAILED = re.compile(r"patch failed: (?P<file>.+):(?P<line>\d+)$")


class Entry(NamedTuple):
    """One file that differs between two trees; its mode and id are all zeros where it is not there."""

    old_mode: str
    mode: str
    old_blob: str
    blob: str
    path: str

    @property
    def shown(self) -> str:
        return shown(self.path)

    @property
    def blobs(self) -> list[str]:
        both = ((self.old_mode, self.old_blob), (self.mode, self.blob))
        return [blob for mode, blob in both if mode in FILES]


@dataclass(frozen=True, slots=True)
class PatchedBranch:
    """A patch made against the commit ``base``, on its way to a branch as one commit.

    A branch that is not there yet begins at ``base``, which then has to be in the history of ``start``. ``paths`` are
    git's glob pathspecs; a patch may touch nothing else.
    """

    repository: Path
    branch: str
    start: str
    base: str
    patch: str
    paths: Sequence[str]
    author: str
    message: str

    def rehearse(self) -> Diff:
        """What ``apply`` would change. Nothing is written to the repository, not even an object.

        Raises ``Refused`` with what stands against it, ``stale`` where the branch has moved in a touched file.
        """
        with self._politely(), self.scratch() as scratch:
            commit = self._made(scratch, self._tip(), "rehearsed")
            return self._diff(scratch, commit)

    def apply(self, idempotency_key: str) -> Diff:
        """Make the commit and return its diff; where it is there under that key, return the diff it has."""
        with self._politely(), tempfile.TemporaryDirectory() as folder:
            git = Git(self.repository, Path(folder, "index"))
            for _ in range(TRIES):
                tip = self._tip()
                earlier = self._made_before(tip, idempotency_key)
                if earlier:
                    return self._diff(git, earlier, commit=earlier)
                if in_the_way := self.checked_out():
                    raise Refused(in_the_way)
                commit = self._made(git, tip, idempotency_key)
                diff = self._diff(git, commit, commit=commit)
                if self._moved(tip, commit):
                    return diff
            raise Refused(Finding("busy", "", f"{self.branch} kept moving while the commit was made"))

    def checked_out(self) -> list[Finding]:
        """A finding when the branch is checked out somewhere: its files would stay behind, as if they undid it."""
        worktrees = Git(self.repository).found("worktree", "list", "--porcelain") or ""
        if f"branch refs/heads/{self.branch}" not in worktrees.split("\n"):
            return []
        text = f"{self.branch} is checked out; switch that working tree to another branch, or name another one"
        return [Finding("checked_out", "/branch", text)]

    @contextmanager
    def scratch(self) -> Iterator[Git]:
        """A repository of its own in a temporary folder, which sees the objects of the real one."""
        real = Git(self.repository)
        with tempfile.TemporaryDirectory(prefix="workdocket-", ignore_cleanup_errors=True) as folder:
            git = Git(Path(folder).resolve() / "work")
            git.folder.mkdir()
            kind = real("rev-parse", "--show-object-format").strip()
            git("init", "--quiet", "--template=", f"--object-format={kind}", "--initial-branch=scratch")
            objects = self.repository / real("rev-parse", "--git-path", "objects").strip()
            info = git.folder / ".git" / "objects" / "info"
            info.mkdir(exist_ok=True)
            (info / "alternates").write_text(f"{objects.resolve()}\n", "utf-8")
            yield git

    def patched(self, git: Git) -> str:
        """The tree of ``base`` with the patch, which is in the index then as well."""
        git("read-tree", self.base)
        text = self.patch if self.patch.endswith("\n") else f"{self.patch}\n"
        try:
            git("apply", "--cached", "--whitespace=nowarn", "-", given=text.encode())
        except GitFailed as error:
            raise Refused(_not_applicable(str(error))) from error
        return git("write-tree").strip()

    @contextmanager
    def _politely(self) -> Iterator[None]:
        """What git has against it, as a finding instead of a defect of this type."""
        try:
            Git(self.repository)("rev-parse", "--git-dir")
        except GitFailed as error:
            text = f"{self.repository} is no git repository that this server may read: {error}"
            raise Refused(Finding("no_repository", "/repository", text)) from error
        try:
            yield
        except (GitFailed, OSError) as error:
            raise Refused(Finding("git", "", f"git: {error}")) from error

    def _tip(self) -> str | None:
        """The head of the branch, if there is one; ``base`` is in its history, or in that of ``start``."""
        git, ref = Git(self.repository), f"refs/heads/{self.branch}"
        if git.found("check-ref-format", ref) is None:
            raise Refused(Finding("branch", "/branch", f"{self.branch} is no name that git takes for a branch"))
        if other := git.found("symbolic-ref", "--quiet", ref):
            raise Refused(Finding("branch", "/branch", f"{self.branch} is another name of {other}; name that one"))
        tip = git.commit(ref)
        within = self.branch if tip else self.start
        line = tip or git.commit(self.start)
        if line is None:
            raise Refused(Finding("no_revision", "/base", f"there is no commit {self.start} to begin {self.branch} at"))
        if git.commit(self.base) is None:
            raise Refused(Finding("no_commit", "/base", f"there is no commit {self.base} in {self.repository}"))
        if git.found("merge-base", "--is-ancestor", self.base, line) is None:
            text = f"{self.base} is not in the history of {within}; make the patch against a commit that is"
            raise Refused(Finding("not_in_history", "/base", text))
        return tip

    def _made(self, git: Git, tip: str | None, key: str) -> str:
        """The commit, which no branch has yet: every touched file as the patch leaves it, all others as on the tip."""
        tree = self.patched(git)
        entries = _entries(git, self.base, tree)
        findings = [*self._beyond(git, tree, entries), *_unfit(git, entries), *_forged(self.message)]
        if findings:
            raise Refused(findings)
        if tip is not None:
            tree = self._merged(git, tip, entries)
        author, _, mail = self.author.rstrip(">").partition(" <")
        names = {**COMMITTER, "GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": mail}
        text = f"{self.message.strip()}\n\n{TRAILER}Apply: {key}\n"
        return git("commit-tree", "--no-gpg-sign", "-p", tip or self.base, tree, given=text.encode(), **names).strip()

    def _beyond(self, git: Git, tree: str, entries: Sequence[Entry]) -> list[Finding]:
        """A finding for each file outside of the paths that the order allows."""
        if not self.paths:
            return []
        inside = _changed(git, self.base, tree, *(f":(top,glob){path}" for path in self.paths))
        allowed = ", ".join(self.paths)
        return [
            Finding("not_allowed", "/patch", f"{entry.shown}: this order allows changes in {allowed} only")
            for entry in entries
            if entry.path not in inside
        ]

    def _merged(self, git: Git, tip: str, entries: Sequence[Entry]) -> str:
        """The tree of the tip with the touched files as the patch leaves them; the tip must not have touched them.

        Where a file takes the place of a folder, or the other way round, git drops what is in the way. If that is more
        than the patch itself took away, others have put it there since.
        """
        paths = {entry.path for entry in entries}
        moved = _changed(git, self.base, tip, *(f":(top,literal){path}" for path in sorted(paths)))
        git("read-tree", tip)
        gone_first = sorted(entries, key=lambda entry: entry.mode != NOTHING)
        lines = "".join(f"{entry.mode} {entry.blob}\t{entry.path}\0" for entry in gone_first)
        git("update-index", "-z", "--index-info", given=lines.encode(errors="surrogateescape"))
        tree = git("write-tree").strip()
        if moved := moved | (_changed(git, tip, tree) - paths):
            why = f"{self.branch} has changed it since {self.base}; make the patch anew"
            raise Refused([Finding("stale", "/patch", f"{shown(path)}: {why}") for path in sorted(moved)])
        return tree

    def _made_before(self, tip: str | None, key: str) -> str | None:
        """The commit of an earlier attempt: on the branch since ``base``, with the key as its trailer."""
        if tip is None:
            return None
        wanted = f"{TRAILER}Apply: {key}"
        told = Git(self.repository)("rev-list", "--format=%B%x00", f"{self.base}..{tip}")
        for one in told.split("\0"):
            first, *message = one.strip().split("\n")
            if wanted in message:
                return first.removeprefix("commit ")
        return None

    def _moved(self, tip: str | None, commit: str) -> bool:
        """Whether the branch could be moved from the tip to the commit; not when somebody else moved it before."""
        git, ref = Git(self.repository), f"refs/heads/{self.branch}"
        try:
            git("update-ref", "-m", "workdocket: apply", ref, commit, tip or "0" * len(commit))
        except GitFailed:
            if git.commit(ref) == tip:
                raise
            return False
        return True

    def _diff(self, git: Git, made: str, **more: str) -> Diff:
        """The commit against the one before, hunk by hunk; the whole as a patch, rendered by git, is beside it."""
        entries = _entries(git, f"{made}^", made)
        patch = git("diff-tree", "-r", *RENDERED, f"{made}^", made)
        if len(patch) > LONGEST_PATCH:
            text = f"the change takes {len(patch)} characters to show; {LONGEST_PATCH} at most"
            raise Refused(Finding("too_large", "/patch", text))
        sections = re.split(r"^(?=diff --git )", patch, flags=re.M)[1:]
        before: dict[str, object] = {}
        after: dict[str, object] = {}
        hunks = [_hunks(section) for section in sections]
        for entry, found in zip(entries, hunks, strict=True):
            old, new = ({line: _side(kinds, lines) for line, lines in found} for kinds in (" -", " +"))
            if entry.old_mode == NOTHING:
                whole = "".join(new.values())
                after[entry.shown] = {"executable": True, "text": whole} if entry.mode == "100755" else whole
            elif entry.mode == NOTHING:
                before[entry.shown] = "".join(old.values())
            else:
                before[entry.shown], after[entry.shown] = old, new
        signs = Counter(line[0] for found in hunks for _, lines in found for line in lines)
        files = "1 file" if len(entries) == 1 else f"{len(entries)} files"
        summary = f"{self.branch}: {files} changed, +{signs['+']} -{signs['-']} lines"
        whole_patch = {"branch": self.branch, **more, "patch": shown(patch)}
        return replace(Diff.between(before, after, summary), before={"base": self.base}, after=whole_patch)


def _entries(git: Git, old: str, new: str) -> list[Entry]:
    words = git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new).split("\0")[:-1]
    return [_entry(about, path) for about, path in zip(words[::2], words[1::2], strict=True)]


def _entry(about: str, path: str) -> Entry:
    old_mode, mode, old_blob, blob, _ = about.removeprefix(":").split(" ")
    return Entry(old_mode, mode, old_blob, blob, path)


def _changed(git: Git, old: str, new: str, *pathspecs: str) -> set[str]:
    return set(git("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new, "--", *pathspecs).split("\0")[:-1])


def _unfit(git: Git, entries: Sequence[Entry]) -> Iterator[Finding]:
    """What no patch may do, whatever the order allows."""
    if not entries:
        yield Finding("nothing", "/patch", "the patch changes nothing")
    if len(entries) > MOST_FILES:
        yield Finding("too_many_files", "/patch", f"{len(entries)} files are touched; {MOST_FILES} at most")
        return
    for entry in entries:
        modes = {entry.old_mode, entry.mode} - {NOTHING}
        if "160000" in modes or entry.path.rpartition("/")[2].casefold() == ".gitmodules":
            yield Finding("submodule", "/patch", f"{entry.shown}: submodules are not touched")
        elif not modes <= set(FILES):
            yield Finding("symbolic_link", "/patch", f"{entry.shown}: symbolic links are not touched")
        elif len(modes) > 1:
            yield Finding("mode_change", "/patch", f"{entry.shown}: the mode of a file is not changed")
    yield from _unreadable(git, entries)


def _unreadable(git: Git, entries: Sequence[Entry]) -> Iterator[Finding]:
    """What a reviewer could not read: too much, or binary."""
    ids = "".join(f"{blob}\n" for entry in entries for blob in entry.blobs).encode()
    sizes = [int(line.split()[2]) for line in git("cat-file", "--batch-check", given=ids).splitlines()]
    if sum(sizes) > MOST_BYTES:
        yield Finding("too_large", "/patch", f"the touched files have {sum(sizes)} bytes; {MOST_BYTES} at most")
        return
    if "\0" not in git("cat-file", "--batch", given=ids):
        return
    for entry in entries:
        if any("\0" in git("cat-file", "blob", blob) for blob in entry.blobs):
            yield Finding("binary", "/patch", f"{entry.shown}: binary files are not touched")


def _not_applicable(said: str) -> list[Finding]:
    """Each complaint of git as a finding that names the file and, where git does, the hunk."""
    lines = [line.partition(": ")[2] for line in said.splitlines() if line.startswith(("error: ", "fatal: "))]
    hunks = {one["file"]: one["line"] for one in map(PATCH_FAILED.match, lines) if one}
    findings = [
        Finding("does_not_apply", "/patch", f"{file}: the hunk at line {line} does not fit the file at base")
        for file, line in hunks.items()
    ]
    for line in lines:
        if not PATCH_FAILED.match(line) and line.removesuffix(": patch does not apply") not in hunks:
            findings.append(Finding(_code(line), "/patch", shown(line.replace(" in index", " at base"))))
    return findings or [Finding("does_not_apply", "/patch", shown(said))]


CODES: Mapping[str, str] = {
    "beyond a symbolic link": "path",
    "binary patch": "binary",
    "corrupt patch": "no_patch",
    "invalid path": "path",
    "No valid patches": "no_patch",
}
"""What git says, and the code of the finding that is made of it."""


def _code(line: str) -> str:
    return next((code for words, code in CODES.items() if words in line), "does_not_apply")


def _forged(message: str) -> Iterator[Finding]:
    if any(line.strip().casefold().startswith(TRAILER.casefold()) for line in message.split("\n")):
        yield Finding("trailer", "/message", f"no line of a message begins with {TRAILER}")


Lines = list[str]


def _hunks(section: str) -> list[tuple[str, Lines]]:
    """The hunks of one file: the line each begins at, and its lines. NUL stands for an end without newline."""
    _, *pieces = HUNK.split(section)
    bodies = (body.replace(NO_NEWLINE, "\0\n").split("\n")[:-1] for body in pieces[1::2])
    return list(zip(pieces[::2], bodies, strict=True))


def _side(kinds: str, lines: Lines) -> str:
    return shown("".join(f"{line[1:]}\n" for line in lines if line[0] in kinds).replace("\0\n", ""))

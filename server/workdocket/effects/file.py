"""A text file, replaced only where it is what it was taken for: compare and swap.

>>> motto = folder / "motto.txt"
>>> _ = motto.write_text("slow and steady\\n")
>>> replace(motto, ctx, "slow and steady\\n", "fast and steady\\n").summary
'motto.txt: changed'
>>> replace(motto, ctx, "slow and steady\\n", "fast and steady\\n").summary  # once more: the same diff, nothing written
'motto.txt: changed'
>>> replace(motto, ctx, "slow and steady\\n", "fast\\n")
Traceback (most recent call last):
workdocket.domain.errors.Refused: motto.txt is not what it was taken for
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from workdocket.domain.diff import Diff
from workdocket.domain.errors import Finding, Refused
from workdocket.order_type import ApplyContext

if sys.platform == "win32":

    @contextmanager
    def _alone(folder: Path) -> Iterator[None]:
        """Nothing here locks a folder: of two at once, the last one wins."""
        yield

    def _settle(folder: Path) -> None: ...

else:
    import fcntl

    @contextmanager
    def _alone(folder: Path) -> Iterator[None]:
        """One at a time in this folder, over all processes of this machine; the lock dies with its process."""
        file = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _settle(folder: Path) -> None:
        """What the names in the folder stand for is on the disk."""
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def replace(
    path: Path | str, ctx: ApplyContext, expected: str | None, new: str | None, *, inside: Path | str | None = None
) -> Diff:
    """Turn the content of a file from ``expected`` into ``new``, whole or not at all, and return the diff of the two.

    ``None`` is a file that is not there: ``expected=None`` makes one, together with its folder, and ``new=None``
    removes one. A file that is ``new`` already was changed by an earlier attempt: nothing is written, and the diff is
    the same. Text is UTF-8, with line ends as they are. The mode of a file that is replaced stays.

    Callers at the same time go one after the other (not on Windows). A program that writes without asking here can
    still come in between.

    ``inside`` is a folder that the file has to be in, links on the way to it counted as what they lead to; ``path``
    may then be relative to it.

    Raises ``Refused`` with the finding ``stale`` when the content is neither of the two, ``not_a_file`` when a link, a
    folder or the like has the name, and ``outside``.
    """
    place = _place(path, inside)
    if expected is None and new is not None:
        _checked(place, expected, new)
        place.parent.mkdir(parents=True, exist_ok=True)
    elif not place.parent.is_dir():
        return rehearse(path, expected, new, inside=inside)
    with _alone(place.parent):
        if _checked(place, expected, new) != _bytes(new):
            _put(place, ctx.idempotency_key, _bytes(new))
            _settle(place.parent)
    return _diff(place, expected, new)


def rehearse(path: Path | str, expected: str | None, new: str | None, *, inside: Path | str | None = None) -> Diff:
    """The diff that ``replace`` would return, or what it would refuse. Writes nothing: for ``preview``."""
    place = _place(path, inside)
    _checked(place, expected, new)
    return _diff(place, expected, new)


def revert(
    path: Path | str, ctx: ApplyContext, expected: str | None, new: str | None, *, inside: Path | str | None = None
) -> Diff:
    """Take back what ``replace`` did with the same arguments. A file that is no longer ``new`` is left alone and named
    in the ``conflicts`` of the diff."""
    return _or_conflict(lambda: replace(path, ctx, new, expected, inside=inside))


def rehearse_revert(
    path: Path | str, expected: str | None, new: str | None, *, inside: Path | str | None = None
) -> Diff:
    """The diff that ``revert`` would return. Writes nothing: for ``preview_revert``."""
    return _or_conflict(lambda: rehearse(path, new, expected, inside=inside))


def _or_conflict(change: Callable[[], Diff]) -> Diff:
    try:
        return change()
    except Refused as refused:
        return Diff("nothing was taken back", conflicts=refused.findings)


def _place(path: Path | str, inside: Path | str | None) -> Path:
    """Where the file is, its folder free of links; its own name is looked at only once it is locked."""
    given = Path(inside or "", path)
    place = given.parent.resolve() / given.name
    if given.name in ("", "..") or (inside is not None and not place.parent.is_relative_to(Path(inside).resolve())):
        raise Refused(Finding("outside", "", f"{path} is not in {inside or 'any folder'}"))
    return place


def _checked(place: Path, expected: str | None, new: str | None) -> bytes | None:
    """The content, when it is one of the two."""
    found = _content(place)
    if found not in (_bytes(expected), _bytes(new)):
        raise Refused(Finding("stale", "", f"{place.name} {_surprise(found, expected)}"))
    return found


def _surprise(found: bytes | None, expected: str | None) -> str:
    if found is None:
        return "is not there"
    return "is there already" if expected is None else "is not what it was taken for"


def _content(place: Path) -> bytes | None:
    try:
        kind = place.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(kind):
        raise Refused(Finding("not_a_file", "", f"{place.name} is a link, a folder or the like"))
    return place.read_bytes()


def _put(place: Path, key: str, content: bytes | None) -> None:
    """Written beside it, then moved over it. What an attempt that died left there is written anew."""
    if content is None:
        place.unlink()
        return
    written = place.with_name(f".workdocket-{sha256(f'{key} {place.name}'.encode()).hexdigest()[:24]}")
    with suppress(FileNotFoundError):
        written.unlink()
    mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
    try:
        with open(
            written, "xb", opener=lambda name, flags: os.open(name, flags, 0o666 if mode is None else mode)
        ) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            written.chmod(mode)
        os.replace(written, place)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def _diff(place: Path, expected: str | None, new: str | None) -> Diff:
    if expected == new:
        how = "unchanged"
    else:
        how = "made" if expected is None else "removed" if new is None else "changed"
    return Diff.between(expected, new, f"{place.name}: {how}")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()

"""A configuration file on disk: read whole, kept before it is changed, replaced whole, and only if nobody else was."""

from __future__ import annotations

import codecs
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from workdocket.surfaces.config import Broken

KEPT = "before-workdocket"


class Moved(Exception):
    """Somebody else has written the file since it was read."""


class ReadOnly(Exception):
    """The file says that it is not to be written."""


@dataclass(frozen=True)
class ConfigFile:
    """The file at ``path``. Through a symbolic link its target is written, and the link stays."""

    path: Path

    def read(self) -> bytes | None:
        """All of it; ``None`` where there is none."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def replace(self, before: bytes | None, after: bytes | None) -> None:
        """What was ``before`` is ``after`` from now on; ``None`` is no file. Raises :class:`Moved` or OSError."""
        target = Path(os.path.realpath(self.path))
        self.check_writable()
        if after is None:
            self._still(before)
            target.unlink()
            return
        there = target.stat() if before is not None else None
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(handle, "wb") as file:
                file.write(after)
                file.flush()
                os.fsync(handle)
            if there:
                _like(name, there)
            self._still(before)
            os.replace(name, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise

    def check_writable(self) -> None:
        """Raises :class:`ReadOnly` where the file says so: the folder alone would not stop a replacement."""
        if self.path.exists() and not (self.path.stat().st_mode & 0o222 and os.access(self.path, os.W_OK)):
            raise ReadOnly

    def keep(self, content: bytes) -> Path:
        """The copy beside the file that has this content: an older one, or a new one. None is ever overwritten."""
        for copy in self._copies():
            try:
                with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(content)
                    os.fsync(file.fileno())
            except FileExistsError:
                if copy.read_bytes() == content:
                    return copy
                continue
            with suppress(OSError):
                _like(copy, self.path.stat())
            return copy
        raise AssertionError("there are numbers enough")

    def kept(self) -> list[Path]:
        """The copies that are there, newest first."""
        found = []
        for copy in self._copies():
            if not copy.is_file():
                break
            found.append(copy)
        return found[::-1]

    def _copies(self) -> Iterator[Path]:
        for n in count(1):
            yield self.path.with_name(f"{self.path.name}.{KEPT}{f'-{n}' if n > 1 else ''}")

    def _still(self, before: bytes | None) -> None:
        if self.read() != before:
            raise Moved

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other ``workdocket install`` writes in this folder meanwhile, where the platform can lock one.

        Other programs know nothing of it: what they wrote is noticed just before the file is replaced.
        """
        try:
            import fcntl
        except ImportError:
            yield
            return
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def _like(path: str | Path, other: os.stat_result) -> None:
    os.chmod(path, stat.S_IMODE(other.st_mode))
    if hasattr(os, "chown"):
        with suppress(OSError):  # not for us to give away; then it is ours, as with every editor
            os.chown(path, other.st_uid, other.st_gid)


def decoded(content: bytes) -> tuple[bytes, str]:
    """The byte order mark, if there is one, and the text. Raises :class:`Broken`."""
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    try:
        return mark, content[len(mark) :].decode("utf-8")
    except UnicodeDecodeError:
        raise Broken("it is not UTF-8") from None

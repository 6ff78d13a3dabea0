"""Which processes on this machine are still there: each holds a lock on a file of its own for as long as it lives."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class Presence:
    """This process's name next to a database file, and whether another's still runs. The lock dies with the process."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._name = secrets.token_hex(8)
        self._file: int | None = None

    @property
    def owner(self) -> str:
        """Shows the process as alive from the first time it is asked for its name."""
        if self._file is None and sys.platform != "win32":
            self._file = os.open(self._path(self._name), os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._name

    def alive(self, owner: str) -> bool | None:
        if sys.platform == "win32":
            return None
        if owner == self._name:
            return True
        try:
            file = os.open(self._path(owner), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            self._path(owner).unlink(missing_ok=True)
            return False
        finally:
            os.close(file)

    def close(self) -> None:
        if self._file is not None:
            self._path(self._name).unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _path(self, owner: str) -> Path:
        return self._database.with_name(f"{self._database.name}.{owner}.alive")

"""Fair turns between processes that write to one file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":

    def _lock(file: int) -> None: ...

    def _unlock(file: int) -> None: ...

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class Turnstile:
    """Two locks in a row; who waits for the gate holds the door, so who just left cannot barge in.

    Blocks the calling thread. The locks die with the process. Where ``flock`` is missing it lets everybody
    through: ``BEGIN IMMEDIATE`` and the busy timeout keep writers correct, just not fair.
    """

    def __init__(self, database: Path) -> None:
        self._names = [database.with_name(database.name + suffix) for suffix in (".door", ".gate")]
        self._files: list[int] = []

    def __enter__(self) -> None:
        door, gate = self._opened()
        _lock(door)
        try:
            _lock(gate)
        finally:
            _unlock(door)

    def __exit__(self, *_: object) -> None:
        _unlock(self._files[1])

    def close(self) -> None:
        """Give the files back; only the thread that uses the turnstile may call this."""
        while self._files:
            os.close(self._files.pop())

    def _opened(self) -> list[int]:
        while len(self._files) < len(self._names):
            self._files.append(os.open(self._names[len(self._files)], os.O_RDWR | os.O_CREAT, 0o600))
        return self._files

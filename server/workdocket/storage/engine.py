"""Which SQLite to use: the newest within reach, because older ones can lose committed pages in WAL mode."""

from __future__ import annotations

import importlib
import sqlite3
from types import ModuleType
from typing import TYPE_CHECKING

MINIMUM = (3, 37, 0)


def _newest() -> ModuleType:
    try:
        bundled = importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return sqlite3
    newer: bool = bundled.sqlite_version_info > sqlite3.sqlite_version_info
    return bundled if newer else sqlite3


if TYPE_CHECKING:
    import sqlite3 as dbapi
    from sqlite3 import Connection
else:
    dbapi = _newest()
    Connection = dbapi.Connection

SQLITE_VERSION: tuple[int, ...] = dbapi.sqlite_version_info


def wal_reset_safe(version: tuple[int, ...] = SQLITE_VERSION) -> bool:
    """Whether this SQLite is free of the WAL-reset race (https://sqlite.org/wal.html)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51)


__all__ = ["MINIMUM", "SQLITE_VERSION", "Connection", "dbapi", "wal_reset_safe"]

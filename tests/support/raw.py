"""The database as any program sees it, behind the product's back.

Only through the library that the product itself uses: two SQLite libraries in one process do not know of each other's
locks, and closing a file in one of them takes away the locks of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from workdocket.storage.engine import Connection, dbapi


@contextmanager
def opened(folder: Path, library: Any = dbapi) -> Iterator[Connection]:
    """``library`` may be another one where the product is closed. What is changed is kept."""
    with closing(library.connect(folder / "work.db", timeout=1)) as connection:
        connection.row_factory = library.Row
        yield connection
        connection.commit()


def rows(folder: Path, statement: str) -> list[dict[str, Any]]:
    with opened(folder) as connection:
        return [dict(row) for row in connection.execute(statement)]


def everything(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    tables = rows(folder, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return {table["name"]: rows(folder, f"SELECT * FROM {table['name']}") for table in tables}

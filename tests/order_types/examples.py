"""Examples of the built-in types, as the kit takes them: functions of an empty folder, by the name of the type."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.order_types.test_customer_research import PARTS
from workdocket.testing import Example


def rows(database: Path, table: str) -> list[Any]:
    """The rows of a table, none where there is no such table."""
    with closing(sqlite3.connect(database)) as connection:
        try:
            return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
        except sqlite3.OperationalError:
            return []


def record_insert(folder: Path) -> Example:
    database = folder / "shop.db"
    first, second = [{"id": n, "name": f"Tea {n}", "price": n + 0.5} for n in (1, 2)]
    return Example(
        {"database": str(database), "table": "tea", "key": ["id"], "records": [first, second], "batch_size": 1},
        results={
            "batch-1": {"records": [{**first, "name": "Assam"}], "dropped": []},
            "batch-2": {"records": [], "dropped": [{"key": "2", "reason": "sold out"}]},
        },
        observe=lambda: rows(database, "tea"),
        again="nothing",
    )


def customer_research(folder: Path) -> Example:
    database = folder / "knowledge.db"
    return Example(
        {"customer": "Example", "database": str(database), "depth": "deep"},
        parts={1: {**PARTS, "news": [PARTS["news"], {**PARTS["news"], "headline": "Another example"}]}},
        observe=lambda: rows(database, "customer_knowledge"),
        again="nothing",
    )


EXAMPLES: Mapping[str, Sequence[Callable[[Path], Example]]] = {
    "customer.research": [customer_research],
    "database.record.insert": [record_insert],
}

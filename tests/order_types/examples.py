"""Examples of the built-in types, as the kit takes them: functions of an empty folder, by the name of the type."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.order_types.test_customer_research import PARTS
from tests.support.repositories import git
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


def user_sync(folder: Path) -> Example:
    source, database = folder / "users.json", folder / "app.db"
    source.write_text(json.dumps([{"id": "1", "email": " Ada@Example.com"}, {"id": "2", "email": "nobody"}]), "utf-8")
    return Example(
        {
            "source": str(source), "sha256": sha256(source.read_bytes()).hexdigest(), "rows": 2, "key": "id",
            "database": str(database), "table": "users", "columns": {"id": "integer", "email": "email"},
            "batch_size": 1,
        },
        results={
            "1-1": {"records": [{"id": 1, "email": "ada@example.com"}], "dropped": []},
            "2-2": {"records": [], "dropped": [{"key": "2", "reason": "no address"}]},
        },
        observe=lambda: rows(database, "users"),
        again="nothing",
    )  # fmt: skip


def fact_check(folder: Path) -> Example:
    report = folder / "reports" / "tea.md"
    day = {"quote": "Tea has been known for long.", "date": "2025-12-24"}
    sources = [{"url": f"https://example.com/{n}", **day} for n in (1, 2)]
    return Example(
        {"claims": ["Tea is a plant.", "Tea was invented in 1950."], "as_of": "2026-01-31", "report": str(report)},
        results={
            "claim-1": {"verdict": "supported", "reason": "Both say so.", "sources": sources},
            "claim-2": {"verdict": "unclear", "reason": "Nothing was found."},
        },
        observe=lambda: {path.name: path.read_text("utf-8") for path in sorted(report.parent.glob("*"))},
        again="nothing",
    )


def city_tiers(folder: Path) -> Example:
    database = folder / "cities.db"
    scores = {"ulm/climate": 80, "ulm/housing": 40, "bonn/climate": 60, "bonn/housing": 60}
    return Example(
        {
            "ranking": "where to live",
            "cities": [{"id": name.lower(), "name": name} for name in ("Ulm", "Bonn")],
            "weights": {"climate": 3, "housing": 1},
            "database": str(database),
        },
        results={
            key: {"score": score, "reason": "Measured from the facts, alike for both."} for key, score in scores.items()
        },
        observe=lambda: rows(database, "city_tiers"),
        again="nothing",
    )


HISTORY = """\
commit refs/heads/main
committer Ada <ada@example.com> 1767225600 +0000
data 5
Begin
M 100644 inline motto.txt
data 16
slow
and steady
"""
"""The same commit, with the same id, wherever it is made."""

PATCH = """\
diff --git a/motto.txt b/motto.txt
--- a/motto.txt
+++ b/motto.txt
@@ -1,2 +1,2 @@
-slow
+fast
 and steady
"""


def code_change(folder: Path) -> Example:
    repository = folder / "shop.git"
    git(folder, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(repository))
    git(repository, "fast-import", "--quiet", given=HISTORY)
    return Example(
        {"repository": str(repository), "branch": "fix", "task": {"title": "Be faster"}, "paths": ["*.txt"]},
        result={"base": git(repository, "rev-parse", "main"), "patch": PATCH, "message": "Be faster"},
        observe=lambda: git(repository, "log", "--all", "--patch", "--format=%D%n%an <%ae>%n%B"),
        again="nothing",
        varies=["/after/commit"],
    )


STOCK = """\
name = "stock.count"
title = "Count what is in stock"
instructions = "Count each article."

[payload]
type = "object"
required = ["database", "articles"]
[payload.properties.database]
type = "string"
pattern = "^/"
[payload.properties.articles]
type = "array"
minItems = 1
items = { type = "object", required = ["id"], properties = { id = { type = "integer" } } }

[result]
type = "object"
required = ["articles"]
[result.properties.articles]
type = "array"
[result.properties.articles.items]
type = "object"
required = ["id", "pieces"]
additionalProperties = false
properties = { id = { type = "integer" }, pieces = { type = "integer", minimum = 0, maximum = 1000000 } }

[batch]
over = "/articles"
size = 2
every = "/id"

[effect]
kind = "sqlite.upsert"
database = { payload = "/database" }
table = "stock"
key = ["id"]
records = { result = "/articles" }
"""


def stock_count(folder: Path) -> Example:
    database = folder / "stock.db"
    return Example(
        {"database": str(database), "articles": [{"id": n} for n in (1, 2, 3)]},
        results={
            1: {"articles": [{"id": 1, "pieces": 10}, {"id": 2, "pieces": 20}]},
            2: {"articles": [{"id": 3, "pieces": 0}]},
        },
        observe=lambda: rows(database, "stock"),
        again="nothing",
    )


EXAMPLES: Mapping[str, Sequence[Callable[[Path], Example]]] = {
    "city.tier.generation": [city_tiers],
    "code.change": [code_change],
    "content.fact.check": [fact_check],
    "customer.research": [customer_research],
    "database.record.insert": [record_insert],
    "user.data.sync": [user_sync],
}

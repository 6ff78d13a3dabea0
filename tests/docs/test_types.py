"""The pages of the built-in order types name what the types take."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest

from tests.support.built_in import types
from tests.support.pages import REPOSITORY
from workdocket.registry import GROUP

PAGES = REPOSITORY / "docs" / "types"
NAMES = sorted(
    point.name for point in metadata.entry_points(group=GROUP) if point.dist and point.dist.name == "workdocket"
)


def fields(schema: Any) -> Iterator[str]:
    """Every property that a schema names, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for inner in schema.values():
            yield from fields(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from fields(inner)


@pytest.mark.scenario("docs-current")
@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_type_names_every_field(name: str) -> None:
    entry = types().get(name)
    page = (PAGES / f"{name}.md").read_text("utf-8")

    asked = {*fields(entry.payload.json_schema), *fields(entry.result.json_schema)}

    assert sorted(field for field in asked if f"`{field}`" not in page) == []


@pytest.mark.scenario("docs-current")
def test_the_list_of_types_names_each_with_its_page() -> None:
    listed = (PAGES / "README.md").read_text("utf-8")

    assert [name for name in NAMES if f"[{name}]({name}.md)" not in listed] == []

"""What is said about order types that nobody has run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from workdocket import ApplyContext, Diff, ItemSpec, OrderType, PartSpec, WorkOrder
from workdocket.lint import Impossible, check, remarks
from workdocket.registry import entry_of

POSSIBLE: list[dict[str, Any]] = [
    {},
    {"type": "object"},
    {"required": ["a"], "properties": {"a": {"type": ["string", "null"]}}},
    {"allOf": [{"type": ["object", "null"]}, {"required": ["a"]}]},
    {"required": ["a"], "additionalProperties": False, "patternProperties": {"^a$": {}}},
    {"properties": {"a": False}},
    {"anyOf": [{"type": "string"}, {"type": "object"}]},
    {"properties": {"a": {"minimum": 3, "maximum": 2}}},
    {"required": ["a"], "properties": {"a": {"minimum": 3, "maximum": 2}}},
    {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"kid": {"$ref": "#/$defs/n"}}}}},
    {"required": ["a"], "properties": {"a": {"allOf": [{"type": "number"}, {"type": "integer"}]}}},
]
IMPOSSIBLE: list[dict[str, Any]] = [
    {"type": "array"},
    {"enum": ["a", "b"]},
    {"allOf": [{"type": "object"}, {"type": "string"}]},
    {"required": ["a"], "additionalProperties": False},
    {"required": ["a"], "properties": {"a": False}},
    {"required": ["a"], "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 2}}},
    {"required": ["a"], "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"allOf": [False]}}},
    {"minProperties": 3, "maxProperties": 1},
    {"anyOf": [{"type": "string"}, {"type": "array"}]},
    {"not": {}},
]


def as_object(schema: dict[str, Any]) -> str:
    return Impossible(schema).why({"allOf": [schema], "type": "object"}, "", 0)


@pytest.mark.parametrize("schema", POSSIBLE, ids=str)
def test_a_schema_that_something_may_fit_is_let_be(schema: dict[str, Any]) -> None:
    assert as_object(schema) == ""


@pytest.mark.parametrize("schema", IMPOSSIBLE, ids=str)
def test_a_schema_that_no_object_fits_is_found(schema: dict[str, Any]) -> None:
    assert as_object(schema) != ""


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid")

    topic: str
    size: int = Field(default=5, ge=1)


class Noted(OrderType):
    name = "lint.noted"
    instructions = "Send it."
    payload = Payload
    result = {
        "type": "object",
        "properties": {"a": {"type": "string", "x-messages": {"patern": "x", "maxLength": "y", "type": "z"}}},
    }
    parts = {"summary": PartSpec(), "thanks": PartSpec(required=False)}

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [ItemSpec(order.payload["topic"] * order.payload["size"])]

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff()


@pytest.mark.scenario("types-checked")
def test_every_rule_says_what_it_found_and_where() -> None:
    found = {remark.code: remark for remark in remarks(entry_of(Noted))}

    assert {code: remark.level for code, remark in found.items()} == {
        "unknown_keyword": "error",
        "mute_message": "note",
        "no_title": "note",
        "part_not_named": "note",
        "unseen_default": "note",
    }
    source = Path(__file__).read_text().splitlines()
    line = int(found["unseen_default"].place.rpartition(":")[2])
    assert 'order.payload["size"]' in source[line - 1]
    assert "'summary'" in found["part_not_named"].message


SOUND = """
from workdocket import Diff, OrderType

class {name}(OrderType):
    name = "lint.{name}"
    title = "T"
    instructions = "I"
    payload = {payload}

    def apply(self, order, ctx):
        return Diff()
"""


@pytest.mark.scenario("types-checked")
def test_several_broken_types_are_told_in_one_run_and_the_sound_ones_are_looked_at(tmp_path: Path) -> None:
    for name, payload in [
        ("one", {"type": "objekt"}),
        ("two", {"minium": 3}),
        ("three", {"type": "array"}),
        ("four", {}),
    ]:
        (tmp_path / f"{name}.py").write_text(SOUND.format(name=name, payload=payload))
    (tmp_path / "five.py").write_text("import nothing_of_that_name")

    found = check([str(tmp_path)], entry_points=False)

    assert list(found.types) == ["lint.four", "lint.three"]
    files = {one["file"]: (one["code"], one["line"]) for one in found.as_dict()["remarks"]}
    assert files == {
        str(tmp_path / "one.py"): ("broken_type", 4),
        str(tmp_path / "two.py"): ("broken_type", 4),
        str(tmp_path / "three.py"): ("impossible_schema", 4),
        str(tmp_path / "five.py"): ("broken_type", 1),
    }
    assert found.errors == 4

"""Schemas: what a check finds, how it says so, and which schemas are refused outright."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Annotated, Any, Literal

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, model_validator

from workdocket import Finding
from workdocket.keyword import FORMAT_NAMES, FORMATS
from workdocket.schema import SchemaError, Validator

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "pattern": "^[A-Z]"},
        "email": {"type": "string", "format": "email"},
        "age": {"type": "number", "minimum": 18, "maximum": 99},
        "role": {"enum": ["admin", "member"]},
        "plan": {"enum": ["free", "paid"]},
        "active": {"type": "boolean"},
        "tags": {"type": "array", "minItems": 2, "items": {"type": "string"}},
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string", "minLength": 3}, "note": {"type": "string"}},
            "required": ["street"],
        },
    },
    "required": ["name", "email"],
}
ANN = {"name": "Ann", "email": "ann@example.org"}


def found(schema: Any, value: Any, **options: Any) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in Validator(schema, "test").findings(value, **options)]


def only(schema: Any, value: Any) -> Finding:
    [finding] = Validator(schema, "test").findings(value)
    return finding


def refusal(schema: Any) -> SchemaError:
    with pytest.raises(SchemaError) as caught:
        Validator(schema, "demo.payload")
    return caught.value


# V1 to V18


@pytest.mark.scenario("V1")
def test_every_missing_required_field_is_named() -> None:
    assert found(PERSON, {}) == [("required", "/email"), ("required", "/name")]


@pytest.mark.scenario("V2")
def test_four_fields_of_the_wrong_type_are_four_findings() -> None:
    value = {"name": 1, "email": 2, "age": "x", "active": "yes"}
    assert found(PERSON, value) == [("type", "/active"), ("type", "/age"), ("type", "/email"), ("type", "/name")]


@pytest.mark.scenario("V3")
def test_two_values_outside_their_enums_are_two_findings() -> None:
    assert found(PERSON, {**ANN, "role": "boss", "plan": "gold"}) == [("enum", "/plan"), ("enum", "/role")]


@pytest.mark.scenario("V4")
def test_missing_field_bad_enum_and_wrong_type_are_reported_together() -> None:
    value = {"name": "Ann", "role": "boss", "age": "old"}
    assert found(PERSON, value) == [("type", "/age"), ("required", "/email"), ("enum", "/role")]


@pytest.mark.scenario("V5")
def test_an_optional_field_may_be_absent() -> None:
    assert found(PERSON, ANN) == []


@pytest.mark.scenario("V6")
def test_fields_of_every_type_are_accepted() -> None:
    value = {**ANN, "age": 30, "active": True, "tags": ["a", "b"], "address": {"street": "Main"}}
    assert found(PERSON, value) == []


@pytest.mark.scenario("V8", "V9", "V10", "V12", "V13")
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("age", 17.9, "minimum"),
        ("age", 18, None),
        ("age", 19, None),
        ("age", 99.1, "maximum"),
        ("age", 99, None),
        ("age", 98, None),
        ("name", "A", "minLength"),
        ("name", "Al", None),
        ("name", "ann", "pattern"),
        ("tags", ["a"], "minItems"),
        ("tags", ["a", "b"], None),
    ],
)
def test_bounds_hold_exactly(field: str, value: Any, code: str | None) -> None:
    assert found(PERSON, {**ANN, field: value}) == ([(code, f"/{field}")] if code else [])


@pytest.mark.scenario("V15")
def test_a_nested_fault_has_a_nested_path() -> None:
    assert found(PERSON, {**ANN, "address": {"street": "x"}}) == [("minLength", "/address/street")]


@pytest.mark.scenario("V16")
def test_a_nested_object_with_its_optional_key_is_accepted() -> None:
    assert found(PERSON, {**ANN, "address": {"street": "Main", "note": "blue door"}}) == []


@pytest.mark.scenario("V18")
def test_a_wrong_type_hides_the_other_faults_of_that_field() -> None:
    schema = {"properties": {"a": {"type": "string", "enum": ["x"], "const": "x"}, "b": {"enum": [1]}}}
    assert found(schema, {"a": 3, "b": 2}) == [("type", "/a"), ("enum", "/b")]


# the form of findings


def test_findings_are_ordered_by_path_with_indexes_as_numbers() -> None:
    paths = [path for _, path in found({"items": {"type": "string"}}, [0] * 12)]
    assert paths == [f"/{index}" for index in range(12)]


def test_paths_are_escaped_json_pointers() -> None:
    schema = {"properties": {"a/b~c%é": {"items": {"type": "string"}}}}
    assert found(schema, {"a/b~c%é": [1]}) == [("type", "/a~1b~0c%é/0")]


def test_an_extra_property_is_named_with_the_nearest_allowed_one() -> None:
    schema = {"properties": {"color": {}, "size": {}}, "additionalProperties": False}
    assert found(schema, {"colour": 1, "zzz": 2}) == [
        ("additionalProperties", "/colour"),
        ("additionalProperties", "/zzz"),
    ]
    assert "did you mean 'color'?" in only(schema, {"colour": 1}).message


def test_an_unevaluated_property_is_named_too() -> None:
    schema = {"allOf": [{"properties": {"a": {}}}], "properties": {"color": {}}, "unevaluatedProperties": False}
    finding = only(schema, {"a": 1, "colour": 1})
    assert (finding.code, finding.path) == ("unevaluatedProperties", "/colour")
    assert "did you mean 'color'?" in finding.message


def test_an_additional_property_is_checked_against_its_schema() -> None:
    schema = {"properties": {"a": {}}, "patternProperties": {"^x_": {}}, "additionalProperties": {"type": "string"}}
    assert found(schema, {"a": 1, "x_b": 1, "c": "ok", "d": 1}) == [("type", "/d")]


def test_a_bad_property_name_is_found_at_the_property() -> None:
    assert found({"propertyNames": {"pattern": "^[a-z]+$"}}, {"good": 1, "Bad": 1}) == [("pattern", "/Bad")]


def test_a_property_required_beside_another_is_named() -> None:
    assert found({"dependentRequired": {"a": ["b"]}}, {"a": 1}) == [("dependentRequired", "/b")]


@pytest.mark.parametrize(
    ("schema", "value", "code"),
    [
        ({"contains": {"type": "string"}, "minContains": 2}, ["a", 1], "contains"),
        ({"contains": {"type": "string"}, "maxContains": 1}, ["a", "b"], "contains"),
        ({"contains": False}, [1], "contains"),
        ({"uniqueItems": True}, [{"a": 1}, {"a": 1}], "uniqueItems"),
        ({"prefixItems": [{}], "unevaluatedItems": False}, [1, 2], "unevaluatedItems"),
        ({"not": {"type": "string"}}, "x", "not"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, 3, "oneOf"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, [], "anyOf"),
        ({"multipleOf": 5}, 7, "multipleOf"),
    ],
)
def test_faults_of_the_whole_value_have_the_keyword_as_code(schema: Any, value: Any, code: str) -> None:
    assert found(schema, value) == [(code, "")]


def test_a_property_that_may_never_be_there_is_found() -> None:
    assert found({"properties": {"a": False}}, {"a": 1}) == [("false", "/a")]


def test_entries_beyond_a_tuple_are_found_one_by_one() -> None:
    assert found({"prefixItems": [{"type": "string"}], "items": False}, ["a", 1]) == [("false", "/1")]


def test_a_nullable_field_is_told_what_its_real_branch_wants() -> None:
    schema = {"properties": {"n": {"anyOf": [{"type": "string", "minLength": 3}, {"type": "null"}]}}}
    assert found(schema, {"n": "x"}) == [("minLength", "/n")]
    assert found(schema, {"n": 3}) == [("type", "/n")]
    assert found(schema, {"n": None}) == []


def test_the_only_branch_of_the_right_kind_speaks() -> None:
    schema = {"anyOf": [{"type": "string", "minLength": 3}, {"type": "array", "items": {"type": "integer"}}]}
    assert found(schema, ["x"]) == [("type", "/0")]


def test_more_findings_than_the_limit_are_counted_when_cheap() -> None:
    findings = Validator({"items": {"type": "string"}}, "test").findings([1] * 5, limit=3)
    assert [finding.path for finding in findings] == ["/0", "/1", "/2", ""]
    assert (findings[-1].code, findings[-1].message) == ("more", "2 more")


def test_very_many_findings_end_with_more() -> None:
    findings = Validator({"items": {"type": "string"}}, "test").findings([1] * 100_000)
    assert len(findings) == 101
    assert findings[-1].code == "more"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, "x" * 5_000),
        ({"maxLength": 3}, "x" * 5_000),
        ({"pattern": "^a"}, "x" * 5_000),
        ({"minItems": 3}, ["x" * 5_000]),
        ({"uniqueItems": True}, ["x" * 5_000] * 2),
        ({"not": {}}, {"a": "x" * 5_000}),
        ({"anyOf": [{"type": "null"}, {"minItems": 9}, {"maxItems": 0}]}, ["x" * 5_000]),
        ({"additionalProperties": False}, {"x" * 5_000: 1}),
        ({"prefixItems": [], "unevaluatedItems": False}, ["x" * 5_000]),
        ({"propertyNames": {"maxLength": 3}}, {"x" * 5_000: 1}),
    ],
)
def test_a_message_never_repeats_a_long_value(schema: Any, value: Any) -> None:
    schema.pop("prefixItems", None)
    assert "x" * 120 not in only(schema, value).message


# words of the schema's own


def test_a_schema_can_say_it_in_its_own_words() -> None:
    schema = {
        "required": ["a"],
        "x-messages": {"required": "Say what a is."},
        "properties": {"b": {"pattern": "^#", "minLength": 3, "x-messages": {"pattern": "Start with a #."}}},
    }
    messages = [finding.message for finding in Validator(schema, "test").findings({"b": "x"})]
    assert messages[0] == "Say what a is."
    assert "Start with a #." in messages
    assert len(set(messages)) == 3


def test_words_beside_a_reference_are_for_what_it_refers_to() -> None:
    schema = {
        "properties": {"c": {"$ref": "#/$defs/c", "x-messages": {"pattern": "hex please", "required": "outer"}}},
        "$defs": {"c": {"type": ["string", "object"], "pattern": "^#", "required": ["r"]}},
    }
    assert only(schema, {"c": "z"}).message == "hex please"
    assert only(schema, {"c": {}}).message == "outer"


def test_words_do_not_reach_into_deeper_places() -> None:
    schema = {"type": "array", "items": {"type": "string"}, "x-messages": {"type": "A list, please."}}
    assert only(schema, 3).message == "A list, please."
    assert only(schema, [3]).message != "A list, please."


# pydantic


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1)


class Dog(BaseModel):
    kind: Literal["dog", "wolf"]
    bark: str


class Order(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    when: dt.date | None = None
    token: uuid.UUID | None = None
    nick: str | None = Field(None, min_length=3, json_schema_extra={"x-messages": {"minLength": "Three letters."}})
    first: int = Field(0, title="The first of all")
    last: int = 0

    @model_validator(mode="after")
    def ordered(self) -> Order:
        if self.last < self.first:
            raise ValueError("last comes before first")
        return self


CAT = {"kind": "cat", "lives": 9}


def test_a_model_shows_its_schema_without_made_up_titles() -> None:
    shown = Validator(Order, "test").json_schema
    assert shown["title"] == "Order"
    assert shown["properties"]["first"]["title"] == "The first of all"
    assert "title" not in shown["properties"]["last"]


def test_a_model_finds_all_faults_of_its_schema_at_once() -> None:
    value = {"pet": {"kind": "wolf"}, "when": "2020-1-1", "nick": "a", "piet": 1}
    assert found(Order, value) == [
        ("minLength", "/nick"),
        ("required", "/pet/bark"),
        ("additionalProperties", "/piet"),
        ("format", "/when"),
    ]


def test_a_model_speaks_its_own_words_on_an_optional_field() -> None:
    assert only(Order, {"pet": CAT, "nick": "a"}).message == "Three letters."


def test_an_unknown_kind_is_told_the_known_ones() -> None:
    finding = only(Order, {"pet": {"kind": "bird"}})
    assert (finding.code, finding.path) == ("oneOf", "/pet/kind")
    assert "'cat', 'dog', 'wolf'" in finding.message


def test_a_strict_model_takes_dates_the_way_json_has_them() -> None:
    assert found(Order, {"pet": CAT, "when": "2020-01-01", "token": str(uuid.uuid4())}) == []


def test_the_validators_of_a_model_run_after_its_schema() -> None:
    assert only(Order, {"pet": CAT, "first": 2, "last": 1}) == Finding("value_error", "", "last comes before first")


def test_a_fault_in_a_union_member_points_into_the_value() -> None:
    class Even(BaseModel):
        n: int

        @model_validator(mode="after")
        def even(self) -> Even:
            if self.n % 2:
                raise ValueError("odd")
            return self

    class Numbers(BaseModel):
        all: list[Even | None]

    assert found(Numbers, {"all": [{"n": 2}, None, {"n": 3}]}) == [("value_error", "/all/2")]


# no schema, and values that are not JSON


def test_without_a_schema_any_object_fits() -> None:
    assert found(None, {"whatever": [1, {"a": None}]}) == []
    assert found(None, []) == [("type", "")]


@pytest.mark.parametrize("value", [{1: 2}, {"a": {1}}, {"a": b"x"}])
def test_what_is_not_json_is_one_finding(value: Any) -> None:
    assert found({"additionalProperties": {"type": "string"}}, value) == [("json", "")]


# schemas that are refused


@pytest.mark.scenario("N38")
@pytest.mark.parametrize(
    ("schema", "place", "words"),
    [
        ({"properties": {"a/b": {"minlength": 3}}}, "/properties/a~1b/minlength", "did you mean 'minLength'?"),
        ({"$defs": {"x": {"allOf": [{"requird": []}]}}}, "/$defs/x/allOf/0/requird", "did you mean 'required'?"),
        ({"minimum": "3"}, "/minimum", "is not of type 'number'"),
        ({"properties": {"a": {"pattern": "("}}}, "/properties/a/pattern", "regex"),
        ({"patternProperties": {"(": {}}}, "/patternProperties", "regex"),
        ({"items": {"$ref": "#/$defs/nope"}}, "/items/$ref", "points nowhere"),
        ({"items": {"$ref": "https://example.org/x.json"}}, "/items/$ref", "is not fetched"),
        ({"$ref": "#"}, "", "refers to itself without end"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema", "2020-12"),
        ({"properties": {"a": {"$id": "https://example.org/a"}}}, "/properties/a/$id", "$anchor"),
        ({"x-messages": "no"}, "/x-messages", "keywords and texts"),
        ({"default": {1}}, "", "No JSON Schema can be made"),
        (3, "", "pydantic model class or a JSON Schema object"),
        (int, "", "pydantic model class or a JSON Schema object"),
    ],
)
def test_a_bad_schema_is_refused_with_its_place(schema: Any, place: str, words: str) -> None:
    error = refusal(schema)
    assert (error.where, error.pointer) == ("demo.payload", place)
    assert words in error.message
    assert str(error).startswith("demo.payload: ")


def test_a_model_without_a_json_schema_is_refused() -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        thing: jsonschema_rs.Registry

    assert "No JSON Schema can be made" in refusal(Odd).message


def test_names_and_data_are_not_taken_for_keywords() -> None:
    names = {"typo": {}, "minlength": {"type": "string"}}
    data = {"enum": [{"foo": 1}], "const": {"foo": 1}, "default": {"foo": 1}, "examples": [{"foo": 1}]}
    Validator(
        {
            "properties": names,
            "$defs": {"foo": data},
            "patternProperties": {"foo": {}},
            "dependentSchemas": {"foo": {}},
            "required": ["typo"],
            "x-anything": {"foo": 1},
            "discriminator": {"propertyName": "typo"},
            "$comment": "fine",
        },
        "test",
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"$ref": "#word"}, "$defs": {"w": {"$anchor": "word", "type": "string"}}},
        {"items": {"$dynamicRef": "#word"}, "$defs": {"w": {"$dynamicAnchor": "word", "type": "string"}}},
        {"$id": "https://example.org/root", "items": {"$ref": "#/$defs/w"}, "$defs": {"w": {"type": "string"}}},
        {"items": {"$ref": "#/definitions/w"}, "definitions": {"w": {"type": "string"}}},
    ],
)
def test_local_references_of_every_form_work(schema: Any) -> None:
    assert found(schema, ["a", 1]) == [("type", "/1")]


def test_a_tree_may_refer_to_itself() -> None:
    schema = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    assert found(schema, {"children": [{"children": [{}, 3]}]}) == [("type", "/children/0/children/1")]


@pytest.mark.parametrize(("depth", "code"), [(40, "type"), (100, "anyOf"), (900, "json")])
def test_a_fault_in_a_tree_is_found_however_deep_it_is(depth: int, code: str) -> None:
    schema = {"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "n": {"type": "integer"}}}
    good, bad = {"n": 1}, {"n": "x"}
    for _ in range(depth):
        good, bad = {"next": good}, {"next": bad}
    assert found(schema, good) == []
    assert only(schema, bad).code == code


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"if": {"not": {"$ref": "#"}}},
        {"$ref": "#a", "$defs": {"a": {"$anchor": "a", "oneOf": [{"$ref": "#"}]}}},
    ],
)
def test_a_schema_that_never_gets_past_itself_is_refused(schema: Any) -> None:
    assert "without end" in refusal(schema).message


# the two engines


def test_a_schema_beyond_the_fast_engine_is_still_checked() -> None:
    schema = {"items": {"pattern": r"^a\Z", "type": "string"}, "minItems": 2}
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.Draft202012Validator(schema)
    assert found(schema, ["a", "a"]) == []
    assert found(schema, ["b", 3]) == [("pattern", "/0"), ("type", "/1")]
    assert found(schema, ["a"]) == [("minItems", "")]


def test_only_the_part_beyond_the_fast_engine_is_left_to_the_other() -> None:
    schema = {"properties": {"a": {"pattern": r"a\Z"}, "b": {"pattern": r"^\w+$"}}, "unevaluatedProperties": False}
    assert found(schema, {"a": "x", "b": "é", "c": 1}) == [
        ("unevaluatedProperties", ""),
        ("pattern", "/a"),
        ("pattern", "/b"),
    ]


@pytest.mark.parametrize("value", ["Müller", "abc\n", "٣"])
def test_where_regular_expressions_differ_the_standard_ones_count(value: str) -> None:
    schema = {"properties": {"a": {"pattern": r"^([a-z\w]+|\d)$"}}, "required": ["b"]}
    assert found(schema, {"a": value}) == [("pattern", "/a"), ("required", "/b")]


def test_a_refusal_that_only_one_engine_understands_is_not_lost() -> None:
    schema = {"patternProperties": {r"^\W$": {"type": "integer"}}}
    assert found(schema, {"é": "x"}) == [("type", "/é")]
    schema = {"patternProperties": {"^é$": {}}, "properties": {"a": {"type": "integer"}}}
    assert found(schema, {"a": "x"}) == [("type", "/a")]
    assert found({"patternProperties": {r"^[^\w]+$": False}}, {"é": 1}) != []


GOOD_AND_BAD = {
    "date": ("2024-02-29", "2023-02-29"),
    "date-time": ("2024-02-29T10:00:00Z", "2024-02-29 10:00"),
    "time": ("10:00:00Z", "25:00:00Z"),
    "duration": ("P1DT2H", "1 day"),
    "email": ("ann@example.org", "ann"),
    "idn-email": ("änn@example.org", "änn"),
    "hostname": ("example.org", "-bad-.org"),
    "idn-hostname": ("müller.example", "-bad-.org"),
    "ipv4": ("127.0.0.1", "127.0.0.256"),
    "ipv6": ("::1", "::g"),
    "uri": ("https://example.org/a?b#c", "no scheme"),
    "uri-reference": ("../a", "\\\\a"),
    "iri": ("https://example.org/ä", "no scheme"),
    "iri-reference": ("/ä", "\\\\a"),
    "uri-template": ("/a/{b}", "/a/{b"),
    "uuid": ("2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2eb8aa08"),
    "json-pointer": ("/a/0", "a"),
    "relative-json-pointer": ("1/a", "/a"),
    "regex": ("^a+$", "(a"),
}


def test_every_asserted_format_has_an_example() -> None:
    assert set(FORMAT_NAMES.split()) == set(GOOD_AND_BAD)


@pytest.mark.parametrize("name", GOOD_AND_BAD)
def test_formats_are_asserted_alike_by_both_engines(name: str) -> None:
    good, bad = GOOD_AND_BAD[name]
    assert found({"format": name}, good) == []
    assert found({"format": name}, bad) == [("format", "")]
    assert FORMATS.conforms(good, name)
    assert not FORMATS.conforms(bad, name)


RECORD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 0},
        "name": {"type": "string", "minLength": 1, "maxLength": 4},
        "state": {"enum": ["a", "b", None, 1]},
        "score": {"anyOf": [{"type": "number", "maximum": 10}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "uniqueItems": True},
    },
    "required": ["id", "name"],
    "additionalProperties": False,
}
SCHEMAS = [
    RECORD,
    {"type": "array", "items": RECORD, "minItems": 1},
    {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "contains": {"minimum": 3}},
    {"oneOf": [{"type": "integer"}, {"type": "string", "pattern": "^[a-c]*$"}, {"required": ["id"]}]},
    {"if": {"required": ["id"]}, "then": {"required": ["name"]}, "else": {"maxProperties": 1}},
    {"allOf": [{"properties": {"id": True}}], "properties": {"new": {"not": {}}}, "unevaluatedProperties": False},
    {"patternProperties": {"^n": {"type": "string"}}, "additionalProperties": {"type": ["integer", "null"]}},
    {"propertyNames": {"maxLength": 5}, "properties": {"id": False}},
    {"dependentRequired": {"id": ["name"]}, "dependentSchemas": {"tags": {"required": ["id"]}}},
    {"type": "array", "unevaluatedItems": False, "prefixItems": [{}, {}], "uniqueItems": True},
]
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 20) | st.sampled_from([0.5, 1.0, 10.5]) | st.text("abcd", max_size=5)
)
KEYS = st.sampled_from(["id", "name", "state", "score", "tags", "new", "colour"])
LIKELY = st.fixed_dictionaries(
    {"id": st.integers(-1, 3), "name": st.text("ab", max_size=5)},
    optional={"score": SCALARS, "state": SCALARS, "tags": st.lists(SCALARS, max_size=3), "new": SCALARS},
)
VALUES = st.recursive(
    SCALARS | LIKELY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
@given(value=VALUES)
def test_both_engines_agree_on_what_fits(schema: Any, value: Any) -> None:
    validator = Validator(schema, "test")
    fits = Draft202012Validator(schema).is_valid(value)
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(value) == fits
    assert (validator.findings(value) == []) == fits


@given(value=VALUES)
def test_every_path_leads_into_the_value_or_to_what_is_missing(value: Any) -> None:
    for finding in Validator(RECORD, "test").findings(value):
        *parents, last = finding.path.split("/")
        place = value
        for key in parents[1:]:
            place = place[int(key) if isinstance(place, list) else key]
        if finding.path:
            there = last in (map(str, range(len(place))) if isinstance(place, list) else place)
            assert there == (finding.code != "required")


def records(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "name": "ab", "state": "a", "score": 1.5, "tags": ["x", "y"]} for n in range(count)]


def test_ten_thousand_records_are_checked_to_the_last() -> None:
    validator = Validator({"type": "array", "items": RECORD}, "test")
    good = records(10_000)
    assert validator.findings(good) == []
    assert found({"type": "array", "items": RECORD}, [*good, {"id": "x", "name": "ab"}]) == [("type", "/10000/id")]
    assert json.loads(json.dumps(validator.json_schema)) == {"type": "array", "items": RECORD}

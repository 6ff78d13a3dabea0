from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdocket.domain.expression import LONGEST, Expression, Malformed

FACTS: dict[str, Any] = {
    "type": "shop.order",
    "priority": 5,
    "requested_by": "ada",
    "requested_by_kind": "agent",
    "payload": {
        "amount": 120.5, "rush": True, "note": "gift", "nothing": None, "lines": [{"price": 3}, {"price": 4}],
        "tags": ["a", "b"], "odd name": 1, "text": "x", "deep": {"er": {"n": 1}},
    },
    "meta": {},
    "results": [{"score": 1}, {"score": 9}],
    "diff": {"changes": 2, "added": 1, "modified": 1, "removed": 0, "paths": ["/users/1/name", "/users/2"]},
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "true", "not false", "priority == 5", "priority != 4", "1 < priority <= 5", "payload.amount > 100",
        "payload['odd name'] == 1", "payload.deep.er.n == 1", "payload.rush", "payload.nothing == null",
        "payload.lines[1].price == 4", "sum(payload.lines.price) == 7", "max(results.score) == 9",
        "min(results.score) >= 1", "len(payload.tags) == 2", "len(payload.note) == 4", "len(results) == 2",
        "'a' in payload.tags", "'z' not in payload.tags", "'if' in payload.note", "type in ['shop.order', 'x']",
        "requested_by in ('ada', 'bob') and requested_by_kind == 'agent'", "startswith(type, 'shop.')",
        "glob(type, 'shop.*')", "glob(diff.paths, '/users/*')", "any_glob(diff.paths, '*/name')",
        "startswith(diff.paths, '/users')", "any_startswith(diff.paths, '/users/2')",
        "diff.changes <= 2 and diff.removed == 0 and diff.added == 1", "has(payload.amount)",
        "not has(payload.missing)", "payload.missing > 1 or priority == 5",
        "not (payload.missing > 1 and priority == 4)",
        "payload.note < 'h'", "-1 < 0", "  priority\n == 5", "(1, 2) == [1, 2]", "payload.lines.price == [3, 4]",
    ],
)  # fmt: skip
def test_what_is_true_holds(text: str):
    assert Expression(text).holds(FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "payload.missing > 1", "not (payload.missing > 1)", "payload.missing == null", "payload.missing != 1",
        "payload.missing", "not payload.missing", "payload.missing > 1 and priority == 5", "meta.x == 'y'",
        "'x' in payload.missing", "'x' not in payload.missing", "not has(payload.amount)", "payload.lines[9].price > 0",
        "payload.lines.weight == [1]", "payload.note.length == 4", "payload.tags.a == 1",
        # what has no order, or is no condition
        "payload.note > 1", "not (payload.note > 1)", "payload.rush > 0", "not payload.amount", "priority", "'text'",
        "priority and true", "1 in 5", "not (1 in 5)", "sum(payload.tags) > 0", "len(priority) > 0", "sum([]) == 0",
        "glob(payload.amount, '*')", "glob([], '*')", "startswith(payload.missing, 'a')",
        # kinds are told apart
        "payload.rush == 1", "1 in [true]", "payload.amount == '120.5'",
        # half of it
        "glob(diff.paths, '*/name')", "startswith(diff.paths, '/users/2')", "any_glob(diff.paths, '/orders/*')",
    ],
)  # fmt: skip
def test_what_is_not_true_or_not_known_does_not_hold(text: str):
    assert not Expression(text).holds(FACTS)


def test_without_a_preview_nothing_is_known_of_the_diff():
    facts = {name: value for name, value in FACTS.items() if name != "diff"}

    assert not Expression("diff.changes < 5").holds(facts)
    assert not Expression("not (diff.changes >= 5)").holds(facts)
    assert Expression("not has(diff.changes)").holds(facts)


@pytest.mark.parametrize(
    "text, at, words",
    [
        ("priority >", 11, "no expression"),
        ("amount > 1", 1, "there is no amount; there are type, "),
        ("priority > 1 and amunt", 18, "there is no amunt"),
        ("'ü' == type and wrong", 17, "there is no wrong"),
        ("  wrong", 3, "there is no wrong"),
        ("diff.size > 1", 1, "of the diff there are diff.changes"),
        ("diff", 1, "of the diff there are"),
        ("open('x')", 1, "there is no function open"),
        ("payload.get('x')", 1, "can't be said here"),
        ("len()", 1, "len takes 1 argument"),
        ("glob(type)", 1, "glob takes 2 arguments"),
        ("glob(type, type)", 12, "a text in quotes"),
        ("len(x=1)", 1, "can't be said here"),
        ("1 + 1 == 2", 1, "can't be said here"),
        ("type is null", 1, "compare with"),
        ("payload[type]", 1, "names behind dots"),
        ("payload[1:2]", 1, "names behind dots"),
        ("payload[true]", 1, "names behind dots"),
        ("(lambda: 1)()", 1, "can't be said here"),
        ("[x for x in type]", 1, "can't be said here"),
        ("f'{type}'", 1, "can't be said here"),
        ("b'x' == type", 1, "can't be said here"),
        ("... == type", 1, "can't be said here"),
        ("(1).real == 1", 2, "names behind dots"),
        ("type.__class__ == type and x", 28, "there is no x"),
        ("len(*type)", 5, "can't be said here"),
        ("true.x", 1, "there is no true"),
        ("not " * 300 + "true", 1201, "at most 1000 characters"),
        ("(" * 400 + "1" + ")" * 400, 1, "no expression"),
        ("[" + "1," * 300 + "1]", 1, "words and signs"),
        ("\0", 1, "no expression"),
        ("", 1, "no expression"),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused_with_its_place(text: str, at: int, words: str):
    with pytest.raises(Malformed) as refusal:
        Expression(text)

    assert words in str(refusal.value)
    if len(text) <= LONGEST and "no expression" not in words:
        assert refusal.value.at == at


def test_names_with_underscores_are_data_and_nothing_else():
    assert not Expression("type.__class__ == 'str'").holds(FACTS)
    assert Expression("payload.__class__ == 1").holds({**FACTS, "payload": {"__class__": 1}})


def test_the_ways_into_the_data_are_told():
    assert Expression("payload.a[0].b > 1 and payload.a[1].b > 1 or has(meta.c)").paths == (
        ("payload", "a", "b"), ("meta", "c"),
    )  # fmt: skip


def test_two_expressions_of_one_text_are_equal():
    assert Expression("true") == Expression("true") != Expression("false")


def test_what_is_unknown_names_itself():
    from workdocket.domain.expression import UNKNOWN

    assert repr(UNKNOWN) == "unknown"


@given(st.text(max_size=60) | st.text("()[]. ,'\"=<>!nortadiflepyusm1", max_size=60))
def test_any_text_is_an_expression_that_holds_or_not_or_is_refused(text: str):
    try:
        expression = Expression(text)
    except Malformed:
        return
    assert expression.holds(FACTS) in (True, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner),
)


@given(JSON)
def test_whatever_the_data_is_no_expression_fails(payload: Any):
    for text in (
        "payload.a > 1 and payload[0] == 'x'", "sum(payload) > max(payload.a)", "'x' in payload", "payload in [1, 'x']",
        "glob(payload, '*x*') or any_startswith(payload.a, 'y')", "not payload", "len(payload) < 3",
    ):  # fmt: skip
        assert Expression(text).holds({"payload": payload}) in (True, False)

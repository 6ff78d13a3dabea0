from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdocket.domain.diff import Diff, FieldChange, pointer
from workdocket.domain.model import canonical

keys = st.sampled_from(["a", "b", "/", "~1", ""])
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", 0.5, 1.0])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


def applied(value: Any, changes: tuple[FieldChange, ...]) -> Any:
    """``value`` with the changes made to it, found by nothing but their pointers."""
    box: dict[str, Any] = {"": copy.deepcopy(value)}
    removed = [change for change in changes if change.op == "removed"]
    for change in [*(change for change in changes if change.op != "removed"), *reversed(removed)]:
        *way, last = (token.replace("~1", "/").replace("~0", "~") for token in change.path.split("/"))
        at: Any = box
        for token in way:
            at = at[int(token)] if isinstance(at, list) else at[token]
        place: Any = int(last) if isinstance(at, list) else last
        if change.op == "removed":
            del at[place]
        elif change.op == "added" and isinstance(at, list):
            at.insert(place, change.after)
        else:
            at[place] = change.after
    return box.get("")


@given(values, values)
def test_the_changes_made_to_the_first_value_give_the_second(before: Any, after: Any):
    diff = Diff.between(before, after)

    assert canonical(applied(before, diff.changes)) == canonical(after)


@given(values)
def test_a_value_does_not_differ_from_itself(value: Any):
    diff = Diff.between(value, copy.deepcopy(value))

    assert not diff.has_changes
    assert diff.summary == "no changes"


@given(values, values)
def test_a_diff_survives_being_stored(before: Any, after: Any):
    diff = Diff.between(before, after)

    assert Diff.from_dict(diff.as_dict()) == diff


def test_changes_say_what_where_and_both_values():
    before = {"name": "Ada", "tags": ["x", "y"], "old": 1}
    after = {"name": "Bob", "tags": ["x"], "new": None}

    diff = Diff.between(before, after)

    assert diff.changes == (
        FieldChange("modified", "/name", "Ada", "Bob"),
        FieldChange("removed", "/tags/1", "y"),
        FieldChange("removed", "/old", 1),
        FieldChange("added", "/new", after=None),
    )
    assert diff.summary == "1 added, 1 modified, 2 removed"


def test_true_is_not_one():
    assert Diff.between({"a": True}, {"a": 1}).changes == (FieldChange("modified", "/a", True, 1),)


@pytest.mark.parametrize(
    "before, after, op", [(None, {"a": 1}, "added"), ({"a": 1}, None, "removed"), ({"a": 1}, [1], "modified")]
)
def test_a_whole_value_can_come_go_and_change_its_kind(before: Any, after: Any, op: str):
    assert Diff.between(before, after).changes == (FieldChange(op, "", before, after),)  # type: ignore[arg-type]


def test_a_key_is_escaped_in_its_pointer():
    assert pointer("/a", "x/y~z") == "/a/x~1y~0z"
    assert pointer("", 0) == "/0"


def test_a_summary_of_ones_own_is_kept():
    assert Diff.between(1, 2, "one up").summary == "one up"


def test_a_diff_made_of_nothing_has_no_changes():
    assert Diff.from_dict({}) == Diff()
    assert Diff().as_dict() == {"summary": "", "changes": [], "before": None, "after": None, "has_changes": False}

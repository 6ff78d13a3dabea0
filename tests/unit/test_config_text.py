"""Texts of configuration files: an edit does what it says, keeps every other character, and has an inverse."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdocket.surfaces.config import Broken
from workdocket.surfaces.config.jsontext import JsonText
from workdocket.surfaces.config.tomltext import TomlText

NAMES = st.sampled_from(["a", "b b", "ü", 'q"', "servers", "//", "x"])
SPACES = st.sampled_from(["", " ", "\n", "\n  ", "\r\n\t"])
GAPS = st.one_of(SPACES, st.sampled_from([" // note, {\n", "/* } */", " /* a\n b */ \n"]))
PLAIN = st.sampled_from(["1", "-0.5e3", '"//"', "true", "null", '"\\u00fc\\n"', "[1 , 2]", "[]"])
ENTRY = {"command": "/bin/x", "args": ["a", "ü"], "env": {"K": 'v"'}}
PATH = ("servers", "ours")


def texts(gaps: st.SearchStrategy[str], *, trailing: bool) -> st.SearchStrategy[str]:
    """Objects as text, with any layout."""

    @st.composite
    def an_object(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
        names = draw(st.lists(NAMES, unique=True, max_size=3))
        rows = []
        for name in names:
            value = draw(inner if name != "servers" else an_object(PLAIN))
            rows.append(draw(gaps) + json.dumps(name) + draw(gaps) + ":" + draw(gaps) + value + draw(gaps))
        end = "," + draw(gaps) if trailing and rows and draw(st.booleans()) else draw(gaps)
        return "{" + ",".join(rows) + end + "}"

    whole = an_object(st.recursive(PLAIN, an_object, max_leaves=3))
    return st.tuples(gaps, whole, gaps).map("".join)


@given(texts(SPACES, trailing=False))
@pytest.mark.scenario("install-keeps-the-rest")
def test_json_is_read_as_the_standard_library_reads_it(text: str) -> None:
    for form in (JsonText(comments=False), JsonText(comments=True)):
        assert form.parse(text) == json.loads(text)


@given(st.text(alphabet='{}[]",:01.-eE truefalsn/*\\\n', max_size=12))
@pytest.mark.scenario("install-refuses")
def test_what_the_standard_library_refuses_is_refused(text: str) -> None:
    try:
        wanted = json.loads(text)
    except ValueError:
        wanted = None
    try:
        found = JsonText(comments=False).parse(text)
    except Broken:
        found = None
    assert found == (wanted if isinstance(wanted, dict) else None if text.strip() else {})


@given(texts(GAPS, trailing=True))
@pytest.mark.scenario("install-keeps-the-rest")
def test_an_entry_is_put_in_and_the_rest_stays(text: str) -> None:
    form = JsonText(comments=True)
    before = form.parse(text)

    after = form.put(text, PATH, ENTRY)

    found = form.parse(after)
    assert found == {**before, "servers": {**before.get("servers", {}), "ours": ENTRY}}
    assert list(found)[: len(before)] == list(before)
    rest = iter(after)
    assert all(one in rest for one in text.strip(" \t") if not one.isspace())


@given(texts(GAPS, trailing=True))
@pytest.mark.scenario("install-undo")
def test_to_take_an_entry_out_is_the_inverse_where_others_are_beside_it(text: str) -> None:
    form = JsonText(comments=True)
    there = form.parse(text).get("servers")

    back = form.drop(form.put(text, PATH, ENTRY), PATH)

    assert form.parse(back) == {**form.parse(text), "servers": there or {}}
    if there:
        assert back == text


@given(texts(GAPS, trailing=True), st.integers(0, 2))
@pytest.mark.scenario("install-undo")
def test_any_entry_can_be_taken_out(text: str, at: int) -> None:
    form = JsonText(comments=True)
    servers = form.parse(text).get("servers") or {"none": 0}
    name = list(servers)[at % len(servers)]

    left = form.parse(form.drop(text, ("servers", name)))

    wanted = form.parse(text)
    wanted.get("servers", {}).pop(name, None)
    assert json.dumps(left) == json.dumps(wanted)


TABLES = """\
# one
top = 1
[servers.other]
command = "x"

# about the next
[last]
a = [ 1,
  2 ]
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.scenario("install-undo")
def test_tables_are_put_behind_the_rest_changed_where_they_are_and_taken_out(end: str) -> None:
    form = TomlText()
    text = TABLES.replace("\n", end)
    other: dict[str, Any] = {"url": "u", "headers": {"A b": "c"}}

    once = form.put(text, PATH, ENTRY)
    moved = once + f"{end}# mine{end}[more]{end}b = 1{end}"
    twice = form.put(moved, PATH, other)

    assert once.startswith(text)
    assert tomllib.loads(once)["servers"]["ours"] == ENTRY
    assert tomllib.loads(twice)["servers"] == {"other": {"command": "x"}, "ours": other}
    assert "# mine" in twice
    assert twice.count(end) == twice.count("\n")
    assert form.drop(once, PATH) == text
    assert tomllib.loads(form.drop(twice, PATH)) == {**tomllib.loads(text), "more": {"b": 1}}

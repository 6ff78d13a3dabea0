"""Orders keep the version of their type that they were filed under: nothing else reads, checks or applies them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.harness import CountedIds, HandClock, House, Person, house
from tests.support.until import order_in

SHAPE = """
from workdocket import Diff, OrderType


class Shape{version}(OrderType):
    name = "test.shape"
    version = {version}
    approval = "{approval}"
    payload = {{"type": "object", "description": "{words}"}}
    result = {{"type": "object", "required": ["{field}"], "properties": {{"{field}": {{"type": "{type}"}}}}}}

    def apply(self, order, ctx):
        return Diff.between(None, [{version}, order.items[0].result])
"""


def shape(
    folder: Path, version: int = 1, field: str = "area", type: str = "number", words: str = "", approval: str = "manual"
) -> str:
    """The path of a type file."""
    file = folder / f"shape_{version}_{field}_{type}_{len(words)}.py"
    file.write_text(SHAPE.format(version=version, field=field, type=type, words=words, approval=approval))
    return str(file)


class Days:
    """The same database, opened once after the other by servers that know other types."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._clock, self._ids = folder, HandClock(), CountedIds()

    @asynccontextmanager
    async def with_types(self, *files: str) -> AsyncIterator[tuple[House, Person]]:
        async with house(self._folder, clock=self._clock, ids=self._ids, order_types=list(files)) as home:
            yield home, home.person("ann")


@pytest.fixture
def days(tmp_path: Path) -> Days:
    return Days(tmp_path)


@pytest.mark.scenario("type-versions")
async def test_old_orders_are_worked_on_by_the_version_they_were_filed_under(days: Days, tmp_path: Path) -> None:
    # given
    old, new = shape(tmp_path, 1, "area"), shape(tmp_path, 2, "radius")
    async with days.with_types(old) as (_, ann):
        first = await ann.propose("test.shape", {})

    async with days.with_types(new, old) as (_, ann):
        # when
        second = await ann.propose("test.shape", {})
        items = {item["order_id"]: item for item in (await ann.ok("checkout", count=2))["items"]}

        # then
        assert [items[one]["result_schema"]["required"] for one in (first, second)] == [["area"], ["radius"]]
        await ann.hand_in(items[first], {"area": 1})
        await ann.hand_in(items[second], {"radius": 2})
        diffs = [(await ann.ok("approve", order_id=one))["diff"]["after"] for one in (first, second)]
        assert diffs == [[1, {"area": 1}], [2, {"radius": 2}]]


@pytest.mark.scenario("type-versions")
async def test_the_newest_version_is_what_is_listed_and_filed(days: Days, tmp_path: Path) -> None:
    async with days.with_types(shape(tmp_path, 2), shape(tmp_path, 1)) as (_, ann):
        [row] = [one for one in (await ann.ok("order_types"))["types"] if one["name"] == "test.shape"]
        answer = await ann.ok("propose", type="test.shape", payload={})

    assert (row["version"], answer["order"]["type_version"]) == (2, 2)


@pytest.mark.scenario("type-versions", "explain")
@pytest.mark.parametrize(
    ("later", "words"),
    [
        ({"version": 2, "field": "radius"}, "registered here in version 2; this was filed under version 1"),
        ({"version": 1, "type": "string"}, "the schemas of test.shape version 1 are others"),
    ],
    ids=["another version", "another schema"],
)
async def test_what_was_filed_under_another_edition_is_readable_explained_and_passed_over(
    days: Days, tmp_path: Path, later: dict[str, object], words: str
) -> None:
    # given
    async with days.with_types(shape(tmp_path)) as (_, ann):
        first = await ann.propose("test.shape", {"n": 1}, priority=90)

    async with days.with_types(shape(tmp_path, **later)) as (_, ann):  # type: ignore[arg-type]
        # when
        nothing = await ann.ok("checkout")
        second = await ann.propose("test.shape", {"n": 2})
        taken = (await ann.ok("checkout", count=5))["items"]
        named = await ann.ok("checkout", item_id=f"{first}.1")

        # then
        assert (nothing["items"], nothing["reason"]) == ([], "no_match")
        assert [item["order_id"] for item in taken] == [second]
        assert named["items"] == []
        assert (await ann.ok("get_order", order_id=first))["order"]["payload"] == {"n": 1}
        [reason] = (await ann.ok("explain", item_id=f"{first}.1"))["reasons"]
        assert (reason["code"], reason["by"]) == ("unknown_type", "admin")
        assert words in reason["message"]
        assert "unknown_type" in [one["code"] for one in (await ann.ok("explain"))["reasons"]]
        await ann.ok("cancel", order_id=first)


@pytest.mark.scenario("type-versions")
async def test_other_words_in_a_schema_make_no_other_edition(days: Days, tmp_path: Path) -> None:
    async with days.with_types(shape(tmp_path, words="A shape.")) as (_, ann):
        order_id = await ann.propose("test.shape", {})

    async with days.with_types(shape(tmp_path, words="A figure in the plane.")) as (_, ann):
        await ann.hand_in(await ann.take(), {"area": 3})
        assert (await ann.ok("approve", order_id=order_id))["applied"] is True


@pytest.mark.scenario("type-versions", "digest-binds")
async def test_what_was_reviewed_under_one_version_is_not_approved_under_another(days: Days, tmp_path: Path) -> None:
    # given
    async with days.with_types(shape(tmp_path)) as (_, ann):
        order_id = await ann.propose("test.shape", {})
        await ann.hand_in(await ann.take(), {"area": 3})
        digest = (await ann.ok("review", order_id=order_id))["digest"]

    async with days.with_types(shape(tmp_path, 2)) as (_, ann):
        # when
        packet = await ann.ok("review", order_id=order_id)

        # then
        assert [finding["code"] for finding in packet["findings"]] == ["unknown_type"]
        assert packet["items"][0]["result"] == {"area": 3}
        await ann.refused("approve", "stale", order_id=order_id, digest=digest)
        await ann.refused("approve", "not_ready", order_id=order_id)


@pytest.mark.scenario("type-versions", "auto-approval")
async def test_an_old_order_is_approved_and_applied_as_its_own_version_asks(days: Days, tmp_path: Path) -> None:
    # given
    old, new = shape(tmp_path, 1, approval="auto"), shape(tmp_path, 2)
    async with days.with_types(old) as (_, ann):
        order_id = await ann.propose("test.shape", {})
        item = await ann.take()

    async with days.with_types(new, old) as (_, ann):
        # when
        await ann.hand_in(item, {"area": 4})
        shown = await order_in(ann, order_id, "completed")

    # then
    assert shown["diff"]["after"] == [1, {"area": 4}]


@pytest.mark.scenario("type-versions", "apply-resumes")
async def test_an_approved_order_waits_for_a_server_that_has_its_version(days: Days, tmp_path: Path) -> None:
    # given
    old, new = shape(tmp_path, 1, approval="auto"), shape(tmp_path, 2)
    async with days.with_types(old) as (home, ann):
        order_id = await ann.propose("test.shape", {})
        item = await ann.take()
        home.app.desk.begin = lambda effect_id: None
        await ann.hand_in(item, {"area": 4})

    # when
    async with days.with_types(new) as (home, ann):
        await home.app.sweeper.sweep()
        waiting = await ann.state(order_id)
    async with days.with_types(old, new) as (home, ann):
        await home.app.sweeper.sweep()
        shown = await order_in(ann, order_id, "completed")

    # then
    assert waiting == "submitted"
    assert shown["diff"]["after"] == [1, {"area": 4}]


@pytest.mark.scenario("type-versions", "types-refused-at-start")
async def test_two_types_of_one_name_and_version_stop_the_start(days: Days, tmp_path: Path) -> None:
    first, second = shape(tmp_path, 1, "area"), shape(tmp_path, 1, "radius")

    with pytest.raises(Exception, match=r"the name 'test\.shape' is taken by"):
        async with days.with_types(first, second):
            pass

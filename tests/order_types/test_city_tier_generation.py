"""city.tier.generation: real cities, scored by specialists, ranked and put into tiers."""

from __future__ import annotations

import re
from fractions import Fraction
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.built_in import Attempt, built_in, rows
from tests.support.harness import House, agent, held
from workdocket import Actor, Refused, WorkItem, WorkOrder
from workdocket_types import city_tier_generation
from workdocket_types.city_tier_generation import CityTierGeneration

TYPE = "city.tier.generation"
REASON = "Measured from the facts, for every city alike."
TOWNS = [{"id": name.lower(), "name": name} for name in ("Ulm", "Köln", "Bonn")]
WEIGHTS = {"climate": 3, "housing": 1}


def payload(folder: Path, **more: Any) -> dict[str, Any]:
    about = {"ranking": "where to live", "cities": TOWNS, "weights": WEIGHTS}
    return {**about, "database": str(folder / "cities.db"), **more}


async def scored(home: House, folder: Path, scores: dict[str, dict[str, int]], **more: Any) -> str:
    """An order of which every item is handed in, by the score of each city in each dimension."""
    worker = home.person("worker")
    order_id = await home.person("requester").propose(TYPE, payload(folder, **more))
    while taken := (await worker.ok("checkout", order_id=order_id, skills=list(WEIGHTS)))["items"]:
        about = taken[0]["input"]
        score = scores[about["city"]["id"]][about["dimension"]]
        await worker.hand_in(taken[0], {"score": score, "reason": REASON})
    return order_id


def found(error: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["path"]) for finding in error["details"]["findings"]]


# the whole way, over stdio, with the cities that stand for the time zones of Europe


def real_cities() -> list[dict[str, Any]]:
    text = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text("utf-8")
    lines = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [
        {"id": f"{code}-{zone.split('/')[-1]}", "name": zone.split("/")[-1].replace("_", " "), "facts": {"at": at}}
        for code, at, zone, *_ in lines
        if zone.startswith("Europe/")
    ]


def climate(city: dict[str, Any]) -> int:
    """How far from the pole, in hundredths of the way to the equator."""
    north = re.match(r"[+](\d\d)", city["facts"]["at"])
    assert north
    return round(100 - int(north[1]) * 100 / 90)


def brevity(city: dict[str, Any]) -> int:
    return max(0, 100 - 8 * len(city["name"]))


SPECIALISTS = {"climate": climate, "brevity": brevity}


@pytest.mark.slow
@pytest.mark.scenario("real-types", "skills")
async def test_over_stdio_specialists_score_real_cities_each_in_their_own_dimension(tmp_path: Path) -> None:
    # given
    cities = real_cities()[:12]
    asked = payload(tmp_path, cities=cities, weights={"climate": 2, "brevity": 1})
    async with agent(tmp_path) as one, agent(tmp_path) as other:
        order_id = (await one.ok("propose", type=TYPE, payload=asked))["order"]["id"]
        assert (await one.ok("checkout", order_id=order_id))["items"] == []

        # when
        for specialist, (skill, judge) in zip((one, other), SPECIALISTS.items(), strict=True):
            while taken := (await specialist.ok("checkout", order_id=order_id, skills=[skill], count=20))["items"]:
                for item in taken:
                    assert item["input"]["dimension"] == skill
                    result = {"score": judge(item["input"]["city"]), "reason": REASON}
                    await specialist.ok("submit", **held(item), result=result)
        packet = await one.ok("review", order_id=order_id)
        answer = await one.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    assert packet["findings"] == []
    assert answer["diff"] == packet["preview"]
    stored = rows(tmp_path / "cities.db", "SELECT city, climate, brevity, total, tier FROM city_tiers ORDER BY rank")
    totals = {city["id"]: (2 * climate(city) + brevity(city)) / 3 for city in cities}
    assert {row[0]: row[3] for row in stored} == {city: round(total, 2) for city, total in totals.items()}
    assert [row[3] for row in stored] == sorted((row[3] for row in stored), reverse=True)
    assert {row[0]: row[1:3] for row in stored} == {city["id"]: (climate(city), brevity(city)) for city in cities}
    assert all((row[4] == "B") == (50 <= row[3] < 75) for row in stored)


# the plan


@pytest.mark.scenario("real-types", "skills")
async def test_a_city_and_dimension_is_an_item_for_those_with_that_skill(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        order_id = await home.person("requester").propose(TYPE, payload(tmp_path))
        worker = home.person("worker")

        items = (await worker.ok("checkout", order_id=order_id, skills=["housing"], count=20))["items"]
        none = await worker.ok("checkout", order_id=order_id, skills=["painting"])

    assert [item["key"] for item in items] == ["ulm/housing", "köln/housing", "bonn/housing"]
    assert [item["input"]["city"] for item in items] == TOWNS
    assert none["items"] == []


@pytest.mark.parametrize(
    "wrong, expected",
    [
        ({"cities": []}, ("minItems", "/cities")),
        ({"cities": [TOWNS[0], TOWNS[0]]}, ("uniqueItems", "/cities")),
        ({"cities": [{"id": "a/b", "name": "A"}]}, ("pattern", "/cities/0/id")),
        ({"weights": {}}, ("minProperties", "/weights")),
        ({"weights": {"climate": 0}}, ("minimum", "/weights/climate")),
        ({"weights": {"Climate!": 1}}, ("pattern", "/weights/Climate!")),
        ({"weights": {"total": 1}}, ("reserved", "/weights")),
        ({"tiers": [{"tier": "A", "at_least": 50}]}, ("order", "/tiers")),
        ({"tiers": [{"tier": "A", "at_least": 0}, {"tier": "B", "at_least": 50}]}, ("order", "/tiers")),
        ({"tiers": [{"tier": "A", "at_least": 50}, {"tier": "A", "at_least": 0}]}, ("order", "/tiers")),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused(
    tmp_path: Path, wrong: dict[str, Any], expected: tuple[str, str]
) -> None:
    async with built_in(tmp_path) as home:
        error = await home.person("requester").refused(
            "propose", "invalid_payload", type=TYPE, payload=payload(tmp_path, **wrong)
        )

    assert found(error) == [expected]


@pytest.mark.parametrize(
    "result, expected",
    [
        ({"score": 101, "reason": REASON}, ("maximum", "/score")),
        ({"score": -1, "reason": REASON}, ("minimum", "/score")),
        ({"score": 55.5, "reason": REASON}, ("type", "/score")),
        ({"score": 55, "reason": "just because"}, ("minLength", "/reason")),
    ],
)
async def test_a_score_is_a_number_of_the_scale_with_a_reason(
    tmp_path: Path, result: dict[str, Any], expected: tuple[str, str]
) -> None:
    async with built_in(tmp_path) as home:
        await home.person("requester").propose(TYPE, payload(tmp_path))
        worker = home.person("worker")
        item = await worker.take(skills=["climate"])

        error = await worker.refused("submit", "invalid_result", **held(item), result=result)

    assert found(error) == [expected]


# from scores to tiers


@pytest.mark.scenario("real-types")
async def test_totals_ranks_tiers_and_ties_are_shown_before_approval_and_written_as_shown(tmp_path: Path) -> None:
    scores = {
        "ulm": {"climate": 60, "housing": 90},  # 67.5
        "köln": {"climate": 70, "housing": 60},  # 67.5, and ahead by the weightier dimension
        "bonn": {"climate": 100, "housing": 1},  # 75.25
    }
    async with built_in(tmp_path) as home:
        tiers = [{"tier": "gold", "at_least": 75.25}, {"tier": "silver", "at_least": 0}]
        order_id = await scored(home, tmp_path, scores, tiers=tiers)
        reviewer = home.person("reviewer")

        packet = await reviewer.ok("review", order_id=order_id)
        answer = await reviewer.ok("approve", order_id=order_id, digest=packet["digest"])

    assert packet["preview"] == answer["diff"]
    assert answer["diff"]["summary"] == "3 cities: gold 1, silver 2; 0 in another tier than before"
    columns = "rank, name, climate, housing, total, tier, note"
    assert rows(tmp_path / "cities.db", f"SELECT {columns} FROM city_tiers ORDER BY rank") == [
        (1, "Bonn", 100, 1, 75.25, "gold", ""),
        (2, "Köln", 70, 60, 67.5, "silver", "same total as Ulm, ahead by climate (70 to 60)"),
        (3, "Ulm", 60, 90, 67.5, "silver", "same total as Köln, behind by climate (60 to 70)"),
    ]


@pytest.mark.scenario("real-types")
async def test_a_later_ranking_of_the_same_name_updates_it_and_another_stands_beside_it(tmp_path: Path) -> None:
    low = {town["id"]: {"climate": 10, "housing": 10} for town in TOWNS}
    high = {**low, "ulm": {"climate": 80, "housing": 80}}
    async with built_in(tmp_path) as home:
        reviewer = home.person("reviewer")
        summaries = []
        for scores, ranking in ((low, "one"), (high, "one"), (low, "two")):
            order_id = await scored(home, tmp_path, scores, ranking=ranking)
            summaries.append((await reviewer.ok("approve", order_id=order_id))["diff"]["summary"])

    assert summaries == [
        "3 cities: C 3; 0 in another tier than before",
        "3 cities: A 1, C 2; 1 in another tier than before",
        "3 cities: C 3; 0 in another tier than before",
    ]
    assert rows(tmp_path / "cities.db", "SELECT ranking, COUNT(*) FROM city_tiers GROUP BY 1") == [
        ("one", 3),
        ("two", 3),
    ]


def test_cities_without_any_difference_share_a_rank() -> None:
    scores = {f"{town['id']}/{dimension}": 50 for town in TOWNS for dimension in WEIGHTS}
    about = {"ranking": "r", "cities": TOWNS, "weights": WEIGHTS}

    made = list(city_tier_generation.rows(about, {**scores, "bonn/housing": 40}))

    assert [(row["rank"], row["name"]) for row in made] == [(1, "Köln"), (1, "Ulm"), (3, "Bonn")]
    assert [row["note"] for row in made] == ["level with Ulm in everything", "level with Köln in everything", ""]


def test_a_total_that_is_just_below_a_bound_is_not_rounded_over_it() -> None:
    about = {
        "ranking": "r",
        "cities": TOWNS[:1],
        "weights": {"climate": 999, "housing": 1},
        "tiers": [{"tier": "A", "at_least": 50}, {"tier": "Z", "at_least": 0}],
    }

    [row] = city_tier_generation.rows(about, {"ulm/climate": 50, "ulm/housing": 49})

    assert (row["total"], row["tier"]) == (50.0, "Z")


SCORES = st.integers(0, 100)


@given(weights=st.lists(st.integers(1, 5), min_size=2, max_size=2), scores=st.lists(SCORES, min_size=6, max_size=6))
def test_whatever_the_scores_a_better_total_is_a_better_rank_and_never_a_worse_tier(
    weights: list[int], scores: list[int]
) -> None:
    about = {"ranking": "r", "cities": TOWNS, "weights": dict(zip(("a", "b"), weights, strict=True))}
    keys = [f"{town['id']}/{dimension}" for town in TOWNS for dimension in ("a", "b")]

    made = list(city_tier_generation.rows(about, dict(zip(keys, scores, strict=True))))

    exact = [Fraction(row["a"] * weights[0] + row["b"] * weights[1], sum(weights)) for row in made]
    assert exact == sorted(exact, reverse=True)
    assert [row["tier"] for row in made] == sorted(row["tier"] for row in made)
    for before, row in pairwise(made):
        assert (row["rank"] == before["rank"]) == (f"level with {before['name']}" in row["note"])
    assert all(bool(row["note"]) == (exact.count(total) > 1) for row, total in zip(made, exact, strict=True))


# nothing is left out


def order_of(folder: Path, scores: dict[str, int]) -> WorkOrder:
    items = tuple(
        WorkItem(f"WO-1.{n}", "WO-1", n, TYPE, 0, {}, 0, 0, 3, key=key, result={"score": score, "reason": REASON})
        for n, (key, score) in enumerate(scores.items(), 1)
    )
    return WorkOrder("WO-1", 1, "uid", TYPE, 1, payload(folder), 0, Actor("agent", "a"), 0, 0, items=items)


def test_a_city_that_lacks_a_score_is_found_and_nothing_is_written(tmp_path: Path) -> None:
    scores = {f"{town['id']}/{dimension}": 50 for town in TOWNS for dimension in WEIGHTS}
    del scores["köln/housing"]
    order = order_of(tmp_path, scores)

    findings = CityTierGeneration().check_order(order)

    assert [(one.code, one.path, one.message) for one in findings] == [
        ("no_score", "/cities/1", "Köln has no score in housing")
    ]
    assert CityTierGeneration().preview(order) is None
    with pytest.raises(Refused):
        CityTierGeneration().apply(order, Attempt("key"))
    assert not (tmp_path / "cities.db").exists()


@pytest.mark.scenario("real-types", "apply-once")
def test_a_second_apply_with_the_same_key_changes_nothing_and_says_what_the_first_did(tmp_path: Path) -> None:
    order = order_of(tmp_path, {f"{town['id']}/{dimension}": 50 for town in TOWNS for dimension in WEIGHTS})

    first = CityTierGeneration().apply(order, Attempt("key"))
    second = CityTierGeneration().apply(order, Attempt("key", attempt=2))

    assert second == first
    assert len(first.changes) == 3

"""customer.research: on real files, through the tools, from parts with sources to rows of knowledge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.built_in import Attempt, built_in, rows
from tests.support.harness import House, Person, held
from workdocket import Actor, WorkItem, WorkOrder
from workdocket_types.customer_research import CustomerResearch

TYPE = "customer.research"
SOURCES = [
    {"url": "https://example.com/about", "title": "About Example"},
    {"url": "https://news.example.org/1", "title": "Example in the news"},
]
PARTS: dict[str, dict[str, Any]] = {
    "identity": {
        "name": "Example Ltd",
        "website": "https://example.com",
        "summary": "Makes examples of every kind, for books and for standards.",
        "sources": SOURCES,
    },
    "contacts": {"people": [{"name": "Ada", "role": "buyer", "email": "ada@example.com"}], "sources": SOURCES},
    "products": {"products": ["examples", "counterexamples"], "sources": SOURCES},
    "risks": {"risks": ["depends on one domain name"], "sources": SOURCES},
    "news": {"headline": "Example sets an example", "date": "2026-01-31", "sources": SOURCES},
}
ASKED = {
    "basic": ["identity"],
    "standard": ["identity", "contacts", "products"],
    "deep": ["identity", "contacts", "products", "risks", "news"],
}


def payload(folder: Path, **more: Any) -> dict[str, Any]:
    return {"customer": "Example", "database": str(folder / "knowledge.db"), **more}


async def taken(home: House, folder: Path, **more: Any) -> tuple[Person, dict[str, Any]]:
    worker = home.person("worker")
    await home.person("requester").propose(TYPE, payload(folder, **more))
    return worker, await worker.take()


async def send(worker: Person, item: dict[str, Any], key: str, **more: Any) -> dict[str, Any]:
    return await worker.ok("submit_part", **held(item), part_key=key, payload={**PARTS[key], **more})


async def researched(home: House, folder: Path, **changed: dict[str, Any]) -> str:
    """An order of the standard depth, ready for review."""
    worker, item = await taken(home, folder)
    for key in ASKED["standard"]:
        await send(worker, item, key, **changed.get(key, {}))
    await worker.ok("finalize", **held(item))
    order_id: str = item["order_id"]
    return order_id


def sections(folder: Path) -> dict[str, Any]:
    found = rows(folder / "knowledge.db", "SELECT customer, section, facts FROM customer_knowledge")
    return {f"{customer}|{section}": json.loads(facts) for customer, section, facts in found}


# the whole way


@pytest.mark.scenario("real-types")
async def test_parts_go_through_review_into_the_knowledge_table_as_they_were_shown(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        order_id = await researched(home, tmp_path)
        reviewer = home.person("reviewer")

        # when
        packet = await reviewer.ok("review", order_id=order_id)
        answer = await reviewer.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    assert packet["findings"] == []
    assert answer["diff"] == packet["preview"]
    assert answer["diff"]["summary"] == "customer_knowledge: 3 sections added, 0 brought up to date"
    assert sections(tmp_path)["Example|products"] == PARTS["products"]
    assert sections(tmp_path)["Example|contacts"] == PARTS["contacts"]
    assert set(sections(tmp_path)) == {"Example|identity", "Example|contacts", "Example|products"}


@pytest.mark.scenario("real-types")
async def test_later_research_changes_what_it_found_changed_and_shows_just_that(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        # given
        reviewer = home.person("reviewer")
        await reviewer.ok("approve", order_id=await researched(home, tmp_path))

        # when
        later = await researched(home, tmp_path, products={"products": ["examples", "proofs"]})
        packet = await reviewer.ok("review", order_id=later)
        answer = await reviewer.ok("approve", order_id=later, digest=packet["digest"])

    # then
    assert answer["diff"] == packet["preview"]
    assert answer["diff"]["changes"] == [
        {
            "op": "modified",
            "path": "/Example|products/facts/products/1",
            "before": "counterexamples",
            "after": "proofs",
        }
    ]
    assert sections(tmp_path)["Example|products"]["products"] == ["examples", "proofs"]


@pytest.mark.scenario("real-types", "apply-once")
def test_a_second_apply_with_the_same_key_changes_nothing_and_says_what_the_first_did(tmp_path: Path) -> None:
    # given
    result = {"customer": "Example", "sections": {"identity": PARTS["identity"], "news": None}}
    item = WorkItem("WO-1.1", "WO-1", 1, TYPE, 0, {}, 0, 0, 3, result=result)
    order = WorkOrder("WO-1", 1, "uid", TYPE, 1, payload(tmp_path), 0, Actor("agent", "a"), 0, 0, items=(item,))

    # when
    preview = CustomerResearch().preview(order)
    first = CustomerResearch().apply(order, Attempt("key"))
    second = CustomerResearch().apply(order, Attempt("key", attempt=2))

    # then
    assert preview == first == second
    assert list(sections(tmp_path)) == ["Example|identity"]


@pytest.mark.scenario("real-types")
async def test_after_a_rework_the_parts_are_still_there_and_one_new_part_is_enough(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        # given
        order_id = await researched(home, tmp_path)
        worker, reviewer = home.person("worker"), home.person("reviewer")
        why = [{"code": "stale", "message": "they sell proofs now"}]
        await reviewer.ok("reject", order_id=order_id, errors=why, rework=True)

        # when
        item = await worker.take()
        await send(worker, item, "products", products=["proofs"])
        await worker.ok("finalize", **held(item))
        await reviewer.ok("approve", order_id=order_id)

    # then
    assert {part["key"] for part in item["parts"]["present"]} == {"identity", "contacts", "products"}
    assert sections(tmp_path)["Example|products"]["products"] == ["proofs"]


# how deep


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize("depth", ASKED)
async def test_the_depth_says_which_parts_are_asked_for(tmp_path: Path, depth: str) -> None:
    async with built_in(tmp_path) as home:
        worker, item = await taken(home, tmp_path, depth=depth)

        # when: everything but the last part, then that one too
        *first, last = ASKED[depth]
        for key in first:
            await send(worker, item, key)
        error = await worker.refused("finalize", "parts_missing", **held(item))
        answer = await send(worker, item, last)

        # then
        assert item["input"]["parts"] == ASKED[depth]
        assert error["details"]["missing"] == [last]
        assert answer["parts"]["ready_to_finalize"] is True
        assert (await worker.ok("finalize", **held(item)))["assembled"] == sorted(ASKED[depth])


async def test_without_a_depth_it_is_standard(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        _, item = await taken(home, tmp_path)

    assert item["input"] == {"customer": "Example", "website": "", "parts": ASKED["standard"], "sources": 1}


async def test_more_than_was_asked_for_is_welcome(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        worker, item = await taken(home, tmp_path, depth="basic")
        for key in ("identity", "risks"):
            await send(worker, item, key)

        answer = await worker.ok("finalize", **held(item))

    assert answer["assembled"] == ["identity", "risks"]


async def test_best_effort_does_not_get_around_what_the_depth_asks_for(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        worker, item = await taken(home, tmp_path)
        await send(worker, item, "identity")

        error = await worker.refused("finalize", "invalid_result", **held(item), mode="best_effort")

    found = [(finding["code"], finding["path"]) for finding in error["details"]["findings"]]
    assert found == [("required", "/sections/contacts"), ("required", "/sections/products")]


async def test_news_are_put_together_in_order_and_a_gap_is_reported(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        # given
        worker, item = await taken(home, tmp_path, depth="deep")
        for key in ("identity", "contacts", "products", "risks"):
            await send(worker, item, key)

        async def news(seq: int) -> None:
            told = {**PARTS["news"], "headline": f"Example {seq}"}
            await worker.ok("submit_part", **held(item), part_key="news", payload=told, seq=seq)

        # when
        await news(3)
        await news(1)
        error = await worker.refused("finalize", "parts_missing", **held(item))
        await news(2)
        await worker.ok("finalize", **held(item))

        # then
        assert error["details"]["gaps"] == {"news": [2]}
        await home.person("reviewer").ok("approve", order_id=item["order_id"])
    assert [one["headline"] for one in sections(tmp_path)["Example|news"]] == ["Example 1", "Example 2", "Example 3"]


# sources


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize(
    "depth, sources, found",
    [
        ("basic", [], ("minItems", "/sources")),
        ("basic", [{"url": "somewhere", "title": "x"}], ("pattern", "/sources/0/url")),
        ("basic", [{"url": "https://example.com"}], ("required", "/sources/0/title")),
        ("deep", SOURCES[:1], ("too_few_sources", "/sources")),
        ("deep", SOURCES[:1] * 2, ("too_few_sources", "/sources")),
    ],
)
async def test_every_part_names_the_sources_that_its_depth_asks_for(
    tmp_path: Path, depth: str, sources: list[dict[str, Any]], found: tuple[str, str]
) -> None:
    async with built_in(tmp_path) as home:
        worker, item = await taken(home, tmp_path, depth=depth)
        sent = {**PARTS["identity"], "sources": sources}

        error = await worker.refused("submit_part", "invalid_part", **held(item), part_key="identity", payload=sent)

        assert [(finding["code"], finding["path"]) for finding in error["details"]["findings"]] == [found]
        await send(worker, item, "identity")


# a result in one go


@pytest.mark.scenario("real-types")
async def test_a_whole_result_is_checked_like_its_parts(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        # given
        worker, item = await taken(home, tmp_path, depth="deep")
        thin = {**PARTS["news"], "sources": SOURCES[:1]}
        whole = {key: PARTS[key] for key in ("identity", "contacts", "risks")}

        # when
        error = await worker.refused(
            "submit",
            "invalid_result",
            **held(item),
            result={"customer": "Somebody Else", "sections": {**whole, "news": [PARTS["news"], thin]}},
        )

    # then
    assert [(finding["code"], finding["path"]) for finding in error["details"]["findings"]] == [
        ("required", "/sections/products"),
        ("other_customer", "/customer"),
        ("too_few_sources", "/sections/news/1/sources"),
    ]


@pytest.mark.parametrize(
    "wrong, found",
    [
        ({"customer": ""}, ("minLength", "/customer")),
        ({"depth": "abyssal"}, ("enum", "/depth")),
        ({"database": "knowledge.db"}, ("pattern", "/database")),
        ({"budget": 1}, ("additionalProperties", "/budget")),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused(
    tmp_path: Path, wrong: dict[str, Any], found: tuple[str, str]
) -> None:
    async with built_in(tmp_path) as home:
        error = await home.person("requester").refused(
            "propose", "invalid_payload", type=TYPE, payload=payload(tmp_path, **wrong)
        )

    assert [(finding["code"], finding["path"]) for finding in error["details"]["findings"]] == [found]

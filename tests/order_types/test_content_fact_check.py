"""content.fact.check: claims with sources through review into a report that is written once."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.support.built_in import Attempt, built_in
from tests.support.harness import House, agent, held
from workdocket import Actor, Refused, WorkItem, WorkOrder
from workdocket_types.content_fact_check import ContentFactCheck

TYPE = "content.fact.check"
CLAIMS = ["Tea is a plant.", "Tea was invented in 1950."]
AS_OF = "2026-01-31"


def source(n: int = 1, **more: Any) -> dict[str, Any]:
    return {"url": f"https://example.com/{n}", "quote": "Tea has been known for long.", "date": "2025-12-24", **more}


def verdict(**more: Any) -> dict[str, Any]:
    return {"verdict": "supported", "reason": "Both say so.", "sources": [source(1), source(2)], **more}


def payload(folder: Path, **more: Any) -> dict[str, Any]:
    return {"claims": CLAIMS, "as_of": AS_OF, "report": str(folder / "report.md"), **more}


async def checked(home: House, folder: Path, *verdicts: dict[str, Any], **more: Any) -> str:
    """An order of two claims, ready for review."""
    worker = home.person("worker")
    order_id = await home.person("requester").propose(TYPE, payload(folder, **more))
    for given in verdicts or (verdict(), verdict(verdict="refuted")):
        await worker.hand_in(await worker.take(), given)
    return order_id


def found(error: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["path"]) for finding in error["details"]["findings"]]


# the whole way, over stdio, with claims about time zones and what their registry says of them

REGISTRY = "https://data.iana.org/time-zones/tzdb"
STATED = {
    "The country code of Andorra is AD.": ("Andorra", "AD", "Europe/Andorra"),
    "The country code of Germany is GM.": ("Germany", "GM", "Europe/Berlin"),
    "The country code of Atlantis is AT.": ("Atlantis", "AT", "Atlantic/Atlantis"),
    "The country code of Japan is JP.": ("Japan", "JP", "Asia/Tokyo"),
}


def looked_up(claim: str) -> dict[str, Any]:
    """What an agent that reads the registry itself makes of a claim."""
    country, code, zone = STATED[claim]
    files = resources.files("tzdata.zoneinfo")
    names = [line for line in files.joinpath("iso3166.tab").read_text("utf-8").splitlines() if line.endswith(country)]
    zones = [line for line in files.joinpath("zone.tab").read_text("utf-8").splitlines() if f"\t{zone}" in line]
    if not names or not zones:
        return {"verdict": "unclear", "reason": f"The registry knows no {country}."}
    sources = [
        {"url": f"{REGISTRY}/iso3166.tab", "quote": names[0], "date": "2025-12-10"},
        {"url": f"{REGISTRY}/zone.tab", "quote": zones[0], "date": "2025-12-10"},
    ]
    agreed = all(one["quote"].startswith(f"{code}\t") for one in sources)
    return {"verdict": "supported" if agreed else "refuted", "reason": "The lines begin so.", "sources": sources}


@pytest.mark.slow
@pytest.mark.scenario("real-types")
async def test_over_stdio_real_claims_get_verdicts_from_a_real_registry(tmp_path: Path) -> None:
    async with agent(tmp_path) as one:
        # given
        asked = payload(tmp_path, claims=list(STATED), text="All about countries.", max_age_days=365)
        order_id = (await one.ok("propose", type=TYPE, payload=asked))["order"]["id"]

        # when
        while taken := (await one.ok("checkout", order_id=order_id))["items"]:
            [item] = taken
            await one.ok("submit", **held(item), result=looked_up(item["input"]["claim"]))
        packet = await one.ok("review", order_id=order_id)
        answer = await one.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    assert packet["findings"] == []
    assert answer["diff"] == packet["preview"]
    assert answer["diff"]["summary"] == "4 claims: 2 supported, 1 refuted, 1 unclear"
    told = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert [one["verdict"] for one in told["claims"]] == ["supported", "refuted", "unclear", "supported"]
    assert told["claims"][1]["sources"][0]["quote"] == "DE\tGermany"
    report = (tmp_path / "report.md").read_text("utf-8")
    assert f"{order_id}, as of {AS_OF}: 2 supported, 1 refuted, 1 unclear." in report
    assert f"## 2. Refuted\n\n> {list(STATED)[1]}" in report
    assert f"- 2025-12-10 <{REGISTRY}/iso3166.tab>: “DE Germany”" in report


# a claim, an item


async def test_each_claim_is_an_item_that_says_how_strictly_it_is_checked(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        asked = payload(tmp_path, text="On tea.", max_age_days=31, sources=3)
        await home.person("requester").propose(TYPE, asked)
        items = [await home.person("worker").take() for _ in CLAIMS]

    strictness = {"text": "On tea.", "as_of": AS_OF, "not_before": "2025-12-31", "sources": 3}
    assert [item["input"] for item in items] == [{"claim": claim, **strictness} for claim in CLAIMS]
    assert [item["key"] for item in items] == ["claim-1", "claim-2"]


@pytest.mark.parametrize(
    "wrong, expected",
    [
        ({"claims": []}, ("minItems", "/claims")),
        ({"claims": ["Tea is hot.", "tea  is Hot."]}, ("uniqueItems", "/claims")),
        ({"claims": [" "]}, ("minLength", "/claims")),
        ({"as_of": "yesterday"}, ("format", "/as_of")),
        ({"report": "report.md"}, ("pattern", "/report")),
        ({"report": "/tmp/report.txt"}, ("pattern", "/report")),
        ({"sources": 0}, ("minimum", "/sources")),
        ({"max_age_days": 740_000}, ("maximum", "/max_age_days")),
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


# what a verdict must be


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize(
    "result, expected",
    [
        ({"verdict": "supported"}, [("too_few_sources", "/sources")]),
        (verdict(verdict="refuted", sources=[source()]), [("too_few_sources", "/sources")]),
        ({"verdict": "unclear"}, [("required", "/reason")]),
        ({"verdict": "unclear", "reason": "  "}, [("required", "/reason")]),
        (verdict(verdict="true"), [("enum", "/verdict")]),
        (verdict(sources=[source(), source()]), [("twice", "/sources/1/url")]),
        (verdict(sources=[source(), source(url="http://www.EXAMPLE.com/1/#top")]), [("twice", "/sources/1/url")]),
        (verdict(sources=[source(1), source(2, date="2025-12-23")]), [("too_old", "/sources/1/date")]),
        (verdict(sources=[source(1, date="2026-02-01"), source(2)]), [("too_young", "/sources/0/date")]),
        (verdict(sources=[source(1, date="2025-02-30"), source(2)]), [("format", "/sources/0/date")]),
        (verdict(sources=[source(1, url="example.com"), source(2)]), [("pattern", "/sources/0/url")]),
        (verdict(sources=[source(1, quote="yes"), source(2)]), [("minLength", "/sources/0/quote")]),
        (
            verdict(sources=[source(date="1999-01-01"), source()]),
            [("twice", "/sources/1/url"), ("too_old", "/sources/0/date")],
        ),
    ],
)
async def test_a_verdict_rests_on_different_and_recent_sources_or_says_why_not(
    tmp_path: Path, result: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    async with built_in(tmp_path) as home:
        await home.person("requester").propose(TYPE, payload(tmp_path, max_age_days=38))
        worker = home.person("worker")

        error = await worker.refused("submit", "invalid_result", **held(await worker.take()), result=result)

    assert found(error) == expected


@pytest.mark.parametrize(
    "result",
    [
        verdict(sources=[source(1, date="2025-12-24"), source(2, date=AS_OF)]),
        verdict(sources=[source(1), source(url="https://example.com/1?page=2")]),
        {"verdict": "unclear", "reason": "Nobody wrote about it."},
        {"verdict": "unclear", "reason": "They differ.", "sources": [source()]},
    ],
)
async def test_what_is_just_enough_is_enough(tmp_path: Path, result: dict[str, Any]) -> None:
    async with built_in(tmp_path) as home:
        await home.person("requester").propose(TYPE, payload(tmp_path, max_age_days=38))
        worker = home.person("worker")

        await worker.hand_in(await worker.take(), result)


async def test_the_schema_speaks_in_words_of_its_own(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        await home.person("requester").propose(TYPE, payload(tmp_path))
        worker = home.person("worker")
        wrong = verdict(sources=[source(url="example.com", date="last week")])

        error = await worker.refused("submit", "invalid_result", **held(await worker.take()), result=wrong)

    messages = [finding["message"] for finding in error["details"]["findings"]]
    assert messages == ["a day such as 2026-01-31", "the whole address of the page, https://…"]


# across claims


@pytest.mark.scenario("real-types")
async def test_a_page_that_two_agents_date_differently_is_found_before_approval(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        other = verdict(sources=[source(1, date="2025-12-25"), source(3)])
        order_id = await checked(home, tmp_path, verdict(), other)

        error = await home.person("reviewer").refused("approve", "not_ready", order_id=order_id)

    assert found(error) == [("two_dates", "/items")]


def test_a_claim_without_a_verdict_is_found() -> None:
    item = WorkItem("WO-1.1", "WO-1", 1, TYPE, 0, {"claim": CLAIMS[1]}, 0, 0, 3, result=verdict())
    asked = {"claims": CLAIMS, "as_of": AS_OF, "report": "/tmp/report.md"}
    order = WorkOrder("WO-1", 1, "uid", TYPE, 1, asked, 0, Actor("agent", "a"), 0, 0, items=(item,))

    findings = ContentFactCheck().check_order(order)

    assert [(one.code, one.path) for one in findings] == [("no_verdict", "/claims/0")]


# the report


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize("taken", ["report.md", "report.json"])
async def test_a_report_that_is_there_is_not_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("somebody's own\n")
    async with built_in(tmp_path) as home:
        order_id = await checked(home, tmp_path)

        error = await home.person("reviewer").refused("approve", "not_ready", order_id=order_id)

    assert [finding["message"] for finding in error["details"]["findings"]] == [f"{taken} is there already"]
    assert [path.name for path in tmp_path.glob("report.*")] == [taken]


def order_of(folder: Path, *verdicts: dict[str, Any]) -> WorkOrder:
    items = tuple(
        WorkItem(f"WO-1.{n}", "WO-1", n, TYPE, 0, {"claim": CLAIMS[n - 1]}, 0, 0, 3, result=one)
        for n, one in enumerate(verdicts, 1)
    )
    return WorkOrder("WO-1", 1, "uid", TYPE, 1, payload(folder), 0, Actor("agent", "a"), 0, 0, items=items)


@pytest.mark.scenario("real-types", "apply-once")
def test_an_apply_that_died_between_the_two_files_is_gone_on_with(tmp_path: Path) -> None:
    # given
    order = order_of(tmp_path, verdict(), verdict(verdict="refuted"))
    first = ContentFactCheck().apply(order, Attempt("key"))
    whole = (tmp_path / "report.md").read_bytes()
    (tmp_path / "report.md").unlink()
    json_file = (tmp_path / "report.json").stat()

    # when
    second = ContentFactCheck().apply(order, Attempt("key", attempt=2))

    # then
    assert second == first
    assert (tmp_path / "report.md").read_bytes() == whole
    assert (tmp_path / "report.json").stat().st_ino == json_file.st_ino


def test_when_one_of_the_two_files_cannot_be_made_neither_is(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("somebody was faster\n")

    with pytest.raises(Refused, match=r"report\.md is there already"):
        ContentFactCheck().apply(order_of(tmp_path, verdict()), Attempt("key"))

    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_the_report_of_an_order_with_the_same_number_of_another_installation_is_not_taken_for_ones_own(
    tmp_path: Path,
) -> None:
    order = order_of(tmp_path, verdict())
    ContentFactCheck().apply(replace(order, uid="other"), Attempt("other key"))

    with pytest.raises(Refused, match=r"report\.json is there already"):
        ContentFactCheck().apply(order, Attempt("key"))


@pytest.mark.scenario("real-types")
def test_nothing_that_an_agent_wrote_is_markup_in_the_report(tmp_path: Path) -> None:
    loud = "<script>alert(1)</script>\n# A heading of its own"
    order = order_of(tmp_path, verdict(reason=loud, sources=[source(quote=loud), source(2)]))

    ContentFactCheck().apply(order, Attempt("key"))

    lines = (tmp_path / "report.md").read_text("utf-8").splitlines()
    assert [line for line in lines if "<script" in line] == []
    assert [line for line in lines if line.startswith("#")] == ["# Fact check", "## 1. Supported"]

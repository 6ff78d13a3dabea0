"""The first two built-in types on real data, as hosts use them: a server of one's own, over stdio."""

from __future__ import annotations

import csv
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest

from tests.support.built_in import rows
from tests.support.harness import agent, held


def airports(most: int) -> list[dict[str, str]]:
    """Real ones, from the list that the demo uses."""
    text = resources.files("workdocket.surfaces.demo").joinpath("airports.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))[:most]


@pytest.mark.slow
@pytest.mark.scenario("real-types")
async def test_over_stdio_two_agents_verify_real_airports_batch_by_batch(tmp_path: Path) -> None:
    # given
    records = airports(60)
    asked = {"database": str(tmp_path / "air.db"), "table": "airports", "key": ["iata"], "records": records}
    async with agent(tmp_path, "--actor", "ann") as ann, agent(tmp_path, "--actor", "bob") as bob:
        filed = await ann.ok("propose", type="database.record.insert", payload={**asked, "batch_size": 20})
        order_id = filed["order"]["id"]

        # when
        [first], [second] = [(await one.ok("checkout", order_id=order_id))["items"] for one in (ann, bob)]
        short = {"records": first["input"]["records"][1:], "dropped": []}
        refusal = await ann.refused("submit", "invalid_result", **held(first), result=short)
        for one, item in ((ann, first), (bob, second)):
            await one.ok("submit", **held(item), result={"records": item["input"]["records"], "dropped": []})
        [third] = (await bob.ok("checkout", order_id=order_id))["items"]
        last = third["input"]["records"]
        dropped = [{"key": last[0]["iata"], "reason": "closed for good"}]
        await bob.ok("submit", **held(third), result={"records": last[1:], "dropped": dropped})
        packet = await ann.ok("review", order_id=order_id)
        answer = await ann.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    assert [finding["code"] for finding in refusal["details"]["findings"]] == ["missing_record"]
    written = rows(tmp_path / "air.db", "SELECT iata, name FROM airports ORDER BY iata")
    assert written == sorted((one["iata"], one["name"]) for one in records if one["iata"] != last[0]["iata"])
    assert answer["diff"]["summary"] == "airports: 59 added, 0 modified, 0 unchanged"


def facts_about(package: str) -> dict[str, Any]:
    """What an installed package says of itself, as the parts of a piece of research."""
    said = metadata.metadata(package)
    urls = [one.partition(", ") for one in said.get_all("Project-URL") or []]
    sources = [{"url": url, "title": title} for title, _, url in urls if url.startswith("https://")][:3]
    assert len(sources) >= 2, f"{package} names too few pages"
    who = said["Author-email"] or said["Author"] or package
    return {
        "identity": {
            "name": package,
            "website": sources[0]["url"],
            "summary": (said["Summary"] or "").ljust(20, "."),
            "sources": sources,
        },
        "contacts": {
            "people": [{"name": who.partition("<")[0].strip() or package, "role": "author"}],
            "sources": sources,
        },
        "products": {"products": [f"{package} {said['Version']}"], "sources": sources},
    }


@pytest.mark.slow
@pytest.mark.scenario("real-types")
async def test_over_stdio_what_one_agent_began_another_one_finishes(tmp_path: Path) -> None:
    # given
    parts = facts_about("pydantic")
    asked = {"customer": "pydantic", "database": str(tmp_path / "knowledge.db")}
    async with agent(tmp_path, "--actor", "ann") as ann, agent(tmp_path, "--actor", "bob") as bob:
        filed = await ann.ok("propose", type="customer.research", payload=asked)
        order_id = filed["order"]["id"]
        [item] = (await ann.ok("checkout", order_id=order_id))["items"]
        for key in ("identity", "contacts"):
            await ann.ok("submit_part", **held(item), part_key=key, payload=parts[key])
        unsourced = {**parts["products"], "sources": []}
        await ann.refused("submit_part", "invalid_part", **held(item), part_key="products", payload=unsourced)
        await ann.ok("release", **held(item), reason="somebody else knows the products")

        # when
        [taken] = (await bob.ok("checkout", order_id=order_id))["items"]
        lacking = await bob.refused("finalize", "parts_missing", **held(taken))
        await bob.ok("submit_part", **held(taken), part_key="products", payload=parts["products"])
        await bob.ok("finalize", **held(taken))
        packet = await ann.ok("review", order_id=order_id)
        answer = await ann.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    assert lacking["details"]["missing"] == ["products"]
    found = [part["key"] for part in taken["parts"]["present"] if part["status"] == "validated"]
    assert sorted(found) == ["contacts", "identity"]
    assert answer["applied"] is True
    known = rows(tmp_path / "knowledge.db", "SELECT DISTINCT customer FROM customer_knowledge")
    assert known == [("pydantic",)]

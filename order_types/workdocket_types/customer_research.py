"""What there is to know about a customer: parts that agents send with their sources, kept in a knowledge table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workdocket import ApplyContext, Diff, Finding, ItemSpec, OrderType, Part, PartSpec, WorkItem, WorkOrder
from workdocket.effects.sqlite import Rows, Upsert
from workdocket_types.fields import File

TABLE = "customer_knowledge"
KEY = ["customer", "section"]

ASKED: Mapping[str, tuple[list[str], int]] = {
    "basic": (["identity"], 1),
    "standard": (["identity", "contacts", "products"], 1),
    "deep": (["identity", "contacts", "products", "risks", "news"], 2),
}
"""Which parts a depth asks for, and how many sources each of them has to name."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Source(Strict):
    """Where a fact was found."""

    url: str = Field(pattern=r"^https?://[^\s]+$", max_length=2_000)
    title: str = Field(min_length=1, max_length=300)


class Sourced(Strict):
    sources: list[Source] = Field(min_length=1, description="Where this was found.")


class Identity(Sourced):
    name: str = Field(min_length=1)
    website: str = Field(pattern=r"^https?://[^\s]+$")
    summary: str = Field(min_length=20, description="What the customer does, in two or three sentences.")
    country: str = Field(default="", max_length=60)


class Contact(Strict):
    name: str = Field(min_length=1)
    role: str = Field(min_length=1)
    email: str = Field(default="", pattern=r"^$|^[^@\s]+@[^@\s]+\.[^@\s]+$")


class Contacts(Sourced):
    people: list[Contact] = Field(min_length=1)


class Products(Sourced):
    products: list[str] = Field(min_length=1)


class Risks(Sourced):
    risks: list[str] = Field(min_length=1)


class News(Sourced):
    """One piece of news; send one part for each, seq 1, 2, 3 …"""

    headline: str = Field(min_length=5)
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


class Sections(Strict):
    identity: Identity
    contacts: Contacts | None = None
    products: Products | None = None
    risks: Risks | None = None
    news: list[News] | None = Field(default=None, min_length=1)


class Result(Strict):
    """The parts put together."""

    customer: str
    sections: Sections


class Payload(Strict):
    customer: str = Field(min_length=1, max_length=200)
    website: str = Field(default="", max_length=500)
    depth: Literal["basic", "standard", "deep"] = Field(
        default="standard",
        description="basic: identity; standard: with contacts and products; deep: with risks and news.",
    )
    database: File = Field(description="Absolute path of the SQLite file that holds the knowledge table.")


class CustomerResearch(OrderType):
    name = "customer.research"
    title = "Research a customer"
    description = "Collects sourced facts about a customer, part by part, into a knowledge table."
    instructions = (
        "Research input.customer. Send each of input.parts with submit_part, every one with at least input.sources "
        "different sources; others are welcome. News come one by one with seq 1, 2, 3. Then finalize. "
        "Never invent a source."
    )
    payload = Payload
    result = Result
    settings_may_loosen = True
    parts = {
        "identity": PartSpec(Identity),
        "contacts": PartSpec(Contacts, required=False),
        "products": PartSpec(Products, required=False),
        "risks": PartSpec(Risks, required=False),
        "news": PartSpec(News, required=False, mode="sequence"),
    }

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        parts, sources = ASKED[order.payload.get("depth", "standard")]
        about = {"customer": order.payload["customer"], "website": order.payload.get("website", "")}
        return [ItemSpec(input={**about, "parts": parts, "sources": sources})]

    def required_parts(self, item: WorkItem) -> set[str]:
        return set(item.input["parts"])

    def check_part(self, item: WorkItem, part: Part) -> list[Finding]:
        return list(_too_few_sources(item, "", part.payload))

    def assemble(self, item: WorkItem, parts: Mapping[str, Any]) -> dict[str, Any]:
        return {"customer": item.input["customer"], "sections": dict(parts)}

    def check_result(self, item: WorkItem, result: dict[str, Any]) -> list[Finding]:
        return list(_whole(item, result))

    def preview(self, order: WorkOrder) -> Diff:
        return _upsert(order).rehearse()

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _upsert(order).apply(ctx)

    def preview_revert(self, order: WorkOrder) -> Diff:
        return _upsert(order).rehearse_revert(order.diff or Diff())

    def revert(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _upsert(order).revert(ctx, order.diff or Diff())


def _whole(item: WorkItem, result: dict[str, Any]) -> Iterator[Finding]:
    """Every part that was asked for, about the right customer, with its sources."""
    sections = _sections(result)
    for name in item.input["parts"]:
        if name not in sections:
            yield Finding("required", f"/sections/{name}", f"this item asks for {name}")
    if result["customer"] != item.input["customer"]:
        yield Finding("other_customer", "/customer", f"this item is about {item.input['customer']}")
    for name, facts in sections.items():
        if isinstance(facts, list):
            for n, one in enumerate(facts):
                yield from _too_few_sources(item, f"/sections/{name}/{n}", one)
        else:
            yield from _too_few_sources(item, f"/sections/{name}", facts)


def _too_few_sources(item: WorkItem, at: str, facts: Mapping[str, Any]) -> Iterator[Finding]:
    wanted, found = item.input["sources"], {source["url"] for source in facts["sources"]}
    if len(found) < wanted:
        yield Finding("too_few_sources", f"{at}/sources", f"this item asks for {wanted} different sources")


def _sections(result: dict[str, Any]) -> dict[str, Any]:
    return {name: facts for name, facts in sorted(result["sections"].items()) if facts is not None}


def _upsert(order: WorkOrder) -> Upsert:
    """One row a section, its facts as JSON."""
    rows = [
        {
            "customer": item.result["customer"],
            "section": section,
            "facts": json.dumps(facts, sort_keys=True, ensure_ascii=False),
        }
        for item in order.items
        if item.result
        for section, facts in _sections(item.result).items()
    ]
    return Upsert(Path(order.payload["database"]).expanduser(), TABLE, KEY, rows, _diff)


def _diff(before: Rows, after: Rows) -> Diff:
    """Field by field inside the facts, not one long text against another."""
    summary = f"{TABLE}: {len(after) - len(before)} sections added, {len(before)} brought up to date"
    return Diff.between(_readable(before), _readable(after), summary)


def _readable(rows: Rows) -> Rows:
    return {key: {**row, "facts": json.loads(row["facts"])} for key, row in rows.items()}

"""Claims of a text, each looked into by an agent that names its sources; the verdicts go into a report."""

from __future__ import annotations

import html
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from workdocket import ApplyContext, Diff, Finding, ItemSpec, OrderType, WorkItem, WorkOrder
from workdocket.effects import file
from workdocket_types.fields import File

SOURCES = 2
VERDICTS = ("supported", "refuted", "unclear")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Payload(Strict):
    """Which claims are checked, how strictly, and where the report goes."""

    claims: list[str] = Field(min_length=1, max_length=200, description="One sentence each, as it is to be checked.")
    text: str = Field(default="", max_length=100_000, description="The text that makes the claims, for the context.")
    as_of: date = Field(description="The day that the claims are checked for; no source may be younger.")
    max_age_days: int | None = Field(default=None, ge=0, description="How old a source may be on that day, in days.")
    sources: int = Field(default=SOURCES, ge=1, le=10, description="How many sources a verdict takes.")
    report: File = Field(
        description="Absolute path of the report, .md; a .json beside it has the same. Neither may be there yet."
    )

    @field_validator("claims")
    @classmethod
    def each_once(cls, claims: list[str]) -> list[str]:
        said = Counter(" ".join(claim.casefold().split()) for claim in claims)
        if "" in said:
            raise PydanticCustomError("minLength", "a claim is empty")
        if len(said) < len(claims):
            raise PydanticCustomError("uniqueItems", "a claim is there twice")
        return claims

    @field_validator("max_age_days")
    @classmethod
    def within_the_calendar(cls, age: int | None, info: ValidationInfo) -> int | None:
        as_of: date | None = info.data.get("as_of")
        if age is not None and as_of is not None and age > (as_of - date.min).days:
            raise PydanticCustomError("maximum", "that goes back to before the year 1")
        return age

    @field_validator("report")
    @classmethod
    def in_markdown(cls, report: str) -> str:
        if not report.endswith(".md"):
            raise PydanticCustomError("pattern", "the name of the report ends in .md")
        return report


class Source(Strict):
    url: str = Field(
        pattern=r"^https?://[^\s<>\"]+$",
        max_length=2_000,
        json_schema_extra={"x-messages": {"pattern": "the whole address of the page, https://…"}},
    )
    quote: str = Field(min_length=5, max_length=2_000, description="The words of the source that bear on the claim.")
    date: str = Field(
        description="Day of publication.",
        json_schema_extra={"format": "date", "x-messages": {"format": "a day such as 2026-01-31"}},
    )


class Result(Strict):
    verdict: Literal["supported", "refuted", "unclear"]
    reason: str = Field(default="", max_length=2_000, description="How the sources lead to the verdict.")
    sources: list[Source] = Field(default=[], max_length=50)


class ContentFactCheck(OrderType):
    name = "content.fact.check"
    title = "Check claims"
    description = "A verdict with sources for each claim of a text, as a report in Markdown and JSON."
    instructions = (
        "Check input.claim as it was on input.as_of. Supported or refuted takes input.sources different pages, each "
        "with url, literal quote and date of publication, none before input.not_before or after input.as_of. If you "
        "can't find them, the verdict is unclear, with a reason. Never invent a source or a quote."
    )
    payload = Payload
    result = Result
    settings_may_loosen = True

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [
            ItemSpec(key=f"claim-{n}", input={**_asked(order.payload), "claim": claim})
            for n, claim in enumerate(order.payload["claims"], 1)
        ]

    def check_result(self, item: WorkItem, result: dict[str, Any]) -> list[Finding]:
        sources = result.get("sources", [])
        return [*_unfounded(item.input, result), *_twice(sources), *_not_in_time(item.input, sources)]

    def check_order(self, order: WorkOrder) -> list[Finding]:
        return [*_without_verdict(order), *_two_dates(order)]

    def preview(self, order: WorkOrder) -> Diff:
        for path, text in _reports(order).items():
            file.rehearse(path, None, text)
        return _diff(order)

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        diff = self.preview(order)
        for path, text in _reports(order).items():
            file.replace(path, ctx, None, text)
        return diff


def _asked(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What is the same for each claim. ``not_before`` is the oldest day a source may have."""
    age = payload.get("max_age_days")
    oldest = None if age is None else date.fromisoformat(payload["as_of"]) - timedelta(days=age)
    return {
        "text": payload.get("text", ""),
        "as_of": payload["as_of"],
        "not_before": oldest and oldest.isoformat(),
        "sources": payload.get("sources", SOURCES),
    }


def _unfounded(asked: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[Finding]:
    if result["verdict"] == "unclear":
        if not result.get("reason", "").strip():
            yield Finding("required", "/reason", "unclear needs a reason: what did you look for, and what is missing?")
    elif len(result.get("sources", [])) < asked["sources"]:
        words = f"{result['verdict']} takes {asked['sources']} sources; without them the verdict is unclear"
        yield Finding("too_few_sources", "/sources", words)


def _twice(sources: list[dict[str, Any]]) -> Iterator[Finding]:
    pages = [_page(source["url"]) for source in sources]
    for n, page in enumerate(pages):
        if page in pages[:n]:
            yield Finding("twice", f"/sources/{n}/url", f"the same page as source {pages.index(page) + 1}")


def _not_in_time(asked: Mapping[str, Any], sources: list[dict[str, Any]]) -> Iterator[Finding]:
    for n, source in enumerate(sources):
        if source["date"] > asked["as_of"]:
            yield Finding("too_young", f"/sources/{n}/date", f"the claim is checked as of {asked['as_of']}")
        elif asked["not_before"] and source["date"] < asked["not_before"]:
            yield Finding("too_old", f"/sources/{n}/date", f"nothing from before {asked['not_before']} counts")


def _page(url: str) -> tuple[str, str, str]:
    """What an address points to, however it is written."""
    parts = urlsplit(url)
    return parts.netloc.lower().removeprefix("www."), parts.path.rstrip("/"), parts.query


def _without_verdict(order: WorkOrder) -> Iterator[Finding]:
    judged = {item.input["claim"] for item in order.items if item.result and item.result["verdict"] in VERDICTS}
    for n, claim in enumerate(order.payload["claims"]):
        if claim not in judged:
            yield Finding("no_verdict", f"/claims/{n}", f"claim {n + 1} has no verdict")


def _two_dates(order: WorkOrder) -> Iterator[Finding]:
    """A page that two agents date differently: one of them did not look."""
    dated: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for item in order.items:
        for source in (item.result or {}).get("sources", []):
            dated[_page(source["url"])].setdefault(source["date"], f"{item.id} ({source['url']})")
    for dates in dated.values():
        if len(dates) > 1:
            told = ", ".join(f"{day} by {where}" for day, where in sorted(dates.items()))
            yield Finding("two_dates", "/items", f"one page with two dates: {told}")


def _verdicts(order: WorkOrder) -> list[dict[str, Any]]:
    return [
        {"claim": item.input["claim"], "reason": "", "sources": [], **item.result}
        for item in order.items
        if item.result
    ]


def _diff(order: WorkOrder) -> Diff:
    verdicts = _verdicts(order)
    found = {item["claim"]: {"verdict": item["verdict"], "sources": len(item["sources"])} for item in verdicts}
    return Diff.between({}, found, f"{len(found)} claims: {_counts(verdicts)}")


def _counts(verdicts: list[dict[str, Any]]) -> str:
    counted = Counter(one["verdict"] for one in verdicts)
    return ", ".join(f"{counted[verdict]} {verdict}" for verdict in VERDICTS)


# the report


def _reports(order: WorkOrder) -> dict[Path, str]:
    """The two files: where, and what is in them. The same order, the same text, which no other order has."""
    path = Path(order.payload["report"]).expanduser()
    verdicts = _verdicts(order)
    whole = {"order": order.id, "uid": order.uid, "as_of": order.payload["as_of"], "claims": verdicts}
    return {
        path.with_suffix(".json"): json.dumps(whole, indent=2, ensure_ascii=False) + "\n",
        path: "\n".join(_markdown(order, verdicts)),
    }


def _markdown(order: WorkOrder, verdicts: list[dict[str, Any]]) -> Iterator[str]:
    yield from ["# Fact check", "", f"{order.id}, as of {order.payload['as_of']}: {_counts(verdicts)}.", ""]
    for n, one in enumerate(verdicts, 1):
        yield from [f"## {n}. {one['verdict'].capitalize()}", "", f"> {_line(one['claim'])}", ""]
        if one["reason"]:
            yield from [_line(one["reason"]), ""]
        for source in one["sources"]:
            yield f"- {source['date']} <{source['url']}>: “{_line(source['quote'])}”"
        yield ""


def _line(text: str) -> str:
    """On one line, and nothing in it is markup."""
    return html.escape(" ".join(text.split()), quote=False)

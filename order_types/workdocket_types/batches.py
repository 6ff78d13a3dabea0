"""Records that agents go through batch by batch: none gets lost on the way, none comes twice, none is new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from workdocket import Finding, WorkOrder
from workdocket.effects.sqlite import Record, key_text


class Dropped(BaseModel):
    """A record that should not go in."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(description="The record's key values, joined by |.")
    reason: str = Field(min_length=3)


def without_key(records: Sequence[Record], key: Sequence[str]) -> list[Finding]:
    return [
        Finding("required", f"/records/{n}/{column}", "every record needs its key columns")
        for n, record in enumerate(records)
        for column in key
        if record.get(column) is None
    ]


def not_the_batch(wanted: Iterable[str], result: dict[str, Any], key: Sequence[str]) -> Iterator[Finding]:
    """Each record of the batch must come back once, in ``records`` or in ``dropped``, and no other."""
    asked = dict.fromkeys(wanted)
    given = Counter(key_text(record, key) for record in result["records"])
    given.update(one["key"] for one in result.get("dropped", []))
    for one in asked:
        if one not in given:
            yield Finding("missing_record", "/records", f"{one} is neither verified nor dropped")
    for one, count in given.items():
        if one not in asked:
            yield Finding("unknown_record", "/records", f"{one} is not in this batch")
        elif count > 1:
            yield Finding("twice", "/records", f"{one} is there {count} times")


def kept(order: WorkOrder) -> list[Record]:
    """The records of all batches that were not dropped."""
    return [record for item in order.items if item.result for record in item.result["records"]]


def across_batches(order: WorkOrder, key: Sequence[str]) -> list[Finding]:
    """What is wrong only when the batches are put together."""
    records = kept(order)
    if not records:
        return [Finding("nothing", "/records", "every record was dropped; there is nothing to write")]
    counted = Counter(key_text(record, key) for record in records)
    return [
        Finding("twice", "/records", f"{one} is in {count} batches; send one of them back")
        for one, count in counted.items()
        if count > 1
    ]

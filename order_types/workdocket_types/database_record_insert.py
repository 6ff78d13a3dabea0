"""Records into a SQLite table: split into batches, each verified by an agent, all written at once after approval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from workdocket import ApplyContext, Diff, Finding, ItemSpec, OrderType, WorkItem, WorkOrder
from workdocket.effects.sqlite import Upsert, counted, key_text
from workdocket_types.batches import Dropped, across_batches, kept, not_the_batch, without_key
from workdocket_types.fields import File, Table

Scalar = str | int | float | bool | None
Record = dict[str, Scalar]
BATCH_SIZE = 50


class Payload(BaseModel):
    """Which records go into which table of which database."""

    model_config = ConfigDict(extra="forbid")

    database: File = Field(description="Absolute path of the SQLite file; it is made when it is not there.")
    table: Table = Field(description="Table; it is made when it is not there.")
    key: list[str] = Field(min_length=1, max_length=5, description="Columns that identify a row.")
    records: list[Record] = Field(min_length=1, max_length=10_000, description="Rows: column to value.")
    batch_size: int = Field(default=BATCH_SIZE, ge=1, le=500, description="Records that one agent verifies at a time.")

    @field_validator("key")
    @classmethod
    def each_column_once(cls, key: list[str]) -> list[str]:
        if len(set(key)) < len(key):
            raise PydanticCustomError("uniqueItems", "a column is named twice")
        return key

    @field_validator("records")
    @classmethod
    def every_record_has_its_key(cls, records: list[Record], info: ValidationInfo) -> list[Record]:
        lacking = [finding.path for finding in without_key(records, info.data.get("key", []))]
        if lacking:
            raise PydanticCustomError(
                "required", f"every record needs its key; these are missing: {', '.join(lacking[:20])}"
            )
        return records


class Result(BaseModel):
    """Every record of the batch, either verified (and mended where need be) or dropped with a reason."""

    model_config = ConfigDict(extra="forbid")

    records: list[Record] = Field(description="Verified records, whole, mended where need be.")
    dropped: list[Dropped] = Field(default=[], description="Records that should not go in.")


class DatabaseRecordInsert(OrderType):
    name = "database.record.insert"
    title = "Insert records"
    description = "Upserts records into a SQLite table once, after agents verified them batch by batch."
    instructions = (
        "Verify every record of input.records: types, spelling, plausibility. Return them all in `records`, mended "
        "where you are sure, or name them in `dropped` with a reason. Never leave one out and never change a key."
    )
    payload = Payload
    result = Result
    settings_may_loosen = True

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        table, key, records = (order.payload[name] for name in ("table", "key", "records"))
        size = order.payload.get("batch_size", BATCH_SIZE)
        batches = [records[start : start + size] for start in range(0, len(records), size)]
        return [
            ItemSpec(key=f"batch-{n}", input={"table": table, "key": key, "records": batch})
            for n, batch in enumerate(batches, 1)
        ]

    def check_result(self, item: WorkItem, result: dict[str, Any]) -> list[Finding]:
        key, asked = item.input["key"], item.input["records"]
        return without_key(result["records"], key) or [
            *not_the_batch((key_text(record, key) for record in asked), result, key),
            *_other_columns(asked, result["records"]),
        ]

    def check_order(self, order: WorkOrder) -> list[Finding]:
        return across_batches(order, order.payload["key"])

    def preview(self, order: WorkOrder) -> Diff:
        return _upsert(order).rehearse()

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _upsert(order).apply(ctx)

    def preview_revert(self, order: WorkOrder) -> Diff:
        return _upsert(order).rehearse_revert(order.diff or Diff())

    def revert(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _upsert(order).revert(ctx, order.diff or Diff())


def _other_columns(asked: Sequence[Record], given: Sequence[Record]) -> Iterator[Finding]:
    known = {column for record in asked for column in record}
    for n, record in enumerate(given):
        for column in record:
            if column not in known:
                yield Finding("unknown_column", f"/records/{n}/{column}", f"{column} is in no record of this batch")


def _upsert(order: WorkOrder) -> Upsert:
    table, path = order.payload["table"], Path(order.payload["database"]).expanduser()
    return Upsert(path, table, order.payload["key"], kept(order), counted(table))

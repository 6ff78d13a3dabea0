"""Users from a CSV or JSON file into a table: cleaned batch by batch by agents, written at once after approval.

The payload names the file, its checksum and how many records it has: with that, the plan needs no look at the file,
and whoever looks later (each check, the preview) notices when it is not the file that was asked about. Print the three
for a file with ``python -m workdocket_types.user_data_sync FILE``.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from workdocket import ApplyContext, Diff, Finding, ItemSpec, OrderType, Refused, WorkItem, WorkOrder
from workdocket.effects.sqlite import Record, Upsert, counted
from workdocket_types.batches import Dropped, across_batches, kept, not_the_batch, without_key
from workdocket_types.fields import File, Table

BATCH_SIZE, MOST_BATCHES = 50, 2_000
Form = Literal["text", "email", "phone", "date", "country", "integer"]


class Payload(BaseModel):
    """Which users of which file go into which table."""

    model_config = ConfigDict(extra="forbid")

    source: File = Field(description="Absolute path of a .csv, .json (list) or .jsonl file that agents can read.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="Checksum of the file; when the file is another one later, nothing is written.",
        json_schema_extra={"x-messages": {"pattern": "64 lower-case hex digits, as `sha256sum FILE` prints them"}},
    )
    rows: int = Field(ge=1, le=100_000, description="Records in the file, without the head line of a CSV.")
    database: File = Field(description="Absolute path of the SQLite file; it is made when it is not there.")
    table: Table = Field(description="Table of the users; it is made when it is not there.")
    key: str = Field(min_length=1, description="The column that identifies a user, in the file and in the table.")
    columns: dict[str, Form] = Field(
        min_length=1, description="Every column of the result, and the form of its values."
    )
    batch_size: int = Field(default=BATCH_SIZE, ge=1, le=500, description="Records that one agent cleans at a time.")

    @field_validator("source")
    @classmethod
    def of_a_kind_that_can_be_read(cls, source: str) -> str:
        if Path(source).suffix not in READERS:
            raise PydanticCustomError("pattern", "the name of the file ends in .csv, .json or .jsonl")
        return source

    @field_validator("columns")
    @classmethod
    def with_the_key(cls, columns: dict[str, Form], info: ValidationInfo) -> dict[str, Form]:
        if info.data.get("key") not in columns:
            raise PydanticCustomError("required", "the key has to be one of the columns")
        return columns

    @field_validator("batch_size")
    @classmethod
    def not_too_many_batches(cls, size: int, info: ValidationInfo) -> int:
        if info.data.get("rows", 0) > size * MOST_BATCHES:
            raise PydanticCustomError("minimum", f"that makes more than {MOST_BATCHES} batches; make them larger")
        return size


class Result(BaseModel):
    """Every record of the batch, cleaned, or dropped with a reason."""

    model_config = ConfigDict(extra="forbid")

    records: list[dict[str, str | int | None]] = Field(description="Clean records; each has every one of the columns.")
    dropped: list[Dropped] = Field(default=[], description="Records that should not go in.")


class UserDataSync(OrderType):
    name = "user.data.sync"
    title = "Sync users from a file"
    description = "Upserts the users of a CSV or JSON file into a SQLite table once, after agents cleaned them."
    instructions = (
        "Read records input.first to input.last of the file input.source, counted from 1 without the head line. Return "
        "each in `records` with exactly the columns of input.columns, in their forms: text trimmed; email lower-case; "
        "phone +491701234567; date 2026-01-31; country DE; integer. null where the file has no value: never invent "
        "one. Don't change the key. What is no real user goes into `dropped` with a reason. If the sha256 of the file "
        "is not input.sha256, fail with retryable=false."
    )
    payload = Payload
    result = Result
    settings_may_loosen = True

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        rows, size = order.payload["rows"], order.payload.get("batch_size", BATCH_SIZE)
        about = {name: order.payload[name] for name in ("source", "sha256", "rows", "key", "columns")}
        ranges = [(first, min(first + size - 1, rows)) for first in range(1, rows + 1, size)]
        return [
            ItemSpec(key=f"{first}-{last}", input={**about, "first": first, "last": last}) for first, last in ranges
        ]

    def check_result(self, item: WorkItem, result: dict[str, Any]) -> list[Finding]:
        key, first, last = (item.input[name] for name in ("key", "first", "last"))
        wanted = [str(record[key]).strip() for record in records_of(item.input)[first - 1 : last]]
        return without_key(result["records"], [key]) or [
            *not_the_batch(wanted, result, [key]),
            *_unclean(item.input["columns"], result["records"]),
        ]

    def check_order(self, order: WorkOrder) -> list[Finding]:
        return across_batches(order, [order.payload["key"]])

    def preview(self, order: WorkOrder) -> Diff:
        records_of(order.payload)
        return _upsert(order).rehearse()

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _upsert(order).apply(ctx)

    def preview_revert(self, order: WorkOrder) -> Diff:
        return _upsert(order).rehearse_revert(order.diff or Diff())

    def revert(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _upsert(order).revert(ctx, order.diff or Diff())


def records_of(about: Mapping[str, Any]) -> list[Record]:
    """The records of the file. Raises ``Refused`` when it is not the one that the order is about."""
    path, key = Path(about["source"]).expanduser(), about["key"]
    checksum, records = read(path)
    if checksum != about["sha256"]:
        text = f"{path.name} was changed since the order was filed; cancel the order and file it anew"
        raise Refused(Finding("source_changed", "/sha256", text))
    if len(records) != about["rows"]:
        raise Refused(
            Finding("rows", "/rows", f"{path.name} has {len(records)} records, the order says {about['rows']}")
        )
    lacking = [str(n) for n, record in enumerate(records, 1) if record.get(key) in (None, "")]
    if lacking:
        raise Refused(Finding("required", "/key", f"{path.name} has records without {key}: {', '.join(lacking[:20])}"))
    return records


def read(path: Path) -> tuple[str, list[Record]]:
    """The checksum and the records of a file. Raises ``Refused`` when it can't be read."""
    try:
        raw = path.read_bytes()
        records = READERS[path.suffix](raw.decode("utf-8-sig"))
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise Refused(Finding("source", "/source", f"{path.name} can't be read: {error}")) from error
    return sha256(raw).hexdigest(), records


def _csv(text: str) -> list[Record]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    records = list(reader)
    if len(set(reader.fieldnames or ())) < len(reader.fieldnames or ()):
        raise ValueError("a column is there twice")
    for n, record in enumerate(records, 1):
        if None in record or None in record.values():
            raise ValueError(f"record {n} has more or fewer values than the head line")
    return [dict(record) for record in records]


def _json(text: str) -> list[Record]:
    records = json.loads(text)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError("it is no list of objects")
    return records


def _jsonl(text: str) -> list[Record]:
    return _json(f"[{','.join(line for line in text.split(chr(10)) if line.strip())}]")


READERS: Mapping[str, Callable[[str], list[Record]]] = {".csv": _csv, ".json": _json, ".jsonl": _jsonl}


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_text(text: str) -> bool:
    whole = text.strip() == text != "" and unicodedata.is_normalized("NFC", text)
    return whole and not any(unicodedata.category(one) == "Cc" and one != "\n" for one in text)


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


def _is_email(text: str) -> bool:
    return text == text.lower() and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) is not None


FORMS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "text": (_is_text, "trimmed, NFC, and null instead of empty"),
    "email": (_is_email, "a lower-case e-mail address"),
    "phone": (_matches(r"\+[1-9]\d{6,14}"), "a phone number such as +491701234567"),
    "date": (_is_date, "a date such as 2026-01-31"),
    "country": (_matches(r"[A-Z]{2}"), "a country code such as DE"),
}


def _unclean(columns: Mapping[str, str], records: list[dict[str, Any]]) -> Iterator[Finding]:
    """Each record has just the columns that were asked for, each in its form."""
    for n, record in enumerate(records):
        for column in columns.keys() - record.keys():
            yield Finding("required", f"/records/{n}/{column}", f"{column} is missing; null when the file has no value")
        for column, value in record.items():
            form = columns.get(column)
            if form is None:
                yield Finding("unknown_column", f"/records/{n}/{column}", f"{column} was not asked for")
            elif value is not None and (fault := _fault(form, value)):
                yield Finding(form, f"/records/{n}/{column}", f"{column} has to be {fault}")


def _fault(form: str, value: Any) -> str | None:
    if form == "integer":
        return None if type(value) is int else "a whole number"
    fits, words = FORMS[form]
    return None if isinstance(value, str) and fits(value) else words


def _upsert(order: WorkOrder) -> Upsert:
    table, path = order.payload["table"], Path(order.payload["database"]).expanduser()
    return Upsert(path, table, [order.payload["key"]], kept(order), counted(table))


def main(path: str) -> None:
    """Print what a payload says about a file."""
    source = Path(path).resolve()
    checksum, records = read(source)
    sys.stdout.write(json.dumps({"source": str(source), "sha256": checksum, "rows": len(records)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

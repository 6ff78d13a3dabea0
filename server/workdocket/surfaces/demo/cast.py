"""Who plays: MCP clients, each on a stdio server process of its own, and the judgement that stands in for a model's."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

Record = dict[str, Any]


def airports() -> list[Record]:
    """The records: 800 real airports, see airports.SOURCE.md beside the file."""
    text = (files("workdocket.surfaces.demo") / "airports.csv").read_text("utf-8")
    return [{**row, "lat": float(row["lat"]), "lon": float(row["lon"])} for row in csv.DictReader(text.splitlines())]


class Refused(Exception):
    """A tool said no; ``error`` is what it said."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.error = error


@dataclass
class Player:
    """An MCP client with a name."""

    name: str
    client: Client
    calls: int = 0

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        self.calls += 1
        result = await self.client.call_tool(tool, arguments, read_timeout_seconds=60)
        answer = result.structured_content or {}
        if result.is_error:
            raise Refused(answer["error"])
        return answer


@asynccontextmanager
async def player(name: str, role: str, database: Path) -> AsyncIterator[Player]:
    """A client whose server runs as ``role`` under ``name``, as a host would start it."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "workdocket", "serve", "--role", role, "--actor", name],
        env={"WORKDOCKET_DATABASE": f"sqlite:///{database}"},
        cwd=str(database.parent),
    )
    async with Client(command) as client:
        yield Player(name, client)


@dataclass
class Story:
    """What happened, for the tables at the end."""

    refused: list[tuple[str, str, str]] = field(default_factory=list)
    returned: list[tuple[str, str, str]] = field(default_factory=list)
    worked: dict[str, int] = field(default_factory=dict)


CODE = {"iata": r"[A-Z]{3}", "icao": r"[A-Z]{4}", "country": r"[A-Z]{2}"}


def doubtful(record: Record) -> str | None:
    """Why a record should not go in, as far as its own fields tell."""
    for column, pattern in CODE.items():
        if not re.fullmatch(pattern, record[column]):
            return f"{column} {record[column]!r} is not of the form {pattern}"
    if not (-90 <= record["lat"] <= 90 and -180 <= record["lon"] <= 180):
        return "the coordinates are not on this planet"
    return None


def verified(item: dict[str, Any]) -> dict[str, Any]:
    """The result for one batch, mended as the reviewer asked when it came back."""
    records = item["input"]["records"]
    if item["feedback"]:
        records = [{**record, "lat": round(record["lat"], 3), "lon": round(record["lon"], 3)} for record in records]
    doubts = [(record["iata"], doubtful(record)) for record in records]
    dropped = [{"key": key, "reason": why} for key, why in doubts if why]
    out = {one["key"] for one in dropped}
    return {"records": [record for record in records if record["iata"] not in out], "dropped": dropped}

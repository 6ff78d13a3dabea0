"""Fields that several payloads have: where a file is, and what a table may be called."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

ABSOLUTE = "give an absolute path: every host starts its server in a folder of its own"
File = Annotated[
    str,
    Field(pattern=r"^(/|~/|[A-Za-z]:[\\/])", max_length=2_000, json_schema_extra={"x-messages": {"pattern": ABSOLUTE}}),
]


def _not_ours(table: str) -> str:
    if table.lower().startswith(("sqlite_", "workdocket_")):
        raise PydanticCustomError("reserved", "names that begin with sqlite_ or workdocket_ are taken")
    return table


Table = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=120), AfterValidator(_not_ours)]

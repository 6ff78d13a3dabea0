"""A server that knows all who can come in does not start under a gate that they cannot pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import house
from workdocket.domain.errors import WorkError
from workdocket.domain.model import SYSTEM

Token = tuple[str, str, Any]
AGENT, ADA, BOB, WORKER = ("a", "reviewer", "agent"), ("ada", "reviewer", "user"), ("bob", "admin", "user"), (
    "w", "worker", "user"
)  # fmt: skip


async def suffices(folder: Path, gate: dict[str, Any], tokens: list[Token], **settings: Any) -> WorkError | None:
    async with house(folder, gates=[gate], **settings) as home:
        for name, role, kind in tokens:
            await home.app.tokens.make(name, [role], SYSTEM, kind=kind)
        try:
            await home.app.tokens.must_suffice()
        except WorkError as error:
            return error
    return None


@pytest.mark.scenario("gates-refused-at-start")
@pytest.mark.parametrize(
    "gate, tokens",
    [
        ({"gate": "human", "quorum": 3}, [ADA, AGENT, WORKER]),
        ({"gate": "manual", "quorum": 3}, [ADA, ADA, WORKER]),
        ({"gate": "human", "quorum": 2}, [AGENT]),
    ],
)
async def test_a_gate_for_more_than_there_are_is_refused_with_the_role(
    tmp_path: Path, gate: dict[str, Any], tokens: list[Token]
) -> None:
    error = await suffices(tmp_path, {"name": "dear", **gate}, tokens)

    assert error is not None
    assert error.details == {"role": "reviewer"}
    assert "'dear'" in error.message


@pytest.mark.scenario("gates-refused-at-start")
@pytest.mark.parametrize(
    "gate, tokens",
    [
        ({"gate": "human", "quorum": 3}, [ADA, BOB]),
        ({"gate": "manual", "quorum": 3}, [ADA, AGENT]),
        ({"gate": "human"}, []),
    ],
)
async def test_a_gate_that_they_can_pass_is_none_to_refuse(
    tmp_path: Path, gate: dict[str, Any], tokens: list[Token]
) -> None:
    assert await suffices(tmp_path, gate, tokens) is None


@pytest.mark.scenario("gates-refused-at-start")
async def test_where_an_issuer_names_callers_nobody_knows_how_many_there_are(tmp_path: Path) -> None:
    issuer = {"oauth_issuer": "https://login.example.com", "public_url": "https://work.example.com"}

    assert await suffices(tmp_path, {"gate": "human", "quorum": 9}, [], **issuer) is None

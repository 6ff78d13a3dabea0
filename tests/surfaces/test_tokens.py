"""``workdocket token``: made and shown once, listed without secrets, revoked by id or by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.support.harness import HandClock, settings_for, usual_types
from workdocket.app import open_app
from workdocket.domain.model import iso
from workdocket.surfaces.bearer import bearer
from workdocket.surfaces.identity import Caller

Cli = Callable[..., Result]


@pytest.fixture
def folder(bare: Path) -> Path:
    (bare / ".workdocket").mkdir()
    return bare


def lets_in(folder: Path, secret: str, at: int | None = None) -> Caller | None:
    """Whom a server on this folder's database would see."""

    async def ask() -> Caller | None:
        settings = settings_for(folder, database=str(folder / ".workdocket" / "workdocket.db"))
        clock = HandClock(at) if at else None
        async with open_app(settings, registry=usual_types(), clock=clock) as app:
            return await bearer(app)(secret)

    return asyncio.run(ask())


def listed(cli: Cli) -> list[dict[str, Any]]:
    tokens: list[dict[str, Any]] = json.loads(cli("token", "list", "--json").stdout)["tokens"]
    return tokens


@pytest.mark.scenario("tokens-name-callers", "tokens-hashed")
def test_create_prints_the_secret_alone_on_stdout_and_what_it_is_beside_it(cli: Cli, folder: Path) -> None:
    done = cli("--actor", "boss", "token", "create", "ann", "--role", "worker", "--role", "requester")

    secret = done.stdout.removesuffix("\n")
    [token] = listed(cli)
    assert done.exit_code == 0
    assert done.stderr == f"token {token['id']} of ann (agent: requester, worker), shown only now:\n"
    assert (token["name"], token["roles"], token["created_by"]) == ("ann", ["requester", "worker"], "boss")
    caller = lets_in(folder, secret)
    assert caller is not None
    assert (caller.actor.type, caller.actor.id, caller.roles) == ("agent", "ann", {"worker", "requester"})


@pytest.mark.scenario("tokens-hashed")
def test_create_as_json_holds_the_secret_and_list_never_does(cli: Cli) -> None:
    made = json.loads(cli("token", "create", "bob", "--role", "reviewer", "--kind", "user", "--json").stdout)

    secret, token = made["secret"], made["token"]
    assert (token["kind"], token["state"]) == ("user", "live")
    assert listed(cli) == [token]
    for shown in (cli("token", "list").stdout, cli("token", "list", "--json").stdout):
        assert token["id"] in shown
        assert not [secret[n : n + 16] for n in range(len(secret) - 15) if secret[n : n + 16] in shown]


@pytest.mark.scenario("tokens-expire")
@pytest.mark.parametrize("given, hours", [("12h", 12), ("30d", 720), ("8w", 1344)])
def test_a_span_counts_from_now(cli: Cli, folder: Path, given: str, hours: int) -> None:
    made = json.loads(cli("token", "create", "ann", "--role", "worker", "--expires", given, "--json").stdout)

    secret, token = made["secret"], made["token"]
    end = moment(token["created_at"]) + hours * 3_600_000
    assert abs(moment(token["expires_at"]) - end) < 60_000
    assert lets_in(folder, secret, moment(token["expires_at"]) - 1) is not None
    assert lets_in(folder, secret, moment(token["expires_at"])) is None


def moment(time: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(time).timestamp() * 1000)


@pytest.mark.scenario("tokens-expire")
@pytest.mark.parametrize(
    "given, end",
    [
        ("2095-01-31", "2095-01-31T00:00:00.000Z"),
        ("2095-01-31T12:00", "2095-01-31T12:00:00.000Z"),
        ("2095-01-31T12:00:00+02:00", "2095-01-31T10:00:00.000Z"),
    ],
)
def test_a_time_is_utc_unless_it_names_a_zone(cli: Cli, given: str, end: str) -> None:
    made = json.loads(cli("token", "create", "ann", "--role", "worker", "--expires", given, "--json").stdout)

    assert made["token"]["expires_at"] == iso(moment(end)) == end


@pytest.mark.scenario("tokens-name-callers")
@pytest.mark.parametrize(
    "words, code, said",
    [
        (["ann"], 2, "Missing option '--role'"),
        (["ann", "--role", "king"], 2, "'king' is not one of"),
        (["ann", "--role", "worker", "--kind", "system"], 2, "'system' is not one of"),
        (["ann", "--role", "worker", "--expires", "soon"], 2, "neither a time like"),
        (["ann", "--role", "worker", "--expires", "30"], 2, "neither a time like"),
        (["ann", "--role", "worker", "--expires", "2020-01-01"], 1, "a token cannot expire in the past"),
        (["ann", "--role", "worker", "--expires", "0h"], 1, "a token cannot expire in the past"),
        (["oauth:ann", "--role", "worker"], 1, "cannot be the name of a token's holder"),
        (["scheduler", "--role", "worker"], 1, "what the system calls itself"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused_makes_no_token(cli: Cli, words: list[str], code: int, said: str) -> None:
    done = cli("token", "create", *words)

    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert listed(cli) == []


@pytest.mark.scenario("tokens-revoked-at-once")
def test_revoke_asks_and_says_what_it_is_about(cli: Cli, folder: Path) -> None:
    secret = cli("token", "create", "ann", "--role", "worker").stdout.strip()
    [token] = listed(cli)

    refused = cli("token", "revoke", "ann", input="n\n")
    still = lets_in(folder, secret)
    done = cli("token", "revoke", "ann", input="y\n")

    assert f"Revoke {token['id']} (ann)?" in refused.stderr
    assert (refused.exit_code, still is not None) == (1, True)
    assert (done.exit_code, done.stdout) == (0, f"{token['id']} of ann revoked\n")
    assert lets_in(folder, secret) is None


@pytest.mark.scenario("tokens-revoked-at-once")
def test_a_dry_run_says_what_would_be_revoked_and_revokes_nothing(cli: Cli) -> None:
    for name in ("ann", "ann", "bob"):
        cli("token", "create", name, "--role", "worker")
    before = listed(cli)

    done = cli("token", "revoke", "ann", "--dry-run", "--json")

    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["dry_run"]) == (0, True)
    assert [one["name"] for one in answer["tokens"]] == ["ann", "ann"]
    assert listed(cli) == before


@pytest.mark.scenario("tokens-revoked-at-once")
def test_an_id_revokes_one_a_name_the_rest_and_a_second_time_nothing(cli: Cli) -> None:
    for _ in range(3):
        cli("token", "create", "ann", "--role", "worker")
    first = listed(cli)[0]["id"]

    by_id = cli("token", "revoke", first, "--yes")
    by_name = cli("--actor", "chief", "token", "revoke", "ann", "--yes", "--json")
    again = cli("token", "revoke", "ann", "--yes")

    assert by_id.stdout == f"{first} of ann revoked\n"
    assert {one["revoked_by"] for one in json.loads(by_name.stdout)["tokens"]} == {"chief"}
    assert first not in {one["id"] for one in json.loads(by_name.stdout)["tokens"]}
    assert (again.exit_code, again.stdout) == (0, "nothing to revoke: it was done before\n")
    assert {one["state"] for one in listed(cli)} == {"revoked"}


@pytest.mark.scenario("tokens-revoked-at-once")
def test_to_revoke_an_unknown_token_is_refused(cli: Cli) -> None:
    done = cli("token", "revoke", "nobody", "--yes")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "not_found: there is no token 'nobody'. Call workdocket token list to see which there are.\n"
    )

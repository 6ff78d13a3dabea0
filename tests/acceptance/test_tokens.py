"""Tokens of callers over HTTP: who they let in, when they stop to, and how little is kept of them."""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import raw
from tests.support.harness import House, house
from workdocket import WorkError
from workdocket.domain.model import Actor
from workdocket.ports import Token
from workdocket.service.tokens import summed
from workdocket.surfaces.bearer import bearer

BOSS = Actor("user", "boss")
DAY = 86_400


async def made(home: House, name: str = "ann", *roles: str, **more: Any) -> tuple[Token, str]:
    return await home.app.tokens.make(name, roles or ("worker",), BOSS, **more)


def mistyped(secret: str, place: int) -> str:
    return secret[:place] + ("a" if secret[place] != "a" else "b") + secret[place + 1 :]


def forged(secret: str, place: int) -> str:
    """Another secret under the same id whose sum is right."""
    body = mistyped(secret, place)[:-6]
    return body + summed(body)


# whom they let in


@pytest.mark.scenario("tokens-name-callers")
async def test_a_token_names_the_principal_the_roles_and_a_session_of_its_own(home: House) -> None:
    agents, person = await made(home, "ann", "worker", "requester"), await made(home, "bob", "reviewer", kind="user")
    caller_of = bearer(home.app)

    ann, bob = await caller_of(agents[1]), await caller_of(person[1])

    assert ann is not None
    assert bob is not None
    assert ann.actor == Actor("agent", "ann", session=agents[0].id)
    assert ann.roles == {"worker", "requester"}
    assert (bob.actor.type, bob.actor.id, bob.roles) == ("user", "bob", {"reviewer"})


@pytest.mark.scenario("tokens-name-callers")
async def test_two_tokens_of_one_name_are_one_principal_in_two_sessions(home: House) -> None:
    (first, one), (second, two) = await made(home), await made(home)

    actors = [(await bearer(home.app)(secret)) for secret in (one, two)]

    assert [found and found.actor.id for found in actors] == ["ann", "ann"]
    assert [found and found.actor.session for found in actors] == [first.id, second.id]


@pytest.mark.scenario("tokens-near-misses")
async def test_near_misses_of_a_token_let_nobody_in(home: House) -> None:
    _, secret = await made(home)
    _, other = await made(home, "bob")
    body = secret[: len("wdk_") + 10]
    near = {
        "empty": "",
        "blank": " ",
        "shorter": secret[:-1],
        "longer": secret + "0",
        "with space": f" {secret}",
        "with newline": f"{secret}\n",
        "in capitals": secret.upper(),
        "only its id": body,
        "first characters swapped": secret[1] + secret[0] + secret[2:],
        "id of another": other[: len(body)] + secret[len(body) :],
        "not ASCII": mistyped(secret, 20)[:20] + "é" + secret[21:],
        "other digits": secret[:20] + "٣" + secret[21:],
        "surrogate": secret[:20] + "\ud800" + secret[21:],
        "very long": secret * 1000,
        **{f"same length, differs at {place}": mistyped(secret, place) for place in range(len(secret))},
        **{f"same length and sum right, differs at {place}": forged(secret, place) for place in range(4, 58)},
    }

    let_in = [name for name, one in near.items() if await bearer(home.app)(one) is not None]

    assert let_in == []
    assert await bearer(home.app)(secret) is not None


@pytest.mark.scenario("tokens-near-misses")
async def test_an_unknown_id_costs_the_same_comparison_as_a_known_one(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a comparison in constant time that is watched
    _, secret = await made(home)
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def watched(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)

    # when
    found = [await home.app.tokens.holder(one) for one in (secret, forged(secret, 30), forged(secret, 5))]

    # then
    assert [one and one.name for one in found] == ["ann", None, None]
    assert compared == [(64, 64)] * 3


@pytest.mark.scenario("tokens-near-misses")
async def test_secrets_are_long_recognisable_and_never_the_same(home: House) -> None:
    secrets = [(await made(home))[1] for _ in range(20)]

    assert all(re.fullmatch(r"wdk_[0-9a-z]{10}_[0-9A-Za-z]{49}", one) for one in secrets)
    assert len({one[15:58] for one in secrets}) == 20


# when they stop


@pytest.mark.scenario("tokens-expire")
async def test_a_token_lets_in_until_its_time_and_not_at_it(home: House) -> None:
    _, secret = await made(home, expires_at=home.clock.now() + DAY * 1000)
    caller_of = bearer(home.app)

    home.clock.forward(DAY - 0.001)
    before = await caller_of(secret)
    home.clock.forward(0.001)

    assert before is not None
    assert await caller_of(secret) is None


@pytest.mark.scenario("tokens-expire")
@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_token_cannot_be_made_that_is_over(home: House, seconds: int) -> None:
    with pytest.raises(WorkError, match="expire in the past"):
        await made(home, expires_at=home.clock.now() + seconds * 1000)

    assert await home.app.tokens.all() == ()


@pytest.mark.scenario("tokens-revoked-at-once")
async def test_a_token_that_another_process_revokes_is_worth_nothing_at_once(home: House, tmp_path: Path) -> None:
    # given a token in use
    token, secret = await made(home)
    caller_of = bearer(home.app)
    assert await caller_of(secret) is not None

    # when
    async with house(tmp_path, clock=home.clock) as neighbour:
        await neighbour.app.tokens.revoke(token.id, BOSS)

    # then
    assert await caller_of(secret) is None


@pytest.mark.scenario("tokens-revoked-at-once")
async def test_a_token_that_another_process_made_lets_in_at_once(home: House, tmp_path: Path) -> None:
    before = await home.app.tokens.demanded()

    async with house(tmp_path, clock=home.clock) as neighbour:
        _, secret = await made(neighbour)

    assert (before, await home.app.tokens.demanded()) == (False, True)
    assert await bearer(home.app)(secret) is not None


@pytest.mark.scenario("tokens-revoked-at-once")
async def test_a_name_revokes_all_its_tokens_an_id_one_and_none_that_are_revoked(home: House) -> None:
    first, second, third = [(await made(home))[0] for _ in range(3)]
    _, other = await made(home, "bob")
    tokens = home.app.tokens

    by_id = await tokens.revoke(second.id, BOSS)
    home.clock.forward(1)
    by_name = await tokens.revoke("ann", Actor("user", "chief"))
    again = await tokens.revoke("ann", BOSS)

    assert [one.id for one in by_id] == [second.id]
    assert {(one.id, one.revoked_by) for one in by_name} == {(first.id, "chief"), (third.id, "chief")}
    assert again == ()
    assert {one.id: one.revoked_by for one in await tokens.all() if one.revoked_at} == {
        first.id: "chief", second.id: "boss", third.id: "chief",
    }  # fmt: skip
    assert await bearer(home.app)(other) is not None


@pytest.mark.scenario("tokens-demanded")
async def test_once_there_was_a_token_one_is_demanded_also_after_all_were_revoked(home: House) -> None:
    tokens = home.app.tokens
    never = await tokens.demanded()

    await made(home)
    with_one = await tokens.demanded()
    await tokens.revoke("ann", BOSS)

    assert (never, with_one, await tokens.demanded()) == (False, True, True)


@pytest.mark.scenario("tokens-demanded")
async def test_where_an_issuer_is_named_a_token_is_demanded_from_the_start(tmp_path: Path) -> None:
    issuer = {"public_url": "https://work.example.com", "oauth_issuer": "https://login.example.com"}
    async with house(tmp_path, **issuer) as home:
        assert await home.app.tokens.demanded() is True


# what is kept


@pytest.mark.scenario("tokens-hashed")
async def test_no_piece_of_a_secret_is_in_any_file_of_the_database(home: House, tmp_path: Path) -> None:
    _, secret = await made(home)
    await home.app.tokens.revoke("ann", BOSS)

    files = [file for file in tmp_path.iterdir() if file.is_file()]
    pieces = [secret[n : n + 16].encode() for n in range(len(secret) - 15)]
    found = [(file.name, piece) for file in files for piece in pieces if piece in file.read_bytes()]

    assert found == []
    [row] = raw.rows(tmp_path, "SELECT name, hash, created_by, revoked_by FROM tokens")
    assert (row["name"], row["created_by"], row["revoked_by"]) == ("ann", "boss", "boss")
    assert re.fullmatch("[0-9a-f]{64}", row["hash"])


@pytest.mark.scenario("tokens-hashed")
async def test_what_is_shown_of_a_token_is_neither_its_secret_nor_its_hash(home: House) -> None:
    token, secret = await made(home, "ann", "worker", "requester", expires_at=home.clock.now() + 1000)

    shown = home.app.tokens.view(token)

    assert shown == {
        "id": token.id, "name": "ann", "kind": "agent", "roles": ["requester", "worker"], "state": "live",
        "created_at": "2026-09-21T14:13:20.000Z", "created_by": "boss", "expires_at": "2026-09-21T14:13:21.000Z",
    }  # fmt: skip
    assert token.hash not in repr(token)
    assert secret not in repr(token)


# what is refused


@pytest.mark.scenario("tokens-name-callers")
@pytest.mark.parametrize(
    "name", ["", " ", "-ann", "ann smith", "oauth:ann", "a" * 81, "ann\n", "änn", "\x1b[31m", "workdocket", "scheduler"]
)
async def test_a_name_that_is_somebody_elses_or_unreadable_gets_no_token(home: House, name: str) -> None:
    with pytest.raises(WorkError) as refusal:
        await made(home, name)

    assert refusal.value.code == "invalid_request"
    assert await home.app.tokens.demanded() is False


@pytest.mark.scenario("tokens-name-callers")
@pytest.mark.parametrize("roles, said", [((), "needs a role"), (("worker", "king"), "there is no role king")])
async def test_a_token_has_a_role_and_only_such_as_there_are(home: House, roles: tuple[str, ...], said: str) -> None:
    with pytest.raises(WorkError, match=said):
        await home.app.tokens.make("ann", roles, BOSS)

    assert await home.app.tokens.demanded() is False


@pytest.mark.scenario("tokens-revoked-at-once")
@pytest.mark.parametrize("dry_run", [True, False])
async def test_to_revoke_what_there_is_not_is_refused_with_the_nearest_name(home: House, dry_run: bool) -> None:
    await made(home, "ann")

    with pytest.raises(WorkError) as refusal:
        await home.app.tokens.revoke("anna", BOSS, dry_run=dry_run)

    assert (refusal.value.code, refusal.value.details["nearest"]) == ("not_found", ["ann"])

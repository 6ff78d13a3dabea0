"""Callers who come with an access token of an OAuth issuer: a real one on this machine, with real keys."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import jwt
import pytest

from tests.support.harness import LIMIT, House, house, settings_for
from tests.support.issuer import (
    KEYS,
    METADATA,
    OPENID,
    Issuer,
    dribbling,
    ec_key,
    ed_key,
    issuer,
    page,
    pem,
    public,
    rsa_key,
    stuck,
)
from workdocket.domain.model import Actor
from workdocket.surfaces import issuer as verifier
from workdocket.surfaces import oauth
from workdocket.surfaces.bearer import bearer
from workdocket.surfaces.identity import Caller

WORK = "https://work.example.com"


@pytest.fixture
def login() -> Iterator[Issuer]:
    with issuer() as found:
        yield found


@asynccontextmanager
async def trusting(folder: Path, login: Issuer, **more: Any) -> AsyncIterator[House]:
    async with house(folder, **{"public_url": WORK, "oauth_issuer": login.url, **more}) as home:
        yield home


async def caller(home: House, token: str) -> Caller | None:
    async with asyncio.timeout(LIMIT):
        return await bearer(home.app)(token)


@dataclass
class Aging:
    """Tokens of the issuer, under a clock that a test moves."""

    login: Issuer
    at: float = 1000.0

    def __post_init__(self) -> None:
        settings = settings_for(Path(), public_url=WORK, oauth_issuer=self.login.url)
        self._caller_of = oauth.issued(settings, lambda: self.at)

    async def lets_in(self, *tokens: str) -> list[bool]:
        async with asyncio.timeout(LIMIT):
            return [found is not None for found in await asyncio.gather(*map(self._caller_of, tokens))]


# whom it lets in


@pytest.mark.scenario("oauth-issuer")
async def test_a_token_of_the_issuer_names_principal_roles_and_program(tmp_path: Path, login: Issuer) -> None:
    async with trusting(tmp_path, login) as home:
        found = await caller(home, login.token(scope="openid workdocket:worker workdocket:reviewer admin"))

    assert found == Caller(Actor("agent", "oauth:ann", "oauth:ann desktop"), frozenset({"worker", "reviewer"}))


@pytest.mark.scenario("oauth-issuer")
@pytest.mark.parametrize(
    "key, algorithm, kid",
    [
        (rsa_key, "RS256", "rsa"), (rsa_key, "RS512", "rsa"), (rsa_key, "PS256", "rsa"), (ec_key, "ES256", "ec"),
        (ed_key, "EdDSA", "ed"),
    ],
    ids=["RS256", "RS512", "PS256", "ES256", "EdDSA"],
)  # fmt: skip
async def test_signatures_with_public_keys_of_all_usual_kinds_count(
    tmp_path: Path, login: Issuer, key: Callable[[], Any], algorithm: str, kid: str
) -> None:
    login.publish(public("rsa", rsa_key()), public("ec", ec_key()), public("ed", ed_key()))
    async with trusting(tmp_path, login) as home:
        assert await caller(home, login.token(key(), algorithm, kid)) is not None


@pytest.mark.scenario("oauth-issuer")
@pytest.mark.parametrize("audience", [WORK, f"{WORK}/", f"{WORK}/mcp", ["https://other.example.com", WORK]])
async def test_a_token_is_meant_for_the_server_or_its_mcp_endpoint(
    tmp_path: Path, login: Issuer, audience: str | list[str]
) -> None:
    async with trusting(tmp_path, login) as home:
        assert await caller(home, login.token(aud=audience)) is not None


@pytest.mark.scenario("oauth-issuer")
async def test_with_an_audience_of_its_own_no_other_is_taken(tmp_path: Path, login: Issuer) -> None:
    async with trusting(tmp_path, login, oauth_audience="api://work") as home:
        assert await caller(home, login.token(aud="api://work")) is not None
        assert await caller(home, login.token(aud=WORK)) is None


@pytest.mark.scenario("oauth-issuer")
@pytest.mark.parametrize("claim", ["worker reviewer", ["worker", "workdocket:reviewer", "king", 7, None]])
async def test_roles_may_stand_in_another_claim_as_they_are(tmp_path: Path, login: Issuer, claim: Any) -> None:
    async with trusting(tmp_path, login, oauth_roles_claim="https://example.com/roles", oauth_kind="user") as home:
        found = await caller(home, login.token(**{"https://example.com/roles": claim, "scope": "workdocket:admin"}))

    assert found is not None
    assert (found.actor.type, found.roles) == ("user", {"worker", "reviewer"})


@pytest.mark.scenario("oauth-issuer")
@pytest.mark.parametrize("scope", [None, "", "worker admin", "workdocket:king", {"workdocket:worker": 1}, 7])
async def test_without_a_role_of_ours_a_caller_is_known_and_may_nothing(
    tmp_path: Path, login: Issuer, scope: Any
) -> None:
    async with trusting(tmp_path, login) as home:
        found = await caller(home, login.token(scope=scope))

    assert found is not None
    assert found.roles == frozenset()


@pytest.mark.scenario("oauth-issuer", "tokens-name-callers")
async def test_tokens_made_here_count_beside_those_of_the_issuer(tmp_path: Path, login: Issuer) -> None:
    async with trusting(tmp_path, login) as home:
        _, secret = await home.app.tokens.make("ann", ["reviewer"], Actor("user", "boss"))

        here, there = await caller(home, secret), await caller(home, login.token())

    assert here is not None
    assert there is not None
    assert (here.actor.id, there.actor.id) == ("ann", "oauth:ann")
    assert login.asked == [METADATA, KEYS]


# whom it does not


def unsigned(token: str, algorithm: str) -> str:
    header = urlsafe_b64encode(f'{{"alg":"{algorithm}","kid":"rsa","typ":"JWT"}}'.encode()).decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."


def signed_with_the_public_key(login: Issuer) -> str:
    """HS256, where the secret is what everybody can read."""
    payload = jwt.decode(login.token(), options={"verify_signature": False})
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    parts = [b'{"alg":"HS256","kid":"rsa","typ":"JWT"}', json.dumps(payload).encode()]
    body = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return (body + b"." + urlsafe_b64encode(algorithm.sign(body, pem(rsa_key()))).rstrip(b"=")).decode()


NOW = int(time.time())
HOUR = 3600
REFUSED: dict[str, Callable[[Issuer], str]] = {
    "another audience": lambda login: login.token(aud="https://other.example.com"),
    "an audience that begins alike": lambda login: login.token(aud=f"{WORK}.evil.example"),
    "no audience": lambda login: login.token(aud=None),
    "another issuer": lambda login: login.token(iss="https://login.evil.example"),
    "the issuer with a slash": lambda login: login.token(iss=f"{login.url}/"),
    "no issuer": lambda login: login.token(iss=None),
    "expired": lambda login: login.token(exp=NOW - HOUR),
    "never expiring": lambda login: login.token(exp=None),
    "not yet valid": lambda login: login.token(nbf=NOW + HOUR),
    "issued in the future": lambda login: login.token(iat=NOW + HOUR),
    "no subject": lambda login: login.token(sub=None),
    "an empty subject": lambda login: login.token(sub=""),
    "a subject of two lines": lambda login: login.token(sub="ann\nbob"),
    "an endless subject": lambda login: login.token(sub="a" * 256),
    "alg none": lambda login: unsigned(login.token(), "none"),
    "alg NONE": lambda login: unsigned(login.token(), "NONE"),
    "no signature": lambda login: unsigned(login.token(), "RS256"),
    "HS256 with the public key": signed_with_the_public_key,
    "another key under the same id": lambda login: login.token(rsa_key("evil")),
    "a key of another kind under the same id": lambda login: login.token(ec_key(), "ES256"),
    "an unknown key": lambda login: login.token(rsa_key("evil"), kid="evil"),
    "no key id": lambda login: login.token(kid=None),
    "a changed claim": lambda login: ".".join([*login.token().split(".")[:1], *login.token(sub="eve").split(".")[1:2],
                                               *login.token().split(".")[2:]]),
    "too long": lambda login: login.token(filler="x" * 20_000),
    "two parts": lambda login: login.token().rpartition(".")[0],
    "four parts": lambda login: login.token() + ".x",
    "dots": lambda login: "..",
    "not base64": lambda login: "a!.b!.c!",
    "not ASCII": lambda login: "é.é.é",
    "a lone surrogate": lambda login: "\ud800.b.c",
}  # fmt: skip


@pytest.mark.scenario("oauth-issuer")
@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
async def test_what_the_issuer_did_not_sign_for_us_and_now_lets_nobody_in(
    tmp_path: Path, login: Issuer, make: Callable[[Issuer], str]
) -> None:
    async with trusting(tmp_path, login) as home:
        assert await caller(home, make(login)) is None
        assert await caller(home, login.token()) is not None


@pytest.mark.scenario("oauth-issuer")
@pytest.mark.parametrize(
    "fields", [{"use": "enc"}, {"alg": "RS512"}, {"kty": "oct", "k": "c2VjcmV0"}, {"kid": None}, {"n": "AQAB"}]
)
async def test_a_key_that_is_not_for_this_is_not_taken_for_it(
    tmp_path: Path, login: Issuer, fields: dict[str, Any]
) -> None:
    login.publish({**public("rsa", rsa_key()), **fields})
    async with trusting(tmp_path, login) as home:
        assert await caller(home, login.token()) is None


# where keys come from


@pytest.mark.scenario("oauth-issuer")
async def test_an_issuer_that_speaks_openid_connect_only_is_found(tmp_path: Path, login: Issuer) -> None:
    del login.pages[METADATA]
    login.publish(public("rsa", rsa_key()), at=OPENID)
    async with trusting(tmp_path, login) as home:
        assert await caller(home, login.token()) is not None


@pytest.mark.scenario("oauth-issuer")
def test_an_issuer_with_a_path_is_looked_for_where_the_standards_say() -> None:
    assert verifier.metadata_urls("https://login.example.com/tenant") == [
        "https://login.example.com/.well-known/oauth-authorization-server/tenant",
        "https://login.example.com/tenant/.well-known/openid-configuration",
        "https://login.example.com/.well-known/openid-configuration/tenant",
    ]


@pytest.mark.scenario("oauth-issuer")
async def test_keys_are_asked_for_once_and_count_for_an_hour(login: Issuer) -> None:
    aging = Aging(login)
    assert await aging.lets_in(login.token(), login.token()) == [True, True]

    # when the issuer has withdrawn the key
    login.publish()
    aging.at += verifier.KEYS_SECONDS - 1
    within_the_hour = await aging.lets_in(login.token())
    asked = list(login.asked)
    aging.at += 1

    assert (within_the_hour, asked) == ([True], [METADATA, KEYS])
    assert await aging.lets_in(login.token()) == [False]


@pytest.mark.scenario("oauth-issuer")
async def test_a_new_key_counts_with_the_first_token_that_names_it(login: Issuer) -> None:
    aging = Aging(login)
    assert await aging.lets_in(login.token()) == [True]

    login.publish(public("next", rsa_key("next")))
    aging.at += verifier.PAUSE_SECONDS

    assert await aging.lets_in(login.token(rsa_key("next"), kid="next")) == [True]
    assert await aging.lets_in(login.token()) == [False]


@pytest.mark.scenario("oauth-issuer-down")
async def test_tokens_of_unknown_keys_do_not_make_it_ask_all_the_time(login: Issuer) -> None:
    aging = Aging(login)
    unknown = [login.token(kid=f"made-up-{n}") for n in range(20)]

    assert await aging.lets_in(*unknown) == [False] * 20
    at_once = login.asked.count(KEYS)
    aging.at += verifier.PAUSE_SECONDS
    await aging.lets_in(*unknown)

    assert (at_once, login.asked.count(KEYS)) == (1, 2)
    assert await aging.lets_in(login.token()) == [True]


# an issuer in trouble


def broken(login: Issuer, **pages: Any) -> None:
    for path, answer in pages.items():
        login.pages[{"metadata": METADATA, "keys": KEYS}[path]] = lambda answer=answer: answer  # type: ignore[misc]


TROUBLE: dict[str, Callable[[Issuer], None]] = {
    "no metadata": lambda login: login.pages.clear(),
    "an error": lambda login: broken(login, metadata=page({}, 500)),
    "no keys": lambda login: broken(login, keys=page({}, 404)),
    "an error instead of keys": lambda login: broken(login, keys=page({}, 503)),
    "not JSON": lambda login: broken(login, keys=page(b"<html>")),
    "not UTF-8": lambda login: broken(login, keys=page(b'{"keys": "\xff"}')),
    "a list": lambda login: broken(login, metadata=page([])),
    "very deep JSON": lambda login: broken(login, keys=page(b"[" * 100_000)),
    "keys that are none": lambda login: broken(login, keys=page({"keys": [None, 1, "rsa", {}, {"kid": "rsa"}]})),
    "very many bytes": lambda login: broken(login, keys=page(b" " * (2 << 20) + login.pages[KEYS]()[2])),
    "metadata of another": lambda login: login.publish(public("rsa", rsa_key()), issuer="https://login.example.com"),
    "a redirect": lambda login: broken(login, keys=page({}, 302, location=f"{login.url}/moved")),
    "keys elsewhere without TLS": lambda login: broken(
        login, metadata=page({"issuer": login.url, "jwks_uri": login.url.replace("127.0.0.1", "0.0.0.0") + KEYS})
    ),
    "keys in a file": lambda login: broken(
        login, metadata=page({"issuer": login.url, "jwks_uri": "file:///etc/passwd"})
    ),
    "nowhere": lambda login: broken(login, metadata=page({"issuer": login.url})),
}


@pytest.mark.scenario("oauth-issuer-down")
@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE.keys())
async def test_an_issuer_in_trouble_refuses_its_tokens_and_no_others(
    tmp_path: Path, login: Issuer, trouble: Callable[[Issuer], None]
) -> None:
    moved = page({"keys": [public("rsa", rsa_key())]})
    login.pages["/moved"] = lambda: moved
    trouble(login)
    async with trusting(tmp_path, login) as home:
        _, secret = await home.app.tokens.make("ann", ["worker"], Actor("user", "boss"))

        assert await caller(home, login.token()) is None
        assert await caller(home, secret) is not None
    assert "/moved" not in login.asked


@pytest.mark.scenario("oauth-issuer-down")
async def test_an_issuer_that_is_not_there_refuses_its_tokens(tmp_path: Path) -> None:
    with issuer() as login:
        token = login.token()
    async with trusting(tmp_path, login) as home:
        assert await caller(home, token) is None


@pytest.mark.scenario("oauth-issuer-down")
async def test_an_issuer_that_dribbles_is_not_listened_to_for_long(
    login: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "FETCH_SECONDS", 0.5)
    with dribbling(login, KEYS):
        assert await Aging(login).lets_in(login.token()) == [False]


@pytest.mark.scenario("oauth-issuer-down")
async def test_an_issuer_that_never_answers_holds_up_nobody_who_needs_it_not(
    tmp_path: Path, login: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "FETCH_SECONDS", 0.5)
    async with trusting(tmp_path, login) as home:
        _, secret = await home.app.tokens.make("ann", ["worker"], Actor("user", "boss"))
        caller_of = bearer(home.app)
        with stuck(login, KEYS):
            async with asyncio.timeout(LIMIT), anyio.create_task_group() as group:
                refused: list[Caller | None] = []

                async def ask() -> None:
                    refused.append(await caller_of(login.token()))

                for _ in range(5):
                    group.start_soon(ask)
                assert await caller_of(secret) is not None
                assert refused == []

    assert refused == [None] * 5
    assert login.asked == [METADATA, KEYS]


@pytest.mark.scenario("oauth-issuer-down")
async def test_once_the_issuer_is_back_its_tokens_count_again(login: Issuer) -> None:
    aging = Aging(login)
    kept = dict(login.pages)
    login.pages.clear()
    assert await aging.lets_in(login.token()) == [False]
    login.pages.update(kept)

    too_soon = await aging.lets_in(login.token())
    aging.at += verifier.PAUSE_SECONDS

    assert (too_soon, await aging.lets_in(login.token())) == ([False], [True])


@pytest.mark.scenario("oauth-issuer-down")
async def test_while_the_issuer_is_down_the_keys_at_hand_count_until_they_are_old(login: Issuer) -> None:
    aging = Aging(login)
    await aging.lets_in(login.token())
    login.pages.clear()
    aging.at += verifier.PAUSE_SECONDS

    unknown = await aging.lets_in(login.token(kid="made-up"))
    known = await aging.lets_in(login.token())
    aging.at += verifier.KEYS_SECONDS
    old = [await aging.lets_in(login.token()) for _ in range(2)]

    assert (unknown, known, old) == ([False], [True], [[False], [False]])


# what a client is told


@pytest.mark.scenario("oauth-issuer")
def test_a_client_is_told_where_to_get_a_token_and_what_to_ask_for(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, public_url=f"{WORK}/", oauth_issuer="https://login.example.com/")

    assert oauth.protected_resource(settings, "/mcp") == {
        "resource": f"{WORK}/mcp",
        "authorization_servers": ["https://login.example.com/"],
        "scopes_supported": ["workdocket:requester", "workdocket:worker", "workdocket:reviewer", "workdocket:admin"],
        "bearer_methods_supported": ["header"],
        "resource_name": "workdocket",
    }
    assert oauth.protected_resource(settings)["resource"] == WORK
    assert oauth.challenge(settings, "invalid_token") == (
        'Bearer realm="workdocket", error="invalid_token", '
        f'resource_metadata="{WORK}/.well-known/oauth-protected-resource/mcp"'
    )


@pytest.mark.scenario("oauth-issuer")
def test_without_an_issuer_a_client_is_told_to_bring_a_token(tmp_path: Path) -> None:
    assert oauth.challenge(settings_for(tmp_path)) == 'Bearer realm="workdocket"'


@pytest.mark.scenario("oauth-issuer")
def test_without_an_issuer_nothing_of_it_is_loaded() -> None:
    program = (
        "import sys, workdocket.surfaces.bearer as b; print(sorted({'jwt', 'cryptography', 'httpx2'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("[]\n", "")

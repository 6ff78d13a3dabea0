"""What lets its reader in stays out of the log, whoever writes it there."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import anyio
import pytest

from tests.support.harness import held
from tests.support.process import Server, environment
from workdocket.service.tokens import fresh
from workdocket.surfaces.logs import configure

LEASE = "Vb0c-Kq3_kJ2yT0aXw9rPd8e"
SIGNED = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWEtdG9rZW4"
FORMS = ("text", "json")


@pytest.fixture(params=FORMS)
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """The log of this process at its most talkative, as text and as JSON."""
    root, stream = logging.getLogger(), io.StringIO()
    kept, level = list(root.handlers), root.level
    with redirect_stderr(stream):
        configure("debug", request.param)
    yield stream
    root.handlers[:] = kept
    root.setLevel(level)


def pieces(secret: str) -> list[str]:
    return [secret[n : n + 16] for n in range(len(secret) - 15)]


def found_in(log: str, *secrets: str) -> list[str]:
    return [piece for secret in secrets for piece in pieces(secret) if piece in log]


@pytest.mark.scenario("tokens-unlogged")
@pytest.mark.parametrize(
    "message",
    [
        "{secret}",
        "line\n{secret}\n{signed}",
        "GET /v1 Authorization: Bearer {secret}",
        "headers [(b'authorization', b'Bearer {secret}')]",
        "{{'authorization': 'bearer {secret}'}}",
        'calling heartbeat with {{"item_id":"WO-1.1","lease_token":"{lease}"}}',
        "{{'id': 'WO-1.1', 'lease': {{'token': '{lease}', 'fence': 1}}}}",
        r"\"lease_token\": \"{lease}\"",
        "Lease(item_id='WO-1.1', fence=1, token='{lease}')",
        "Bearer {signed}",
        "refused {signed} here",
        "Bearer c29tZXRoaW5nOm9wYXF1ZQ==",
    ],
)
def test_secrets_are_blotted_out_of_whatever_is_logged(written: io.StringIO, message: str) -> None:
    _, secret = fresh()

    logging.getLogger("anybody").debug(message.format(secret=secret, lease=LEASE, signed=SIGNED))

    assert found_in(written.getvalue(), secret, LEASE, SIGNED, "c29tZXRoaW5nOm9wYXF1ZQ==") == []
    assert "…" in written.getvalue()


@pytest.mark.scenario("tokens-unlogged")
def test_a_traceback_is_blotted_out_too(written: io.StringIO) -> None:
    token_id, secret = fresh()
    try:
        raise LookupError(f"no such token: {secret}")
    except LookupError:
        logging.getLogger("anybody").exception("looked for %s", secret)

    assert found_in(written.getvalue(), secret.removeprefix(f"wdk_{token_id}_")) == []
    assert written.getvalue().count(f"wdk_{token_id}_…") == 2


@pytest.mark.scenario("tokens-unlogged")
@pytest.mark.parametrize("message", ["WO-1.1 was handed out", "Send a valid bearer token.", "token ab12cd34ef for ann"])
def test_what_is_no_secret_is_logged_as_it_is(written: io.StringIO, message: str) -> None:
    logging.getLogger("anybody").warning(message)

    assert message in written.getvalue()


@pytest.mark.slow
@pytest.mark.scenario("tokens-unlogged")
@pytest.mark.parametrize("form", FORMS)
async def test_a_whole_run_at_level_debug_logs_neither_leases_nor_tokens(tmp_path: Path, form: str) -> None:
    # given a token, made by a command that logs all it can
    told = environment(tmp_path, WORKDOCKET_LOG_LEVEL="debug", WORKDOCKET_LOG_FORMAT=form)
    command = [sys.executable, "-m", "workdocket", "token", "create", "ann", "--role", "worker", "--json"]
    made = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True, timeout=20)
    secret = json.loads(made.stdout)["secret"]

    # when a server that logs all it can hands out work, and is sent the secret besides
    loud = {"WORKDOCKET_LOG_LEVEL": "debug", "WORKDOCKET_LOG_FORMAT": form}
    server = await (await Server.start(tmp_path, **loud)).greet()
    try:
        await server.ok("propose", type="test.echo", payload={"message": "hi"})
        [item] = (await server.ok("checkout"))["items"]
        await server.ok("heartbeat", **held(item), note=f"I was given {secret}")
        await server.call("submit", **held(item), result={"message": "hi", "verified": True})
    finally:
        server.close_stdin()
        await server.ended()

    # then
    log = made.stderr + server.log.read_text()
    assert "DEBUG" in log.upper()
    assert found_in(log, secret, item["lease"]["token"]) == []


@pytest.mark.scenario("abuse-crowds")
def test_that_a_reader_has_gone_is_no_defect_of_the_protocol_but_anything_else_is(written: io.StringIO) -> None:
    gone = [
        anyio.ClosedResourceError(),
        ExceptionGroup("both", [anyio.ClosedResourceError(), anyio.BrokenResourceError()]),
    ]
    kept = [ExceptionGroup("one", [anyio.ClosedResourceError(), ValueError("a defect")]), ValueError("another")]
    for error in (*gone, *kept):
        logging.getLogger("mcp.server.streamable_http").error("failed", exc_info=error)
        logging.getLogger("workdocket.problems").error("failed here", exc_info=error)

    told = written.getvalue()
    assert told.count("failed here") == 4
    assert told.count("failed") == 4 + len(kept)

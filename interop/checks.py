"""The table of what is run: one row for each client, transport and era."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from interop.hosts import listed, worked_by_codex
from interop.installed import HERE, NODE, path, python
from interop.stand import Stand

LONGEST_SECONDS = 300
Run = Callable[[Stand], str]
PRODUCT = ("-m", "workdocket")
TERMINATED = 128 + 15
FIXTURES = ("-W", "ignore", "-m", "interop.fixtures")
HURRIED = ("-m", "interop.hurried")
"""Programs that serve: the product, with the fixtures that the conformance suite asks for, and without waiting."""


@dataclass(frozen=True)
class Check:
    """One row. ``run`` says what was shown, or raises; ``orders`` are those that have to be completed afterwards."""

    client: str
    package: str
    transport: str
    run: Run
    orders: int = 0
    quick: bool = False
    program: Sequence[str] = PRODUCT
    kills: int = 0
    """How many of its servers the client does not close but kills."""


@dataclass
class Row:
    """What came of a check."""

    check: Check
    shown: str = ""
    eras: Sequence[str] = ()
    clients: Sequence[str] = ()
    fault: str = ""


class Failed(Exception):
    """A check that did not go through; the text says all there is to know."""


def done(check: Check, folder: Path) -> Row:
    """Run a check on a database in an empty folder."""
    row, stand = Row(check), Stand(folder)
    try:
        with nullcontext() if check.transport == "stdio" else stand.listening(check.program):
            row.shown = check.run(stand)
        if check.transport == "stdio":
            stand.read_frames()
        row.eras, row.clients = stand.wire.eras, stand.clients()
        _afterwards(check, stand)
    except (Failed, AssertionError, subprocess.SubprocessError, OSError) as error:
        row.fault = str(error) or repr(error)
    return row


def _afterwards(check: Check, stand: Stand) -> None:
    completed = stand.completed()
    if len(completed) < check.orders:
        raise Failed(f"{len(completed)} of {check.orders} orders were completed")
    starts, exits = stand.wire.starts, stand.wire.exits
    if set(exits) - {0 if check.transport == "stdio" else TERMINATED} or len(exits) < starts - check.kills:
        raise Failed(f"{starts} servers were started and ended with {exits}")


def _said(words: Sequence[str | Path], stand: Stand, folder: Path = HERE) -> str:
    """The standard output of a program that is told the way to the server."""
    ways = {"INTEROP_URL": stand.url} if stand.url else {"INTEROP_SERVER": json.dumps(stand.stdio)}
    environment = {**os.environ, **ways, "PATH": path()}
    ended = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    if ended.returncode:
        raise Failed(f"exit {ended.returncode}\n{ended.stdout[-3000:]}{ended.stderr[-3000:]}")
    return ended.stdout


def node(script: str, *words: str) -> Run:
    return lambda stand: _said([NODE, script, *words], stand).splitlines()[-1]


def client(environment: str, script: str, *words: str) -> Run:
    def run(stand: Stand) -> str:
        return _said([python(environment), f"clients/{script}.py", *words], stand).splitlines()[-1]

    return run


def conformance(revision: str) -> Run:
    """The suite of one revision: exactly the scenarios that are listed as expected may fail."""

    def run(stand: Stand) -> str:
        suite = HERE / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
        expected = HERE / f"expected-{revision}.yml"
        asked = ["server", "--url", f"{stand.url}/mcp", "--suite", "all", "--spec-version", revision]
        said = _said([NODE, suite, *asked, "--expected-failures", expected, "-o", stand.folder / "out"], stand)
        found = re.search(r"^Total: (.*)$", said, re.M)
        return found[1] if found else said.splitlines()[-1]

    return run


def fuzzed(stand: Stand) -> str:
    """Calls that the OpenAPI document allows and calls that it forbids: its corners, and ten by chance of each kind."""
    words: list[str | Path] = [
        python(OPENAPI).with_name("schemathesis"),
        "--config-file",
        HERE / "schemathesis.toml",
        "run",
    ]
    said = _said([*words, f"{stand.url}/v1/openapi.json", "--max-examples", "10", "--seed", "1"], stand)
    found = re.search(r"(\d+) generated, (\d+) passed", said)
    if found is None:
        raise Failed(said[-3000:])
    return f"{found[2]} of {found[1]} calls as the OpenAPI document says"


def generated(stand: Stand) -> str:
    """A client made from the OpenAPI document, without a warning."""
    words: list[str | Path] = [python(OPENAPI).with_name("openapi-python-client"), "generate", "--fail-on-warning"]
    words += ["--url", f"{stand.url}/v1/openapi.json", "--config", HERE / "openapi-python-client.yml"]
    said = _said([*words, "--output-path", stand.folder / "client", "--meta", "none"], stand)
    calls = list((stand.folder / "client" / "api").rglob("[!_]*.py"))
    if not calls or "WARNING" in said:
        raise Failed(said[-3000:])
    return f"a client with {len(calls)} calls, made without a warning"


V1, V2 = "@modelcontextprotocol/sdk", "@modelcontextprotocol/client"


def _everywhere(transport: str) -> list[Check]:
    """The clients that go every way. Over SSE there is the era of the handshake only."""
    inspector = "@modelcontextprotocol/inspector"
    legacy, auto = node("ts_v2.mjs", transport, "legacy"), node("ts_v2.mjs", transport, "auto")
    strict, modern = node("inspector.mjs", transport, "legacy"), node("inspector.mjs", transport, "modern")
    whole = node("inspector.mjs", transport, "modern", "whole")
    probes = 1 if transport == "stdio" else 0  # it starts a server just to learn the era, and kills it
    both = [
        Check("TypeScript SDK 1", V1, transport, node("ts_v1.mjs", transport), 2, quick=True),
        Check("TypeScript SDK 2", V2, transport, legacy, 2, quick=True),
        Check("Inspector", inspector, transport, strict, quick=True),
        Check("fastmcp", "fastmcp-slim", transport, client(AGENTS, "drive_fastmcp", transport), 1),
    ]
    late = [
        Check("TypeScript SDK 2, auto", V2, transport, auto, 2, quick=True, kills=probes),
        Check("Inspector, modern", inspector, transport, modern, quick=True),
        Check("Inspector, modern, whole job", inspector, transport, whole, 2),
    ]
    return both if transport == "sse" else [*both, *late]


def _listing(who: str, *limit_and_roles: str) -> Check:
    return Check(f"tools/list, {who}", "gpt-tokenizer", "stdio", node("tokens.mjs", *limit_and_roles), quick=True)


def _suite(revision: str) -> Check:
    package = "@modelcontextprotocol/conformance"
    return Check(f"conformance {revision}", package, "http", conformance(revision), program=FIXTURES, quick=True)


AGENTS, LANGCHAIN, OPENAPI = "agents", "langchain", "openapi"
CHECKS = [
    *_everywhere("stdio"),
    *_everywhere("http"),
    *_everywhere("sse"),
    Check("pydantic-ai, scripted model", "pydantic-ai-slim", "stdio", client(AGENTS, "drive_pydantic_ai"), 1),
    Check("openai-agents, scripted model", "openai-agents", "stdio", client(AGENTS, "drive_openai_agents"), 1),
    Check("LangChain, scripted model", "langchain-mcp-adapters", "stdio", client(LANGCHAIN, "drive_langchain"), 1),
    Check("Claude Code", "@anthropic-ai/claude-code", "stdio", partial(listed, "claude-code", "claude"), kills=1),
    Check("Codex, scripted model", "@openai/codex", "stdio", worked_by_codex, kills=1),
    Check("Gemini CLI", "@google/gemini-cli", "stdio", partial(listed, "gemini", "gemini"), kills=1),
    Check("TypeScript SDK 1, a person", V1, "stdio", node("elicit_v1.mjs"), quick=True),
    Check("TypeScript SDK 2, a person", V2, "stdio", node("elicit_v2.mjs", "legacy"), quick=True),
    Check("TypeScript SDK 2, auto, a person", V2, "stdio", node("elicit_v2.mjs", "auto"), quick=True, kills=99),
    _suite("2025-11-25"),
    _suite("2026-07-28"),
    Check("Schemathesis", "schemathesis", "http", fuzzed, quick=True, program=HURRIED),
    Check("openapi-python-client", "openapi-python-client", "http", generated, quick=True),
    _listing("worker", "3000", "worker"),
    _listing("worker and reviewer", "5000", "worker", "reviewer"),
    _listing("everybody", "10000"),
]

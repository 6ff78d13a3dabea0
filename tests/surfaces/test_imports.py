"""What the commands import: people wait for it, so a command takes no protocol, web server or cryptography with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from tests.support.process import START_LIMIT, environment
from workdocket.surfaces.cli import main

REFUSED = ("mcp", "mcp_types", "uvicorn", "starlette", "sse_starlette", "httpx2", "jwt", "cryptography")
SPEAKS_MCP = {"serve", "demo"}

RUN = """
import json, sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is refused")

REFUSED, calls = json.loads(sys.argv[1])
sys.meta_path.insert(0, Refusing())

from workdocket.surfaces.cli import main

def code(arguments):
    try:
        return main.main(arguments) or 0
    except SystemExit as end:
        return end.code or 0

codes = [code(arguments) for arguments in calls]
loaded = [name for name in ("rich", "jsonschema", "pydantic") if name in sys.modules]
print("\\n" + json.dumps([codes, loaded]))
"""
"""Runs commands one after the other in a process in which nothing of REFUSED can be imported."""

CALLS: dict[str, list[str]] = {
    "init": ["init", "here"],
    "new order-type": ["new", "order-type", "demo.thing"],
    "new generator": ["new", "generator", "demo.source"],
    "new workspace": ["new", "workspace", "space"],
    "migrate": ["migrate"],
    "types": ["types"],
    "types show": ["types", "show", "test.free"],
    "types check": ["types", "check"],
    "propose": ["propose", "test.free", "--payload", "payload.json"],
    "orders list": ["orders", "list"],
    "orders show": ["orders", "show", "WO-1"],
    "orders retry": ["orders", "retry", "WO-1"],
    "orders requeue": ["orders", "requeue", "WO-1"],
    "orders dead-letter": ["orders", "dead-letter", "WO-1", "--yes"],
    "explain": ["explain", "WO-1"],
    "review": ["review", "WO-1"],
    "approve": ["approve", "WO-1"],
    "reject": ["reject", "WO-1", "--reason", "no"],
    "orders cancel": ["orders", "cancel", "WO-1", "--yes"],
    "events": ["events"],
    "prune": ["prune", "--yes"],
    "generate": ["generate"],
    "stats": ["stats"],
    "notify list": ["notify", "list"],
    "notify test": ["notify", "test"],
    "waive": ["waive", "WO-1.1", "--reason", "no"],
    "undo": ["undo", "WO-1", "--reason", "no"],
    "install": ["install", "zed", "--file", "zed.json"],
    "token create": ["token", "create", "ann", "--role", "worker"],
    "token list": ["token", "list"],
    "token revoke": ["token", "revoke", "ann", "--yes"],
}
"""Every command, in an order in which each gets as far as it can; some are refused for the state of the order."""


def run(folder: Path, *calls: list[str]) -> tuple[list[int], list[str], str]:
    """The exit codes, which of the slow libraries of the commands themselves were loaded, and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([REFUSED, calls])],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=START_LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    codes, loaded = json.loads(done.stdout.splitlines()[-1])
    return codes, loaded, done.stderr


def names(command: click.Command, before: str = "") -> set[str]:
    """Every command below, by its words; also a group that does something by itself."""
    if not isinstance(command, click.Group):
        return {before}
    found = {before} if command.invoke_without_command else set[str]()
    for name, inner in command.commands.items():
        found |= names(inner, f"{before} {name}".strip())
    return found


@pytest.mark.scenario("mcp-on-demand")
def test_every_command_but_those_that_speak_mcp_does_its_work_without_it(tmp_path: Path) -> None:
    assert CALLS.keys() | SPEAKS_MCP == names(main)
    (tmp_path / "payload.json").write_text("{}")

    codes, _, said = run(tmp_path, *CALLS.values())

    ended: dict[str, Any] = dict(zip(CALLS, codes, strict=True))
    assert "is refused" not in said
    assert set(ended.values()) <= {0, 1}, said
    assert {name for name, code in ended.items() if code == 1} <= {
        "orders retry", "orders requeue", "orders dead-letter", "review", "approve", "reject",
        "orders cancel", "waive", "undo", "notify test",
    }, said  # fmt: skip


@pytest.mark.scenario("mcp-on-demand")
def test_help_needs_no_library_but_that_of_the_command_line(tmp_path: Path) -> None:
    assert run(tmp_path, ["--help"])[:2] == ([0], [])

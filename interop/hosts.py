"""Command lines of agents that find the server in their configuration, in an empty home and without an account."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from interop.codex import model
from interop.installed import HOSTS, path
from interop.stand import TYPES, Stand

NAME = "workdocket"
LONGEST_SECONDS = 90


def listed(client: str, stand: Stand) -> str:
    """What ``CLIENT mcp list`` says of the server; it has to say that it is connected."""
    said = _run(client, ["mcp", "list"], _configured(client, stand), stand)
    found = re.search(rf"^.*{NAME}: .* - (.*Connected).*$", said, re.M)
    assert found, said
    return f"mcp list: {found[1]}; it called {', '.join(stand.wire.methods)}"


def worked_by_codex(stand: Stand) -> str:
    """An order that Codex works with a scripted model, up to the call that it leaves to a person."""
    with model() as script:
        said = _run(
            "codex", ["exec", "--skip-git-repo-check", "Do the work."], _configured("codex", stand, script.url), stand
        )
    held = "approve (failed)" in said and "requires approval" in said
    assert held, said
    return (
        f"{script.calls} calls by a scripted model up to submitted; it leaves approve, marked destructive, to a person"
    )


def _run(client: str, words: Sequence[str], files: Mapping[str, str], stand: Stand) -> str:
    home, project = stand.folder / "home", stand.folder / "project"
    project.mkdir()
    for name, text in files.items():
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    environment = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [HOSTS / "node_modules/.bin" / client, *words],
        env={**environment, "HOME": str(home), "PATH": path(), "TERM": "dumb"},
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    stand.read_frames()
    return re.sub(r"\x1b\[[\d;]*m", "", done.stdout)


def _configured(client: str, stand: Stand, url: str = "") -> Mapping[str, str]:
    """The files of a home in which a host knows the server, by their names."""
    tee = stand.tee
    settings = {"WORKDOCKET_DATABASE": stand.database, "WORKDOCKET_ORDER_TYPES": json.dumps([str(TYPES)])}
    entry = {"command": tee[0], "args": [*tee[1:], tee[0], "-m", "workdocket", "serve"], "env": settings}
    if client == "codex":
        return {".codex/config.toml": _toml(entry, url)}
    servers = json.dumps({"mcpServers": {NAME: entry}}, indent=2)
    if client == "claude":
        return {".claude.json": servers}
    trusted = json.dumps({str(stand.folder / "project"): "TRUST_FOLDER"})
    return {".gemini/settings.json": servers, ".gemini/trustedFolders.json": trusted}


def _toml(entry: Mapping[str, Any], url: str) -> str:
    # "required": a turn waits until the server has started.
    return f"""\
model_provider = "scripted"

[model_providers.scripted]
name = "scripted"
base_url = {json.dumps(url)}

[mcp_servers.{NAME}]
command = {json.dumps(entry["command"])}
args = {json.dumps(entry["args"])}
required = true

[mcp_servers.{NAME}.env]
{"".join(f"{name} = {json.dumps(value)}{chr(10)}" for name, value in entry["env"].items())}"""

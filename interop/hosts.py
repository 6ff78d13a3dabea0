"""Command lines of agents that find the server where `workdocket install` entered it, in an empty home of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

from interop.codex import model
from interop.installed import HOSTS, path
from interop.stand import Stand

LONGEST_SECONDS = 90
FILES = {"claude-code": ".claude.json", "codex": ".codex/config.toml", "gemini": ".gemini/settings.json"}
"""Where each host looks, below the home."""


def listed(client: str, command: str, stand: Stand) -> str:
    """What ``COMMAND mcp list`` says of the server; it has to say that it is connected."""
    _install(client, stand)
    trusted = stand.home / ".gemini/trustedFolders.json"
    if trusted.parent.exists():
        trusted.write_text(json.dumps({str(stand.home): "TRUST_FOLDER"}))
    said = _run([command, "mcp", "list"], stand)
    found = re.search(r"^.*workdocket: .* - (.*Connected).*$", said, re.M)
    assert found, said
    stand.read_frames()
    return f"installed; mcp list: {found[1]}; it called {', '.join(stand.wire.methods)}"


def worked_by_codex(stand: Stand) -> str:
    """An order that Codex works with a scripted model, up to the call that it leaves to a person."""
    _install("codex", stand)
    with model() as script:
        settings = {
            "model_provider": "scripted",
            "model_providers.scripted.name": "scripted",
            "model_providers.scripted.base_url": script.url,
            "mcp_servers.workdocket.required": True,  # its first turn waits until the server has started
        }
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={json.dumps(value)}")]
        said = _run(["codex", "exec", "--skip-git-repo-check", *given, "Do the work."], stand)
    assert "approve (failed)" in said, said
    assert "requires approval" in said, said
    return f"installed; {script.calls} calls of a scripted model, up to approve: Codex leaves that to a person"


def _install(client: str, stand: Stand) -> None:
    """Have the product enter itself, then put what keeps the frames in front of the words that it wrote."""
    stand.home.mkdir()
    words = stand.workdocket("install", client)
    subprocess.run(words, env=_environment(stand), cwd=stand.home, check=True, capture_output=True)
    file = stand.home / FILES[client]
    first = '"-P"'
    assert file.read_text().count(first) == 1, file.read_text()
    in_front = [*stand.tee[1:], sys.executable]
    file.write_text(file.read_text().replace(first, ", ".join([*map(json.dumps, in_front), first])))


def _run(words: Sequence[str], stand: Stand) -> str:
    """All that a host prints, without its colours."""
    done = subprocess.run(
        [HOSTS / "node_modules/.bin" / words[0], *words[1:]],
        env=_environment(stand),
        cwd=stand.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    return re.sub(r"\x1b\[[\d;]*m", "", done.stdout)


def _environment(stand: Stand) -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(stand.home), "PATH": path(), "TERM": "dumb"}

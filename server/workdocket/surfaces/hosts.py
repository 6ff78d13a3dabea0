"""The programs that start MCP servers: where each keeps its configuration, and what an entry looks like there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Json = dict[str, Any]

URL, VARIABLE = "<url>", "<variable>"
"""Stand in the rows for what is put in."""

BEARER = "Bearer "


@dataclass(frozen=True, slots=True)
class Host:
    """One row. ``files`` has the user's file by platform, ``project`` the one in the folder of a project, if any.

    ``key`` leads to the servers. An entry is ``local`` with command, args and env, or ``remote``, and with ``token``
    where the token is in a variable of the environment. ``tuning`` is what is set unless the user has set it.
    ``expands`` begins what the program takes for a variable. ``then`` is what to do afterwards.
    """

    title: str
    files: Mapping[str, str]
    key: str
    then: str
    limits: str
    project: str | None = None
    form: Literal["json", "jsonc", "toml"] = "json"
    local: Mapping[str, Any] = field(default_factory=dict)
    remote: Mapping[str, Any] | None = None
    token: Mapping[str, Any] | None = None
    tuning: Mapping[str, Any] = field(default_factory=dict)
    expands: str | None = None

    def file(self, platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
        """The user's file."""
        return Path(self.files.get(platform, self.files["linux"]).format_map(_folders(platform, environ)))

    def local_entry(self, command: str, args: list[str], env: Mapping[str, str]) -> Json:
        return {**self.local, "command": command, "args": args, "env": dict(env)}

    def remote_entry(self, url: str, variable: str | None) -> Json | None:
        """``None`` where the program has no such entries, or can't take the token from a variable."""
        if self.remote is None or (variable and self.token is None):
            return None
        entry = {**self.remote, **(self.token or {})} if variable else dict(self.remote)
        filled: Json = _filled(entry, {URL: url, VARIABLE: variable or ""})
        return filled


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(one, words) for key, one in value.items()}
    for word, given in words.items():
        value = value.replace(word, given)
    return value


def _folders(platform: str, environ: Mapping[str, str]) -> dict[str, str]:
    home = environ.get("USERPROFILE" if platform == "win32" else "HOME") or str(Path.home())
    return {
        "home": home,
        "library": f"{home}/Library/Application Support",
        "appdata": environ.get("APPDATA") or f"{home}/AppData/Roaming",
        "config": environ.get("XDG_CONFIG_HOME") or f"{home}/.config",
        "claude": environ.get("CLAUDE_CONFIG_DIR") or home,
        "gemini": environ.get("GEMINI_CLI_HOME") or home,
        "codex": environ.get("CODEX_HOME") or f"{home}/.codex",
    }


def _everywhere(path: str) -> dict[str, str]:
    return {"linux": path}


HOSTS: Mapping[str, Host] = {
    "claude-desktop": Host(
        title="Claude Desktop",
        files={
            "darwin": "{library}/Claude/claude_desktop_config.json",
            "win32": "{appdata}/Claude/claude_desktop_config.json",
            "linux": "{config}/Claude/claude_desktop_config.json",
        },
        key="mcpServers",
        then="Quit Claude Desktop fully, also in the menu bar or tray, and open it again.",
        limits="Its file takes servers that it starts itself, and none at an address.",
    ),
    "claude-code": Host(
        title="Claude Code",
        files=_everywhere("{claude}/.claude.json"),
        project=".mcp.json",
        key="mcpServers",
        local={"type": "stdio"},
        remote={"type": "http", "url": URL},
        token={"headers": {"Authorization": f"{BEARER}${{{VARIABLE}}}"}},
        expands="${",
        then="Start a new session; /mcp shows the server.",
        limits="The server of a project is pending approval until you accept it in a session.",
    ),
    "cursor": Host(
        title="Cursor",
        files=_everywhere("{home}/.cursor/mcp.json"),
        project=".cursor/mcp.json",
        form="jsonc",
        key="mcpServers",
        remote={"url": URL},
        token={"headers": {"Authorization": f"{BEARER}${{env:{VARIABLE}}}"}},
        expands="${",
        then="Restart Cursor, and switch the server on in its settings under MCP.",
        limits="Older versions take about 40 tools over all servers; --role makes the list shorter.",
    ),
    "vscode": Host(
        title="VS Code",
        files={
            "darwin": "{library}/Code/User/mcp.json",
            "win32": "{appdata}/Code/User/mcp.json",
            "linux": "{config}/Code/User/mcp.json",
        },
        project=".vscode/mcp.json",
        form="jsonc",
        key="servers",
        local={"type": "stdio"},
        remote={"type": "http", "url": URL},
        token={"headers": {"Authorization": f"{BEARER}${{env:{VARIABLE}}}"}},
        expands="${",
        then="Run “MCP: List Servers”, start the server, and say that you trust it.",
        limits="Tools are cached: run “MCP: Reset Cached Tools” after another --role or another version.",
    ),
    "codex": Host(
        title="Codex",
        files=_everywhere("{codex}/config.toml"),
        project=".codex/config.toml",
        form="toml",
        key="mcp_servers",
        remote={"url": URL},
        token={"bearer_token_env_var": VARIABLE},
        tuning={"startup_timeout_sec": 30},  # its own 10 are short for the first start after an installation
        then="Start a new session; /mcp shows the server.",
        limits="Servers get next to nothing of the environment: name what your order types need in env_vars. "
        "The file of a project counts where Codex trusts the project.",
    ),
    "gemini": Host(
        title="Gemini CLI",
        files=_everywhere("{gemini}/.gemini/settings.json"),
        project=".gemini/settings.json",
        form="jsonc",
        key="mcpServers",
        remote={"httpUrl": URL},
        token={"headers": {"Authorization": f"{BEARER}${VARIABLE}"}},
        expands="$",
        then="Start gemini anew; /mcp shows the server.",
        limits="In a folder that Gemini CLI does not trust, every server is switched off.",
    ),
    "windsurf": Host(
        title="Windsurf",
        files=_everywhere("{home}/.codeium/windsurf/mcp_config.json"),
        key="mcpServers",
        remote={"serverUrl": URL},
        token={"headers": {"Authorization": f"{BEARER}${{env:{VARIABLE}}}"}},
        expands="${",
        then="Press refresh in Cascade's list of MCP servers, or restart Windsurf.",
        limits="It takes at most 100 tools over all servers.",
    ),
    "zed": Host(
        title="Zed",
        files={"win32": "{appdata}/Zed/settings.json", **_everywhere("{config}/zed/settings.json")},
        form="jsonc",
        key="context_servers",
        remote={"url": URL},
        then="Zed starts the server by itself; the settings of its agent panel show it.",
        limits="Headers can't name variables: a token has to be written into the file by hand.",
    ),
}

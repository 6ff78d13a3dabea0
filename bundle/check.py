"""Starts a packed bundle as a host does, with a real MCP client: ``python bundle/check.py FILE.mcpb``.

Unpacked into a folder of its own; the command of the manifest, with its variables put in; another working folder; of
the environment only what a desktop program has, and what tells uv where packages are. The second start is offline.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

SECONDS = 300
"""For the first start, in which packages are downloaded."""


async def check(bundle: Path, folder: Path) -> None:
    unpacked, project, elsewhere = (folder / name for name in ("unpacked", "project of mine", "elsewhere"))
    elsewhere.mkdir()
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(unpacked)
    manifest = json.loads((unpacked / "manifest.json").read_text("utf-8"))
    words = {"${__dirname}": str(unpacked), "${user_config.project}": str(project)}
    for offline in ("", "1"):
        tools, types = await started(manifest["server"]["mcp_config"], words, elsewhere, offline)
        assert tools == [tool["name"] for tool in manifest["tools"]], tools
        assert types, "the built-in order types are not found"
        assert (project / ".workdocket" / "workdocket.db").is_file()
        print(f"{bundle.name}: started{' offline' if offline else ''}, {len(tools)} tools, {types} order types")


async def started(config: dict[str, Any], words: dict[str, str], cwd: Path, offline: str) -> tuple[list[str], int]:
    def put_in(text: str) -> str:
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    uv = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_CERT_"))}
    server = StdioServerParameters(
        command=config["command"],
        args=[put_in(one) for one in config["args"]],
        env={**uv, "PATH": path, **config["env"], **({"UV_OFFLINE": offline} if offline else {})},
        cwd=str(cwd),
    )
    async with Client(server, read_timeout_seconds=SECONDS) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answer = (await client.call_tool("order_types", {})).structured_content
    return tools, len((answer or {})["types"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(check(Path(sys.argv[1]), Path(made)))

"""The desktop bundle, short of what packs it: ``make bundle`` does that, and starts what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

import workdocket
from tests.support import pages
from tests.support.harness import passed_on
from workdocket.surfaces.tools import TOOLS

SECONDS = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "made"
    build = [sys.executable, str(pages.REPOSITORY / "bundle" / "build.py"), str(folder)]
    done = subprocess.run(build, env={**os.environ, **passed_on()}, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (0, f"workdocket-{workdocket.__version__}.mcpb\n"), done.stderr
    return folder


@pytest.mark.scenario("bundle")
def test_the_manifest_is_filled_in_from_the_package(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))

    assert [tool["name"] for tool in manifest["tools"]] == list(TOOLS)
    assert all(tool["description"] for tool in manifest["tools"])
    assert (manifest["version"], manifest["manifest_version"]) == (workdocket.__version__, "0.4")
    assert manifest["description"]
    assert manifest["compatibility"]["runtimes"] == {"python": ">=3.11"}
    # and it asks for each variable that the command needs
    command = json.dumps(manifest["server"]["mcp_config"])
    assert all(f"${{user_config.{name}}}" in command for name in manifest["user_config"])
    assert manifest["server"]["entry_point"] in command


@pytest.mark.scenario("bundle")
def test_it_holds_the_source_and_what_it_is_built_with_and_no_leftovers(bundle: Path) -> None:
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}

    source = pages.REPOSITORY / "server" / "workdocket"
    wanted = {f"server/workdocket/{path.relative_to(source).as_posix()}" for path in source.rglob("*.py")}
    assert wanted | {"manifest.json", "pyproject.toml", "main.py", "README.md", "LICENSE"} <= files
    assert [name for name in files if "__pycache__" in name or name.startswith(("tests/", ".venv/"))] == []


@pytest.mark.slow
@pytest.mark.scenario("bundle")
async def test_its_entry_point_serves_the_project_that_was_chosen(bundle: Path, tmp_path: Path) -> None:
    project = tmp_path / "my project"
    project.mkdir()
    (project / "workdocket.toml").write_text('project_key = "TEA"\n')
    server = StdioServerParameters(
        command=sys.executable, args=[str(bundle / "main.py"), str(project)], env=passed_on(), cwd=str(tmp_path)
    )

    async with Client(server, read_timeout_seconds=20) as client:
        payload = {"database": str(tmp_path / "x.db"), "table": "tea", "key": ["id"], "records": [{"id": 1}]}
        answer = await client.call_tool("propose", {"type": "database.record.insert", "payload": payload})

    assert answer.structured_content is not None
    assert answer.structured_content["order"]["id"] == "TEA-1"
    assert (project / ".workdocket" / "workdocket.db").is_file()

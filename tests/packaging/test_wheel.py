"""The wheel, installed where the repository is out of reach."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SECONDS = 60

EXPECTED = [
    "workdocket/__init__.py",
    "workdocket/py.typed",
    "workdocket/surfaces/cli/templates/order_type.py.in",
    "workdocket/surfaces/demo/airports.csv",
    "workdocket/surfaces/demo/airports.SOURCE.md",
    "workdocket/effects/sql.py",
    "workdocket_types/__init__.py",
]
BUILT_IN = [
    "city.tier.generation",
    "code.change",
    "content.fact.check",
    "customer.research",
    "database.record.insert",
    "user.data.sync",
]

LIFE = """
import asyncio, json, os, sqlite3, sys
from mcp import Client, StdioServerParameters

async def main(command):
    server = StdioServerParameters(command=command, args=["serve"])
    async with Client(server) as client:
        async def call(tool, **arguments):
            answer = await client.call_tool(tool, arguments)
            assert not answer.is_error, answer
            return answer.structured_content
        records = [{"id": 1, "name": "Assam"}]
        payload = {"database": os.path.abspath("shop.db"), "table": "tea", "key": ["id"], "records": records}
        order_id = (await call("propose", type="database.record.insert", payload=payload))["order"]["id"]
        [item] = (await call("checkout"))["items"]
        held = {"item_id": item["id"], "lease_token": item["lease"]["token"]}
        await call("submit", **held, result={"records": records})
        digest = (await call("review", order_id=order_id))["digest"]
        print((await call("approve", order_id=order_id, digest=digest))["order"]["state"])

import workdocket
print(workdocket.__file__)
asyncio.run(main(sys.argv[1]))
print(sqlite3.connect("shop.db").execute("SELECT * FROM tea").fetchall())
"""


def run(*command: object, cwd: Path) -> str:
    """What a command prints; nothing of this process's path or settings reaches it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONPATH", "WORKDOCKET_"))}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=kept, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the backend that pyproject.toml names, without a download."""
    folder = tmp_path_factory.mktemp("dist")
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    return folder / run(sys.executable, "-c", code, folder, cwd=REPOSITORY).split()[-1]


@pytest.mark.slow
@pytest.mark.scenario("wheel-works")
def test_the_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    scripts = sorted(path.name for path in (REPOSITORY / "server").rglob("*.sql"))
    templates = [str(path.relative_to(REPOSITORY / "server")) for path in (REPOSITORY / "server").rglob("*.in")]
    modules = [f"workdocket_types/{name.replace('.', '_')}.py" for name in BUILT_IN]
    assert [name for name in [*EXPECTED, *modules, *templates] if name not in names] == []
    assert sorted(Path(name).name for name in names if name.endswith(".sql")) == scripts != []
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    roots = {name.split("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"workdocket", "workdocket_types"}


@pytest.mark.slow
@pytest.mark.scenario("wheel-works")
def test_installed_from_the_wheel_an_order_goes_through_its_whole_life(wheel: Path, tmp_path: Path) -> None:
    # given a new environment with the wheel, which finds what it depends on where this one has it
    home = tmp_path / "venv"
    bin = home / ("Scripts" if os.name == "nt" else "bin")
    _install(wheel, home, bin / "python")
    project = tmp_path / "project"
    project.mkdir()
    (project / "life.py").write_text(LIFE)

    # when it is used from a folder outside of the repository
    run(bin / "workdocket", "init", cwd=project)
    types = json.loads(run(bin / "workdocket", "types", "--json", cwd=project))["types"]
    place, state, rows = run(bin / "python", "life.py", bin / "workdocket", cwd=project).splitlines()

    # then it is the installed one that did it
    assert [one["name"] for one in types] == BUILT_IN
    assert Path(place).is_relative_to(home)
    assert (state, rows) == ("completed", "[(1, 'Assam')]")


def _install(wheel: Path, home: Path, python: Path) -> None:
    """Without a download, by the pip of this environment, or by ``uv`` where that is what made it."""
    if importlib.util.find_spec("pip"):
        run(sys.executable, "-m", "venv", "--without-pip", home, cwd=wheel.parent)
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "--python", python)
        run(*pip, "install", "--no-index", "--no-deps", wheel, cwd=wheel.parent)
    else:
        uv = shutil.which("uv")
        assert uv, "neither pip nor uv is here"
        run(uv, "venv", "--quiet", "--offline", "--python", sys.executable, home, cwd=wheel.parent)
        run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel, cwd=wheel.parent)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    (packages / "dependencies.pth").write_text("\n".join({sysconfig.get_path(key) for key in ("purelib", "platlib")}))

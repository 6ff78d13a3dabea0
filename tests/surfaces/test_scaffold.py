"""workdocket new: what it writes works as it is, and it never overwrites."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from mcp import Client, StdioServerParameters

from tests.support.harness import passed_on

SECONDS = 60

Cli = Callable[..., Result]


@pytest.fixture
def shop(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh workspace, to be in."""
    assert cli("new", "workspace", "shop").exit_code == 0
    monkeypatch.chdir(folder / "shop")
    return folder / "shop"


def passes(folder: Path, *command: str) -> str:
    """What a tool of this environment prints when it has nothing against the folder."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env={**os.environ, **passed_on()}, capture_output=True, text=True,
        timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# what is written


@pytest.mark.slow
@pytest.mark.scenario("X19", "scaffold-sound")
def test_all_that_is_written_passes_its_tests_the_kit_mypy_and_ruff(cli: Cli, shop: Path) -> None:
    # given a workspace with one of each
    for words in (
        ["order-type", "customer.welcome"], ["order-type", "customer.story", "--parts"], ["generator", "customers.new"],
    ):  # fmt: skip
        done = cli("new", *words)
        assert (done.exit_code, done.stderr) == (0, "")

    # then its own tests pass: three types by the kit, and two tests of the generator
    assert "5 passed" in passes(shop, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    # and the type checker and the linter have nothing to say, by the workspace's rules and by stricter ones
    passes(shop, "mypy", "--cache-dir", os.devnull)
    passes(shop, "ruff", "check", "--no-cache")
    stricter = "E,W,F,I,UP,N,B,C4,SIM,RUF,DTZ,PLC,PLE,PLW"
    passes(shop, "ruff", "check", "--no-cache", "--select", stricter)
    passes(shop, "ruff", "format", "--no-cache", "--check")
    passes(shop, "workdocket", "types", "check", "order_types")


@pytest.mark.scenario("X19")
def test_a_type_has_hooks_for_parts_only_on_request(cli: Cli, shop: Path) -> None:
    cli("new", "order-type", "customer.welcome")
    cli("new", "order-type", "customer.story", "--parts")

    plain, parts = ((shop / "order_types" / f"customer_{one}.py").read_text() for one in ("welcome", "story"))
    hooks = ("parts:", "def required_parts", "def check_part", "def assemble")
    assert [hook for hook in hooks if hook in plain] == []
    assert [hook for hook in hooks if hook not in parts] == []
    assert "class CustomerWelcome(OrderType):" in plain
    assert 'name = "customer.welcome"' in plain


async def test_hosts_start_a_server_on_the_workspace_from_anywhere(cli: Cli, shop: Path, tmp_path: Path) -> None:
    entry = json.loads((shop / "mcp.json").read_text())["mcpServers"]["workdocket"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    server = StdioServerParameters(
        command=entry["command"], args=entry["args"], env={**passed_on(), **entry["env"]}, cwd=str(elsewhere)
    )

    async with Client(server) as client:
        found = await client.call_tool("order_types", {"name": "product.text"})
        tools = {tool.name for tool in (await client.list_tools()).tools}

    assert not found.is_error
    assert {"propose", "checkout"} <= tools
    assert "approve" not in tools
    assert (shop / ".workdocket" / "workdocket.db").is_file()


def test_below_a_workspace_its_folders_are_used(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "kinds").mkdir()
    (shop / "workdocket.toml").write_text('order_types = ["kinds"]\n')
    monkeypatch.chdir(shop / "generators")

    done = cli("new", "order-type", "customer.welcome", "--json")

    answer = json.loads(done.stdout)
    assert (answer["folder"], answer["files"]) == (
        str(shop),
        ["kinds/customer_welcome.py", "tests/test_customer_welcome.py"],
    )
    assert answer["next"][0] == f"cd {shop}"
    assert "customer.welcome" in cli("types").stdout


def test_outside_of_a_workspace_a_type_is_written_here_and_the_next_steps_make_it_known(cli: Cli, folder: Path) -> None:
    steps = json.loads(cli("new", "order-type", "order", "--json").stdout)["next"]

    assert steps[0] == 'add to workdocket.toml: order_types = ["order_types"]'
    assert steps[1] == "python -m pytest -o pythonpath=order_types tests/test_order.py"
    (folder / "workdocket.toml").write_text(steps[0].partition(": ")[2])
    assert "Write about a subject" in cli("types", "order").stdout
    passes(folder, *steps[1].split()[2:], "-q", "-p", "no:cacheprovider")


def test_another_folder_can_be_named(cli: Cli, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    done = cli("new", "order-type", "tea", "--folder", other)

    assert done.exit_code == 0
    assert sorted(contents(other)) == ["order_types/tea.py", "tests/test_tea.py"]
    assert contents(folder) == {}


def test_a_folder_that_is_there_becomes_a_workspace_and_keeps_what_it_has(cli: Cli, folder: Path) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "notes.txt").write_text("mine")

    assert cli("new", "workspace", "shop").exit_code == 0

    assert (folder / "shop" / "notes.txt").read_text() == "mine"
    assert (folder / "shop" / "workdocket.toml").is_file()


# generators


@pytest.mark.scenario("X19")
def test_a_generator_proposes_a_type_of_the_workspace(cli: Cli, shop: Path) -> None:
    cli("new", "generator", "products.new")

    done = cli("generate", "products.new", "--json")

    [row] = json.loads(done.stdout)["generators"]
    assert (row["filed"], row["types"]) == (1, {"product.text": 1})
    [order] = json.loads(cli("orders", "list", "--json").stdout)["orders"]
    payload = json.loads(cli("orders", "show", order["id"], "--json").stdout)["order"]["payload"]
    assert payload == {"database": str(shop / "target.db"), "subject": "Assam"}


def test_what_it_can_not_make_up_for_another_type_is_named(cli: Cli, shop: Path) -> None:
    sound = json.loads(cli("new", "generator", "g.research", "--type", "customer.research", "--json").stdout)
    unfit = json.loads(cli("new", "generator", "g.facts", "--type", "content.fact.check", "--json").stdout)

    assert "mend" not in sound["next"][0]
    assert unfit["next"][0].startswith("mend the payload in generators/g_facts.py: /as_of ")


def test_a_generator_needs_a_type_to_propose(cli: Cli, folder: Path, shop: Path) -> None:
    (shop / "order_types" / "product_text.py").unlink()

    nothing, strange = cli("new", "generator", "x.new"), cli("new", "generator", "x.new", "--type", "code.chang")

    assert (nothing.exit_code, strange.exit_code) == (1, 1)
    assert "workdocket new order-type NAME" in nothing.stderr
    assert "did you mean 'code.change'?" in strange.stderr
    assert not (shop / "generators" / "x_new.py").exists()


# nothing is overwritten


@pytest.mark.scenario("X19", "scaffold-never-overwrites")
@pytest.mark.parametrize(
    "words, there",
    [
        (["workspace", "shop", "--folder", ".."], "README.md"),
        (["order-type", "customer.welcome"], "order_types/customer_welcome.py"),
        (["order-type", "customer.welcome", "--parts"], "tests/test_customer_welcome.py"),
        (["generator", "customers.new"], "tests/test_customers_new.py"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_file_that_is_there_stops_everything(cli: Cli, shop: Path, words: list[str], there: str) -> None:
    (shop / there).write_text("mine")
    before = contents(shop)

    done = cli("new", *words)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert there in done.stderr
    assert "Nothing was written" in done.stderr
    assert contents(shop) == before


@pytest.mark.scenario("scaffold-never-overwrites")
def test_a_link_that_leads_nowhere_counts_as_there(cli: Cli, shop: Path, tmp_path: Path) -> None:
    (shop / "order_types" / "tea.py").symlink_to(tmp_path / "elsewhere.py")

    assert cli("new", "order-type", "tea").exit_code == 1
    assert not (tmp_path / "elsewhere.py").exists()


@pytest.mark.scenario("scaffold-never-overwrites")
def test_what_was_written_before_a_failure_is_taken_away(cli: Cli, folder: Path) -> None:
    (folder / "tests").write_text("a file where the folder should be")

    done = cli("new", "order-type", "customer.welcome")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "invalid_request: tests/test_customer_welcome.py can't be written: File exists. "
        "Mend that and try again. Nothing was written.\n"
    )
    assert [path.name for path in folder.iterdir()] == ["tests"]


# names


@pytest.mark.parametrize(
    "kind, name, said",
    [
        ("order-type", "CustomerWelcome", "did you mean 'customer.welcome'?"),
        ("order-type", "customer-welcome", "did you mean 'customer_welcome'?"),
        ("order-type", "customer..welcome", "lower-case words joined by dots"),
        ("order-type", "../escape", "did you mean 'escape'?"),
        ("order-type", "a" * 121, "at most 120"),
        ("order-type", "", "lower-case words"),
        ("order-type", "product.text", "there is an order type 'product.text' already"),
        ("order-type", "code.change", "there is an order type 'code.change' already"),
        ("order-type", "test.echo", "taken for tests"),
        ("order-type", "sqlite.copy", "belong to SQLite"),
        ("order-type", "json", "stand in the way of a module"),
        ("order-type", "class", "a word of Python"),
        ("order-type", "none", "a word of Python"),
        ("order-type", "pydantic", "stand in the way of a module"),
        ("order-type", "order.type", "a class OrderType"),
        ("order-type", "example", "a class Example"),
        ("generator", "Nightly", "did you mean 'nightly'?"),
        ("generator", "proposal", "a class Proposal"),
        ("workspace", "../shop", "no name for a workspace"),
        ("workspace", ".hidden", "no name for a workspace"),
    ],
)
def test_a_name_that_would_not_work_is_refused_with_a_better_one(
    cli: Cli, shop: Path, kind: str, name: str, said: str
) -> None:
    before = contents(shop.parent)

    done = cli("new", kind, name)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("invalid_request: ")
    assert said in done.stderr
    assert "Nothing was written" in done.stderr
    assert contents(shop.parent) == before


def test_a_name_is_taken_once_for_generators_too(cli: Cli, shop: Path) -> None:
    assert cli("new", "generator", "products.new").exit_code == 0
    assert "there is a generator 'products.new' already" in cli("new", "generator", "products.new").stderr


def test_a_broken_type_beside_it_does_not_stop_a_new_one(cli: Cli, shop: Path) -> None:
    (shop / "order_types" / "broken.py").write_text("raise RuntimeError\n")
    assert cli("new", "order-type", "customer.welcome").exit_code == 0

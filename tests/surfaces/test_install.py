"""``workdocket install``: the entry gets in, works, and comes out again, and nothing else in the file moves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from mcp import Client, StdioServerParameters

from tests.support import pages
from tests.support.configurations import CONFIGURATIONS
from tests.support.harness import TYPES, passed_on
from tests.surfaces.conftest import Cli
from workdocket.surfaces.config.jsontext import JsonText
from workdocket.surfaces.hosts import HOSTS

CLIENTS = list(HOSTS)
IN_PROJECTS = [client for client, host in HOSTS.items() if host.project]
URL = "http://127.0.0.1:8787/mcp"
SECONDS = 20
PAGE = pages.REPOSITORY / "docs" / "how-to" / "connect-a-host.md"

client_by_client = pytest.mark.parametrize("client", CLIENTS)
posix = pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")


@pytest.fixture
def folder(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a database of its own, and no program's own idea of where its files are."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME"):
        monkeypatch.delenv(name, raising=False)
    (bare / ".workdocket").mkdir()
    return bare


def written(client: str, content: bytes | None = None) -> Path:
    """The user's file of a client, as somebody has it."""
    file = HOSTS[client].file()
    file.parent.mkdir(parents=True)
    file.write_bytes(CONFIGURATIONS[client] if content is None else content)
    return file


def parsed(client: str, content: bytes) -> dict[str, Any]:
    text = content.decode("utf-8-sig")
    return tomllib.loads(text) if HOSTS[client].form == "toml" else JsonText(comments=True).parse(text)


def entry(client: str, file: Path, name: str = "workdocket") -> dict[str, Any]:
    found: dict[str, Any] = parsed(client, file.read_bytes())[HOSTS[client].key][name]
    return found


def copies(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{file.name}.before-workdocket*"))


def is_refused(result: Result, *words: str) -> None:
    assert result.exit_code == 1, result.output
    assert [word for word in words if word not in result.stderr] == []


def lines_of(content: bytes) -> list[str]:
    return [line.rstrip().replace(",", "") for line in content.decode("utf-8-sig").split("\n")]


def is_left_out(few: list[str], many: list[str]) -> bool:
    rest: Iterator[str] = iter(many)
    return all(one in rest for one in few)


# in


@client_by_client
@pytest.mark.scenario("install-keeps-the-rest")
def test_everything_else_in_the_file_stays_as_it_is(cli: Cli, client: str) -> None:
    file = written(client)
    before = file.read_bytes()

    assert cli("install", client).exit_code == 0

    # then what was there is there: values, order of names, comments, byte order mark, line ends
    after = file.read_bytes()
    old, new = parsed(client, before), parsed(client, after)
    servers = new[HOSTS[client].key]
    assert servers.pop("workdocket")["command"] == os.path.abspath(sys.executable)
    if not servers and HOSTS[client].key not in old:
        del new[HOSTS[client].key]
    assert json.dumps(new) == json.dumps(old)
    assert after[:3] == before[:3]
    assert (after.count(b"\r\n") == after.count(b"\n")) == (before.count(b"\r\n") == before.count(b"\n"))
    if b"\n" in before.strip():
        assert is_left_out(lines_of(before), lines_of(after)), after.decode()
    # and a copy is beside it
    assert [copy.read_bytes() for copy in copies(file)] == [before]


@client_by_client
@pytest.mark.scenario("install-repeats")
def test_a_second_time_nothing_changes(cli: Cli, client: str) -> None:
    file = written(client)
    cli("install", client)
    after, made = file.read_bytes(), file.stat()

    again = cli("install", client)

    assert (again.exit_code, again.output.startswith("Nothing to change")) == (0, True)
    assert (file.read_bytes(), file.stat().st_ino, len(copies(file))) == (after, made.st_ino, 1)


@client_by_client
@pytest.mark.scenario("install-undo")
def test_undo_gives_back_the_file_byte_for_byte(cli: Cli, client: str) -> None:
    file = written(client)
    cli("install", client, "--role", "worker")
    cli("install", client)  # changed once more, with another list of roles

    assert cli("install", client, "--undo").exit_code == 0

    assert file.read_bytes() == CONFIGURATIONS[client]
    assert copies(file) == []
    again = cli("install", client, "--undo")
    assert (again.exit_code, again.output.startswith("Nothing to take out")) == (0, True)


@client_by_client
@pytest.mark.scenario("install-undo")
def test_undo_takes_out_the_entry_alone_when_something_else_was_added(cli: Cli, client: str) -> None:
    file = written(client)
    cli("install", client)
    cli("install", client, "--name", "second", "--role", "reviewer")

    assert cli("install", client, "--undo").exit_code == 0

    left = parsed(client, file.read_bytes())
    assert left[HOSTS[client].key].pop("second")["args"][-1] == "reviewer"
    assert {key: value for key, value in left.items() if value} == {
        key: value for key, value in parsed(client, CONFIGURATIONS[client]).items() if value
    }


async def checked_out(told: dict[str, Any], folder: Path) -> tuple[list[str], list[Any]]:
    """The tools of the server that an entry starts, and what it hands out."""
    given = [f"{name}={value}" for name, value in {**passed_on(), **told["env"]}.items()]
    command = ["-i", *given, told["command"], *told["args"]]
    server = StdioServerParameters(command="/usr/bin/env", args=command, cwd=str(folder))
    async with Client(server, read_timeout_seconds=SECONDS) as agent:
        tools = [tool.name for tool in (await agent.list_tools()).tools]
        answer = (await agent.call_tool("checkout", {})).structured_content
    return tools, (answer or {})["items"]


@posix
@pytest.mark.slow
@client_by_client
@pytest.mark.scenario("install-works")
def test_what_was_written_starts_a_server_on_the_orders_that_are_found_here(
    cli: Cli, folder: Path, tmp_path: Path, client: str
) -> None:
    # given an order in this project, which has order types of its own
    (folder / "workdocket.toml").write_text(
        f'database = "our own.db"\nproject_key = "TEA"\norder_types = ["{TYPES.as_posix()}"]\n'
    )
    (folder / "hi.json").write_text('{"message": "hi"}')
    assert cli("propose", "test.echo", "--payload", "hi.json").exit_code == 0
    file = written(client)
    cli("install", client, "--role", "worker", "--actor", "tester")
    told = entry(client, file)

    # when the client starts what it was told, with an empty environment, somewhere else
    tools, items = asyncio.run(checked_out(told, tmp_path))

    # then it hands out that order, as a worker, by the name that was given
    assert "submit" in tools
    assert "approve" not in tools
    assert [item["order_id"] for item in items] == ["TEA-1"]
    assert '"actor_id": "tester"' in cli("events", "--event", "item.leased", "--json").output


@client_by_client
@pytest.mark.scenario("install-works")
def test_a_file_and_its_folder_are_made_and_undo_takes_the_file_away(cli: Cli, client: str) -> None:
    file = HOSTS[client].file()

    assert cli("install", client).exit_code == 0

    assert file.is_relative_to(os.environ["HOME"])
    assert "WORKDOCKET_DATABASE" in entry(client, file)["env"]
    assert cli("install", client, "--undo").exit_code == 0
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("client", IN_PROJECTS)
@pytest.mark.scenario("install-works")
def test_a_project_has_a_file_of_its_own(cli: Cli, folder: Path, client: str) -> None:
    result = cli("install", client, "--project")

    assert entry(client, folder / str(HOSTS[client].project))["command"] == os.path.abspath(sys.executable)
    assert "version control" in result.output
    assert not HOSTS[client].file().exists()


@pytest.mark.parametrize("client", ["claude-desktop", "windsurf", "zed"])
@pytest.mark.scenario("install-refuses")
def test_a_client_without_files_for_projects_is_refused_one(cli: Cli, client: str) -> None:
    is_refused(cli("install", client, "--project"), "no file for a project", f"workdocket install {client}")


@client_by_client
@pytest.mark.scenario("install-print")
def test_print_shows_the_entry_and_writes_nothing(cli: Cli, folder: Path, client: str) -> None:
    result = cli("install", client, "--print")

    servers = parsed(client, result.stdout.encode())[HOSTS[client].key]
    assert servers["workdocket"]["env"] == {"WORKDOCKET_DATABASE": f"sqlite:///{folder}/.workdocket/workdocket.db"}
    assert not HOSTS[client].file().parent.exists()


@client_by_client
@pytest.mark.scenario("install-print")
def test_a_dry_run_shows_what_would_change_and_changes_nothing(cli: Cli, client: str) -> None:
    file = written(client)

    result = cli("install", client, "--dry-run")

    assert "WORKDOCKET_DATABASE" in result.stdout
    assert (file.read_bytes(), copies(file)) == (CONFIGURATIONS[client], [])


# what is in the entry


@pytest.mark.scenario("install-keeps-the-rest")
@pytest.mark.parametrize("client", ["cursor", "codex"])
def test_what_the_user_has_added_to_the_entry_stays(cli: Cli, client: str) -> None:
    file = written(client)
    cli("install", client)
    text = file.read_text("utf-8")
    ours = text.index("WORKDOCKET_DATABASE")
    line = {"cursor": '// mine\n"LANG": "C", "', "codex": 'LANG = "C" # mine\n'}[client]
    at = text.rindex('"', 0, ours) if client == "cursor" else ours
    file.write_text(text[:at] + line + text[at + (client == "cursor") :], "utf-8")

    cli("install", client, "--role", "worker")

    told = entry(client, file)
    assert (told["env"]["LANG"], told["args"][-2:]) == ("C", ["--role", "worker"])
    assert "mine" in file.read_text("utf-8")


@pytest.mark.scenario("install-works")
def test_the_environment_that_is_written_gives_the_settings_that_hold_here(cli: Cli, folder: Path) -> None:
    from workdocket.settings import load_settings

    (folder / "types").mkdir()
    (folder / "workdocket.toml").write_text(
        'database = "a b.db"\norder_types = ["types", "shop.orders:Tea"]\nmax_leases_per_agent = "none"\n'
        "lease_ttl_seconds = 2.5\nrequire_idempotency_keys = true\nport = 9999\n"
    )
    cli("--set", "log_level=debug", "install", "windsurf")

    told = load_settings(environ=entry("windsurf", HOSTS["windsurf"].file())["env"], cwd=folder.parent)

    here = load_settings({"log_level": "debug"}, cwd=folder)
    assert told == here.model_copy(update={"port": 8787})


REMOTE_ENTRIES = {
    "claude-code": {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${TOKEN}"}},
    "cursor": {"url": URL, "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
    "vscode": {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
    "codex": {"url": URL, "bearer_token_env_var": "TOKEN", "startup_timeout_sec": 30},
    "gemini": {"httpUrl": URL, "headers": {"Authorization": "Bearer $TOKEN"}},
    "windsurf": {"serverUrl": URL, "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
}


@pytest.mark.parametrize("client", REMOTE_ENTRIES)
@pytest.mark.scenario("install-url")
def test_a_server_at_an_address_is_entered_with_the_variable_that_has_its_token(cli: Cli, client: str) -> None:
    # given the entry of a server that the client starts
    file = written(client)
    cli("install", client)

    # when it is to use a running one
    assert cli("install", client, "--url", URL, "--token-env", "TOKEN").exit_code == 0

    # then the entry is of that form, with nothing left of the other
    assert entry(client, file) == REMOTE_ENTRIES[client]
    cli("install", client, "--undo")
    assert file.read_bytes() == CONFIGURATIONS[client]


@pytest.mark.scenario("install-url")
def test_without_a_token_there_is_only_the_address(cli: Cli) -> None:
    cli("install", "zed", "--url", URL)
    assert entry("zed", HOSTS["zed"].file()) == {"url": URL}


@pytest.mark.scenario("install-url")
@pytest.mark.parametrize(
    "client, more, words",
    [
        ("claude-desktop", (), ["no server at an address", "workdocket install claude-desktop"]),
        ("zed", ("--token-env", "TOKEN"), ["token from a variable", "by hand"]),
    ],
)
def test_a_client_that_cannot_is_refused_an_address_and_the_other_way_is_named(
    cli: Cli, client: str, more: tuple[str, ...], words: list[str]
) -> None:
    file = written(client)

    is_refused(cli("install", client, "--url", URL, *more), *words)

    assert (file.read_bytes(), copies(file)) == (CONFIGURATIONS[client], [])


@pytest.mark.scenario("exit-codes")
@pytest.mark.parametrize(
    "words",
    [
        ["emacs"],
        ["cursor", "--name", "a b"],
        ["cursor", "--role", "king"],
        ["cursor", "--url", "here"],
        ["cursor", "--url", URL, "--role", "worker"],
        ["cursor", "--token-env", "TOKEN"],
    ],
    ids=" ".join,
)
def test_a_usage_error_ends_with_two(cli: Cli, words: list[str]) -> None:
    assert cli("install", *words).exit_code == 2


@pytest.mark.parametrize(
    "client, platform, environ, path",
    [
        ("claude-desktop", "darwin", {}, "/me/Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", {"APPDATA": "C:/Roaming"}, "C:/Roaming/Claude/claude_desktop_config.json"),
        ("claude-desktop", "linux", {}, "/me/.config/Claude/claude_desktop_config.json"),
        ("claude-code", "darwin", {}, "/me/.claude.json"),
        ("claude-code", "linux", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/.claude.json"),
        ("cursor", "win32", {}, "/me/.cursor/mcp.json"),
        ("vscode", "darwin", {}, "/me/Library/Application Support/Code/User/mcp.json"),
        ("vscode", "win32", {}, "/me/AppData/Roaming/Code/User/mcp.json"),
        ("vscode", "linux", {"XDG_CONFIG_HOME": "/x"}, "/x/Code/User/mcp.json"),
        ("codex", "linux", {}, "/me/.codex/config.toml"),
        ("codex", "darwin", {"CODEX_HOME": "/c"}, "/c/config.toml"),
        ("gemini", "linux", {}, "/me/.gemini/settings.json"),
        ("windsurf", "darwin", {}, "/me/.codeium/windsurf/mcp_config.json"),
        ("zed", "darwin", {}, "/me/.config/zed/settings.json"),
        ("zed", "win32", {}, "/me/AppData/Roaming/Zed/settings.json"),
    ],
)
@pytest.mark.scenario("install-works")
def test_each_platform_has_its_own_place(client: str, platform: str, environ: dict[str, str], path: str) -> None:
    home = {"USERPROFILE" if platform == "win32" else "HOME": "/me"}
    assert HOSTS[client].file(platform, {**home, **environ}) == Path(path)


@client_by_client
@pytest.mark.scenario("docs-current")
def test_the_page_on_hosts_has_each_of_them_with_its_file(client: str) -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| {HOSTS[client].title} |")]

    assert len(rows) == 2
    assert f"`{client}`" in rows[0]
    assert HOSTS[client].file("linux", {"HOME": "~"}).name in rows[0]
    assert (f"`{HOSTS[client].project}`" in rows[0]) or HOSTS[client].project is None

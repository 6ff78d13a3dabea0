"""``workdocket install`` and the file: what is refused leaves it as it was, and nobody's change gets lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.configurations import CONFIGURATIONS
from tests.support.harness import passed_on
from tests.surfaces.conftest import Cli
from tests.surfaces.test_install import copies, entry, folder, is_refused, parsed, posix, written
from workdocket.surfaces.config.place import ConfigFile, Moved
from workdocket.surfaces.hosts import HOSTS

__all__ = ["folder"]

PROCESSES = 6
SECONDS = 60
FOREIGN = b'{"mcpServers": {"workdocket": {"command": "npx", "args": ["-y", "other-server"]}}}\n'

BROKEN = [
    ("claude-desktop", b'{"mcpServers": {"a": {"command": "x"}', "line 1"),
    ("claude-desktop", b'{\n  // a comment\n  "mcpServers": {}\n}', "line 2: comments are not allowed"),
    ("windsurf", b'{"mcpServers": {},\n}', "line 1: there is a comma behind the last value"),
    ("claude-code", b"[]", "not an object"),
    ("cursor", b'{"mcpServers": {} /* no end }', "line 1"),
    ("cursor", b'{"a": 01}', "line 1"),
    ("vscode", b'{"servers": {}} {}', "behind the end"),
    ("zed", b'{"a": "\xff"}', "not UTF-8"),
    ("gemini", "{}".encode("utf-16"), "not UTF-8"),
    ("gemini", b'{"a": ' + b"[" * 100_000, "too deeply"),
    ("codex", b"[mcp_servers\n", "line 1"),
    ("codex", b"a = 1\na = 2\n", "line 2"),
]


@pytest.mark.parametrize("undo", [(), ("--undo",)], ids=["install", "undo"])
@pytest.mark.parametrize("client, content, why", BROKEN)
@pytest.mark.scenario("install-refuses")
def test_a_file_that_is_broken_is_refused_and_left_alone(
    cli: Cli, client: str, content: bytes, why: str, undo: tuple[str, ...]
) -> None:
    file = written(client, content)

    is_refused(cli("install", client, *undo), str(file), why)

    assert (file.read_bytes(), copies(file)) == (content, [])


@pytest.mark.parametrize(
    "client, content",
    [
        ("cursor", b'{"mcpServers": []}'),
        ("cursor", b'{"mcpServers": {}, "mcpServers": {}}'),
        ("codex", b'mcp_servers = { docs = { command = "npx" } }\n'),
        ("codex", b'mcp_servers.workdocket.command = "workdocket"\nmcp_servers.workdocket.args = ["serve"]\n'),
        ("codex", b'[mcp_servers.workdocket]\ncommand = "workdocket"\nargs = [\n  "serve",\n]\n'),
    ],
)
@pytest.mark.scenario("install-refuses")
def test_what_cannot_be_edited_safely_is_printed_to_be_pasted(cli: Cli, client: str, content: bytes) -> None:
    file = written(client, content)

    result = cli("install", client)

    is_refused(result, "without a risk", "Paste", str(file))
    assert "workdocket" in parsed(client, result.stdout.encode())[HOSTS[client].key]
    assert (file.read_bytes(), copies(file)) == (content, [])


@pytest.mark.scenario("install-refuses")
def test_an_entry_of_that_name_that_starts_something_else_is_replaced_by_force_only(cli: Cli) -> None:
    file = written("windsurf", FOREIGN)

    is_refused(cli("install", "windsurf"), "'workdocket' that is not ours", "--force")
    is_refused(cli("install", "windsurf", "--undo"), "'workdocket' that is not ours", "--force")
    assert (file.read_bytes(), copies(file)) == (FOREIGN, [])

    assert cli("install", "windsurf", "--force").exit_code == 0
    assert entry("windsurf", file)["args"][-1] == "serve"
    cli("install", "windsurf", "--undo")
    assert file.read_bytes() == FOREIGN


@pytest.mark.parametrize(
    "told",
    [
        {"command": "/old/.venv/bin/workdocket", "args": ["serve"]},
        {"command": "C:\\old\\Scripts\\workdocket.exe", "args": ["serve", "--role", "worker"]},
        {"command": "uvx", "args": ["workdocket", "serve"]},
        {"serverUrl": "http://127.0.0.1:1/mcp"},
    ],
)
@pytest.mark.scenario("install-repeats")
def test_an_older_entry_of_ours_is_brought_up_to_date(cli: Cli, told: dict[str, object]) -> None:
    file = written("windsurf", json.dumps({"mcpServers": {"workdocket": told}}).encode())

    assert cli("install", "windsurf").exit_code == 0

    assert entry("windsurf", file)["command"] == os.path.abspath(sys.executable)
    assert "serverUrl" not in entry("windsurf", file)


@pytest.mark.scenario("install-refuses")
def test_a_path_that_the_client_would_take_for_a_variable_is_refused(cli: Cli, folder: Path) -> None:
    is_refused(cli("--database", "pay$day.db", "install", "gemini"), "pay$day.db", "variable")
    assert cli("--database", "pay$day.db", "install", "windsurf").exit_code == 0


@pytest.mark.scenario("install-atomic")
@pytest.mark.parametrize("after", [b"ours", None])
def test_a_file_that_somebody_writes_meanwhile_is_not_overwritten(tmp_path: Path, after: bytes | None) -> None:
    # given a file that was read
    path = tmp_path / "config.json"
    path.write_bytes(b"read")
    file = ConfigFile(path)
    before = file.read()

    # when its program writes it before we do
    path.write_bytes(b"theirs")

    # then ours is refused, and leaves nothing behind
    with pytest.raises(Moved):
        file.replace(before, after)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.scenario("install-atomic")
def test_a_file_that_somebody_makes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "config.json")
    before = file.read()
    file.path.write_bytes(b"theirs")

    with pytest.raises(Moved):
        file.replace(before, b"ours")
    assert file.path.read_bytes() == b"theirs"


@posix
@pytest.mark.slow
@pytest.mark.scenario("install-atomic")
def test_installations_at_once_all_get_in(folder: Path) -> None:
    file = written("cursor")
    names = [f"server-{n}" for n in range(PROCESSES)]

    running = [
        subprocess.Popen(
            [sys.executable, "-m", "workdocket", "install", "cursor", "--name", name],
            env={**os.environ, **passed_on()}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in names
    ]  # fmt: skip
    said = [one.communicate(timeout=SECONDS)[0] for one in running]

    assert [one.returncode for one in running] == [0] * PROCESSES, said
    assert set(names) < set(parsed("cursor", file.read_bytes())["mcpServers"])
    assert {copy.stat().st_size for copy in copies(file)} != set()


@pytest.mark.scenario("install-atomic")
def test_no_copy_is_ever_overwritten(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "config.json")

    kept = [file.keep(content) for content in (b"one", b"two", b"one", b"three")]

    assert [copy.name.removeprefix("config.json.before-workdocket") for copy in kept] == ["", "-2", "", "-3"]
    assert [copy.read_bytes() for copy in file.kept()] == [b"three", b"two", b"one"]


@posix
@pytest.mark.scenario("install-atomic")
def test_a_link_stays_a_link_and_the_mode_of_its_target_stays(cli: Cli, tmp_path: Path) -> None:
    # given a configuration that is kept elsewhere, readable by its owner only
    target = tmp_path / "dotfiles" / "mcp.json"
    target.parent.mkdir()
    target.write_bytes(CONFIGURATIONS["cursor"])
    target.chmod(0o600)
    link = HOSTS["cursor"].file()
    link.parent.mkdir(parents=True)
    link.symlink_to(target)

    assert cli("install", "cursor").exit_code == 0

    assert link.is_symlink()
    assert "workdocket" in parsed("cursor", target.read_bytes())["mcpServers"]
    assert [path.stat().st_mode & 0o777 for path in (target, *copies(link))] == [0o600, 0o600]


@posix
@pytest.mark.scenario("install-refuses")
def test_a_read_only_file_is_refused(cli: Cli) -> None:
    file = written("cursor")
    file.chmod(0o444)

    result = cli("install", "cursor")

    is_refused(result, "read-only", str(file))
    assert "workdocket" in parsed("cursor", result.stdout.encode())["mcpServers"]
    assert (file.read_bytes(), copies(file)) == (CONFIGURATIONS["cursor"], [])


@posix
@pytest.mark.parametrize("more", [(), ("--undo",), ("--dry-run",)])
@pytest.mark.scenario("install-refuses")
def test_a_place_that_cannot_be_used_is_refused_without_a_traceback(
    cli: Cli, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")

    is_refused(cli("install", "cursor", "--file", tmp_path / "file" / "mcp.json", *more), "can't be used", "mcp.json")


@pytest.mark.scenario("install-works")
def test_the_file_can_be_named(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "settings.json"

    assert cli("install", "cursor", "--file", file).exit_code == 0

    assert entry("cursor", file)["args"][-1] == "serve"
    assert not HOSTS["cursor"].file().exists()

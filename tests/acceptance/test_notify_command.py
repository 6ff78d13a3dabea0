"""Notifications by a command and on the desktop: real programs, and what they may not do."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT, house
from tests.support.process import comes_true
from workdocket.channel import Channel, Message, NotDelivered
from workdocket.delivery import command, deliver, desktop

MESSAGE = Message("msg_1", "order.review", 0, "workdocket", "WO-1 (Echo; $(reboot)) waits for review", {"n": 1})

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")


def script(folder: Path, text: str, name: str = "tell") -> str:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


async def refused(program: list[str], **more: Any) -> str:
    with pytest.raises(NotDelivered) as caught:
        await command.run(program, b"{}", **more)
    return str(caught.value)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.scenario("notify-command")
async def test_a_command_gets_the_message_on_its_standard_input_and_its_arguments_as_they_are(tmp_path: Path) -> None:
    program = script(tmp_path, f'cat > {tmp_path}/in; printf "%s|" "$@" > {tmp_path}/args')
    given = {"name": "tell", "command": [program, "a b", "$HOME", "; ls"]}
    async with house(tmp_path, notify=[given]) as home:
        worker = home.person("worker")
        order_id = await worker.propose()
        await worker.hand_in(await worker.take())
        await home.app.notifier.send_due("tell")
        status = await home.app.notifier.status()

    told = json.loads((tmp_path / "in").read_text())
    assert (told["type"], told["data"]["order_id"]) == ("order.review", order_id)
    assert (tmp_path / "args").read_text() == "a b|$HOME|; ls|"
    assert status["notifications"] == []


@pytest.mark.scenario("notify-command")
async def test_a_command_gets_no_variable_that_might_be_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_SECRET", "hush")
    monkeypatch.setenv("WORKDOCKET_DATABASE", "hush")
    monkeypatch.setenv("LC_TIME", "C")

    await command.run([script(tmp_path, f"env > {tmp_path}/env")], b"{}")

    seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert (seen["PATH"], seen["LC_TIME"]) == (os.environ["PATH"], "C")
    assert "hush" not in seen.values()


@pytest.mark.scenario("notify-command")
async def test_a_command_that_fails_or_is_not_there_is_a_failed_attempt(tmp_path: Path) -> None:
    assert await refused([script(tmp_path, "exit 3")]) == "tell ended with 3"
    assert await refused([str(tmp_path / "none")]) == "none cannot be run: No such file or directory"
    (tmp_path / "plain").write_text("no program")
    assert await refused([str(tmp_path / "plain")]) == "plain cannot be run: Permission denied"
    assert await refused(["\0"]) == "\0 cannot be run: ValueError"


@pytest.mark.scenario("notify-command")
async def test_a_command_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    program = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait")

    assert await refused([program], seconds=0.3) == "tell was not done after 0.3 s, and was killed"

    child = int((tmp_path / "child").read_text())
    await comes_true(lambda: not alive(child) or "Z" in Path(f"/proc/{child}/stat").read_text())


async def test_a_command_dies_with_who_waits_for_it(tmp_path: Path) -> None:
    program = script(tmp_path, f"cat > /dev/null; echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 60")
    waiting = asyncio.create_task(command.run([program], b"{}"))
    await comes_true((tmp_path / "pid").exists)

    waiting.cancel()
    await asyncio.wait([waiting], timeout=LIMIT)

    assert waiting.cancelled()
    assert not alive(int((tmp_path / "pid").read_text()))


@pytest.mark.scenario("notify-command")
async def test_what_a_command_says_is_bounded_and_reaches_nothing_but_the_log_at_debug(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "workdocket.delivery")
    program = script(tmp_path, "echo loud; echo louder >&2; head -c 1000000 /dev/zero | tr '\\0' x")

    await command.run([program], b"x" * 1_000_000)

    assert capfd.readouterr() == ("", "")
    [record] = [one for one in caplog.records if one.name == "workdocket.delivery"]
    assert record.levelno == logging.DEBUG
    assert "loud\\nlouder\\nxxx" in record.getMessage()
    assert len(record.getMessage()) < command.LONGEST_OUTPUT + 100


async def test_a_command_may_leave_something_running_that_holds_its_output(tmp_path: Path) -> None:
    program = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child")

    await asyncio.wait_for(command.run([program], b"{}"), LIMIT)

    child = int((tmp_path / "child").read_text())
    assert alive(child)
    os.kill(child, 9)


# the desktop


@pytest.mark.scenario("notify-desktop")
@pytest.mark.skipif(sys.platform != "linux", reason="this platform has another program")
async def test_the_desktop_is_told_by_the_program_of_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, f'printf "%s|" "$@" > {tmp_path}/args', "notify-send")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    await deliver(Channel(name="here", desktop=True), MESSAGE, 0)

    assert (tmp_path / "args").read_text() == f"--app-name=workdocket|--|workdocket|{MESSAGE.text}|"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_no_text_is_part_of_a_script(platform: str) -> None:
    program = [one for one in desktop.arguments(platform, MESSAGE) if one not in (MESSAGE.title, MESSAGE.text)]

    assert "reboot" not in "".join(program)


@pytest.mark.scenario("notify-desktop")
async def test_where_there_is_no_desktop_any_more_an_attempt_fails_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotDelivered, match="no program that shows messages"):
        await desktop.show(MESSAGE)

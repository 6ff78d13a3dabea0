"""``workdocket notify``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.support.harness import TYPES, Person, settings_for, usual_types
from tests.support.receiver import receiver
from workdocket.app import open_app
from workdocket.surfaces.identity import local_caller

Cli = Callable[..., Result]


def channels(folder: Path, *rows: str) -> None:
    (folder / "workdocket.toml").write_text(
        f"order_types = ['{TYPES}']\n" + "".join(f"[[notify]]\n{r}\n" for r in rows)
    )


@pytest.mark.scenario("notify-tried")
def test_a_channel_is_tried_and_what_came_of_it_is_said(cli: Cli, folder: Path) -> None:
    with receiver(200, 200, 500) as post:
        channels(folder, f"name = 'desk'\nwebhook = '{post.url}'", "name = 'tell'\ncommand = ['false']")

        one, all_of_them, unknown = cli("notify", "test", "desk"), cli("notify", "test"), cli("notify", "test", "dsk")
        failed = cli("notify", "test", "desk", "--json")

    origin = post.url.partition("/T0")[0]
    assert (one.exit_code, one.stdout) == (0, f"desk (webhook {origin}) delivered\n")
    assert all_of_them.exit_code == 1
    assert all_of_them.stdout.splitlines() == [
        f"desk (webhook {origin}) delivered",
        "tell (command false) not delivered: false ended with 1",
    ]
    assert (unknown.exit_code, unknown.stderr.partition(".")[0]) == (1, "not_found: there is no channel dsk")
    [row] = json.loads(failed.stdout)["channels"]
    assert (failed.exit_code, row["delivered"], row["reason"]) == (1, False, "it answered 500")
    assert {got.json["type"] for got in post.got} == {"workdocket.test"}
    assert len({got.id for got in post.got}) == 3


@pytest.mark.scenario("notify-tried")
def test_the_list_shows_channels_and_what_is_not_delivered(cli: Cli, folder: Path) -> None:
    async def work() -> None:
        given: list[dict[str, Any]] = [{"name": name, "command": ["false"]} for name in ("desk", "gone")]
        settings = settings_for(folder, database=str(folder / "work.db"), notify=given, notify_attempts=1)
        async with open_app(settings, registry=usual_types()) as app:
            person = Person(app, local_caller("a"))
            await person.propose()
            await person.hand_in(await person.take())
            await app.notifier.send_due("desk")

    asyncio.run(work())
    channels(folder, "name = 'desk'\ncommand = ['false', 'hush']")

    shown, listed = (cli("--database", "work.db", "notify", "list", *more) for more in ((), ("--json",)))

    answer = json.loads(listed.stdout)
    assert [(one["name"], one["pending"], one["failed"]) for one in answer["channels"]] == [
        ("desk", 0, 1),
        ("gone", 1, 0),
    ]
    assert [(one["channel"], one["state"], one.get("error")) for one in answer["notifications"]] == [
        ("desk", "failed", "false ended with 1"),
        ("gone", "pending", None),
    ]
    assert shown.exit_code == 0
    assert "WO-1" in shown.stdout
    assert "hush" not in shown.stdout + listed.stdout


def test_without_channels_both_say_so(cli: Cli, folder: Path) -> None:
    tried, listed = cli("notify", "test"), cli("notify", "list", "--json")

    assert (tried.exit_code, tried.stderr) == (0, "no channels are known: add a [[notify]] to workdocket.toml\n")
    assert json.loads(listed.stdout) == {"channels": [], "notifications": []}

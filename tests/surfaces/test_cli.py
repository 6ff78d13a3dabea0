"""The command line: exit codes, streams, tables, and what it does not need."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.harness import TYPES, Person, held, passed_on, settings_for, usual_types
from workdocket.app import open_app
from workdocket.registry import load
from workdocket.surfaces.cli import main, texts
from workdocket.surfaces.identity import local_caller

SECONDS = 60
NEEDED = ("Echo", "Human", "Ledger")
RECORDS = [{"id": 1, "name": "Assam"}]
PAYLOAD = {"database": "~/shop.db", "table": "tea", "key": ["id"], "records": RECORDS}
HOSTILE = "\x1b[31mred\x1b[0m \x9b2J \u202etxt.exe\x07"

Cli = Callable[..., Result]
Process = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a database of its own, and a payload to propose."""
    monkeypatch.setenv("WORKDOCKET_ORDER_TYPES", ",".join(f"tests.support.types:{name}" for name in NEEDED))
    (bare / ".workdocket").mkdir()
    (bare / "tea.json").write_text(json.dumps(PAYLOAD))
    return bare


@pytest.fixture
def process(folder: Path) -> Process:
    """A command run the way people run it."""

    usual = {**os.environ, **passed_on(), "WORKDOCKET_ORDER_TYPES": ""}

    def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workdocket", *map(str, words)],
            cwd=folder, env={**usual, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=SECONDS,
        )  # fmt: skip

    return run


ECHO = {"message": "hi"}
ECHOED = {"message": "hi", "verified": True}


def work(
    folder: Path, type: str = "test.echo", payload: Any = ECHO, tool: str = "submit", registry: Any = None, **sent: Any
) -> str:
    """An order in this folder's database, filed by one agent and dealt with by another."""

    async def filed_and_done() -> str:
        settings = settings_for(folder, database=str(folder / ".workdocket" / "workdocket.db"))
        async with open_app(settings, registry=registry or usual_types()) as app:
            order_id = await Person(app, local_caller("planner")).propose(type, payload)
            agent = Person(app, local_caller("agent"))
            await agent.ok(tool, **held(await agent.take()), **(sent or {"result": ECHOED}))
            return order_id

    return asyncio.run(filed_and_done())


# exit codes


@pytest.mark.scenario("exit-codes")
def test_what_is_done_ends_with_0_and_speaks_on_stdout_only(process: Process) -> None:
    done = process("propose", "database.record.insert", "--payload", "tea.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "WO-1 database.record.insert: 1 item, queued\n", "")


@pytest.mark.scenario("exit-codes")
def test_what_is_refused_ends_with_1_and_one_line_on_stderr_only(process: Process) -> None:
    done = process("orders", "show", "WO-9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "not_found: there is no order WO-9. Call list_orders to see what exists.\n"


@pytest.mark.scenario("exit-codes")
@pytest.mark.parametrize(
    "words",
    [
        ["serve", "--transport", "carrier-pigeon"],
        ["serve", "--role", "king"],
        ["frobnicate"],
        ["orders", "list", "--limit", "many"],
        ["propose", "database.record.insert"],
        ["propose", "database.record.insert", "--payload", "not-there.json"],
        ["reject", "WO-1"],
    ],
    ids=" ".join,
)
def test_wrong_use_ends_with_2(cli: Cli, words: list[str]) -> None:
    done = cli(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: " in done.stderr


@pytest.mark.scenario("exit-codes")
@pytest.mark.parametrize(
    "words, code",
    [
        (["types", "data.record.insert"], "unknown_type"),
        (["orders", "list", "--state", "lost"], "invalid_request"),
        (["orders", "list", "--sort", "colour"], "invalid_request"),
        (["orders", "cancel", "WO-9", "--yes"], "not_found"),
        (["orders", "retry", "WO-9"], "not_found"),
        (["explain", "WO-9"], "not_found"),
        (["explain", "WO-9.1"], "not_found"),
        (["review", "WO-9"], "not_found"),
        (["approve", "WO-9"], "not_found"),
        (["reject", "WO-9", "--reason", "no"], "not_found"),
        (["events", "--order", "WO-9"], "not_found"),
        (["--database", "postgresql://localhost/work", "types"], "invalid_request"),
        (["--database", "postgresql://localhost/work", "migrate"], "invalid_request"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_refusal_is_one_line_with_its_code(cli: Cli, words: list[str], code: str) -> None:
    done = cli(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{code}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"database": 1}'])
def test_a_payload_that_is_no_good_is_refused_and_leaves_nothing_behind(cli: Cli, folder: Path, text: str) -> None:
    (folder / "bad.json").write_text(text)

    done = cli("propose", "database.record.insert", "--payload", "bad.json")

    assert (done.exit_code, done.stdout) == (1, "")
    assert json.loads(cli("orders", "list", "--json").stdout)["total"] == 0


def test_a_cancel_asks_first_and_a_no_changes_nothing(cli: Cli) -> None:
    cli("propose", "test.echo", "--payload", "-", input='{"message": "hi"}')

    done = cli("orders", "cancel", "WO-1", input="n\n")

    assert done.exit_code == 1
    assert json.loads(cli("orders", "show", "WO-1", "--json").stdout)["order"]["state"] == "queued"


# the whole loop


def test_a_person_reviews_approves_with_the_digest_and_sees_the_diff(cli: Cli, folder: Path) -> None:
    order_id = work(folder, "database.record.insert", PAYLOAD, result={"records": RECORDS}, notes="all spelled right")

    waiting, packet = cli("review"), cli("review", order_id)
    digest = json.loads(cli("review", order_id, "--json").stdout)["digest"]
    other = cli("approve", order_id, "--digest", "0" * 12)
    done = cli("approve", order_id, "--digest", digest)

    assert order_id in waiting.stdout
    assert "all spelled right" in packet.stdout
    assert digest in packet.stdout
    assert (other.exit_code, other.stderr.partition(":")[0]) == (1, "stale")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, f"{order_id} is completed")
    assert "Assam" in done.stdout
    with closing(sqlite3.connect(Path.home() / "shop.db")) as connection:
        assert connection.execute("SELECT * FROM tea").fetchall() == [(1, "Assam")]


OLD = "".join(f"line {n}\n" for n in range(40))
PAGE = """\
name = "page.write"
[payload]
properties = { text = { type = ["string", "null"] } }
[result]
properties = { text = { type = "string" } }
[effect]
kind = "file.write"
folder = "pages"
path = "page.md"
before = { payload = "/text" }
text = { result = "/text" }
"""


@pytest.fixture
def page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """An order that turns one text of a file into another, ready for review."""
    (folder / "page.toml").write_text(PAGE)
    (folder / "pages").mkdir()
    kinds = load([str(folder / "page.toml")], entry_points=False)
    monkeypatch.setenv("WORKDOCKET_ORDER_TYPES", str(folder / "page.toml"))

    def ready(before: str | None, after: str) -> str:
        if before is not None:
            (folder / "pages" / "page.md").write_text(before)
        return work(folder, "page.write", {"text": before}, registry=kinds, result={"text": after})

    return ready


def shown_lines(done: Result, after: str) -> list[str]:
    """The lines that follow the one with these words, up to the packet's own next line."""
    lines = done.stdout.splitlines()
    [first] = [n for n, line in enumerate(lines) if line.startswith(after)]
    return lines[first : next((n for n, line in enumerate(lines) if line.startswith("approval")), None)]


def test_texts_of_many_lines_are_compared_line_by_line(cli: Cli, page: Callable[..., str]) -> None:
    order_id = page(OLD, OLD.replace("line 20\n", "line twenty\nand more\n").removesuffix("\n"))
    expected = [
        "modified ", "@@ 18 @@", "  line 17", "  line 18", "  line 19", "- line 20", "+ line twenty", "+ and more",
        "  line 21", "  line 22", "  line 23", "@@ 39 @@", "  line 37", "  line 38", "  line 39",
        "+ \\ no newline at the end",
    ]  # fmt: skip

    packet, done = cli("review", order_id), cli("approve", order_id)

    assert [line.rstrip() for line in shown_lines(packet, "modified")] == [line.rstrip() for line in expected]
    assert [line.rstrip() for line in shown_lines(done, "modified")] == [line.rstrip() for line in expected]


def test_a_line_can_pass_neither_for_another_nor_steer_a_terminal(cli: Cli, page: Callable[..., str]) -> None:
    long = "x" * 78 + "- gone"
    order_id = page("a\n", f"a\n{HOSTILE}\n{long}\n\tif\r\n")

    packet = cli("review", order_id)

    assert [one for one in packet.stdout if not one.isprintable() and one != "\n"] == []
    assert shown_lines(packet, "modified") == [
        "modified ",
        "  a",
        "+ \\x1b[31mred\\x1b[0m \\x9b2J \\x202etxt.exe\\x07",
        f"+ {'x' * 78}",
        "+…- gone",
        "+ →   if\\x0d",
    ]


@pytest.mark.parametrize("width", [20, 80])
def test_lines_of_wide_letters_are_no_wider_than_the_terminal(width: int) -> None:
    lines = list(texts.compared("早い\n" * 3, "遅い" * 40 + "\n", width))

    assert max(line.cell_len for line in lines) <= width
    assert "".join(line.plain[2:] for line in lines if line.plain[0] == "+") == "遅い" * 40


def test_texts_inside_of_an_object_that_is_added_are_lines_too() -> None:
    change = {"op": "added", "path": "/run.sh", "before": None, "after": {"executable": True, "text": "a\nb\n"}}

    assert [(one["path"], one["after"]) for one in texts.leaves(change)] == [
        ("/run.sh/executable", True),
        ("/run.sh/text", "a\nb\n"),
    ]


def test_long_texts_are_compared_in_bounded_time() -> None:
    old, new = "\n".join("ab" * 50_000), "\n".join("ba" * 50_000)

    lines = list(texts.compared(old, new, 80))

    assert [line.plain[0] for line in lines] == ["-"] * 100_000 + ["+"] * 100_000


def test_only_a_terminal_gets_lines_in_colour(process: Process, page: Callable[..., str], folder: Path) -> None:
    order_id, types = page("a\n", "b\n"), str(folder / "page.toml")

    piped = process("review", order_id, WORKDOCKET_ORDER_TYPES=types, TERM="xterm-256color")
    forced = process("review", order_id, WORKDOCKET_ORDER_TYPES=types, TERM="xterm-256color", FORCE_COLOR="1")

    assert "- a\n+ b\n" in piped.stdout
    assert "\x1b[31m- a\x1b[0m\n\x1b[32m+ b\x1b[0m\n" in forced.stdout


def test_a_diff_that_is_cut_is_shown_whole_when_asked_for(cli: Cli, page: Callable[..., str]) -> None:
    new = "".join(f"another line {n}\n" for n in range(1_000))
    order_id = page(OLD, new)

    cut, whole = cli("review", order_id), cli("review", order_id.lower(), "--diff")
    as_json = [json.loads(cli("review", order_id, *more, "--json").stdout) for more in ([], ["--diff"])]

    assert "… and 1 more; with --diff the whole is shown" in cut.stdout
    assert "another line 7" not in cut.stdout
    assert shown_lines(whole, "modified")[-1] == "+ another line 999"
    assert as_json[0]["preview"]["changes_left_out"] == 1
    assert as_json[1]["preview"]["changes"][0]["after"] == new
    assert as_json[1]["preview"]["after"] == new
    assert as_json[0]["digest"] == as_json[1]["digest"]


def test_a_person_counts_as_one_where_a_type_asks_for_it(cli: Cli, folder: Path) -> None:
    order_id = work(folder, "test.human")
    assert cli("approve", order_id).exit_code == 0


def test_rework_names_one_item_and_its_reasons(cli: Cli, folder: Path) -> None:
    order_id = work(folder)

    done = cli("reject", order_id, "--rework", "--item", f"{order_id}.1", "--reason", "louder", "--reason", "slower")

    assert (done.exit_code, done.stdout) == (0, f"{order_id} is queued\n")
    events = json.loads(cli("events", "--event", "item.returned", "--json").stdout)["events"]
    assert [error["message"] for error in events[0]["data"]["errors"]] == ["louder", "slower"]


def test_a_refusal_for_good_and_a_cancel_are_shown_as_states(cli: Cli, folder: Path) -> None:
    first, second = work(folder), work(folder)
    assert cli("reject", first, "--reason", "no").stdout == f"{first} is rejected\n"
    assert cli("orders", "cancel", second, "--yes", "--reason", "late").stdout == f"{second} is cancelled\n"


def test_an_apply_that_failed_is_a_refusal_with_the_words_of_the_type(cli: Cli, process: Process, folder: Path) -> None:
    ledger = {"file": str(folder / "ledger"), "fail_times": 1}
    order_id = work(folder, "test.ledger", ledger, result={})

    failed = process("approve", order_id, WORKDOCKET_ORDER_TYPES=str(TYPES))
    reasons = json.loads(cli("explain", order_id, "--json").stdout)["reasons"]

    assert (failed.returncode, failed.stdout) == (1, "")
    assert "Traceback" not in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith(f"apply_failed: {order_id}: RuntimeError: the ledger is closed")
    assert "the ledger is closed" in reasons[0]["message"]


def test_failed_items_are_tried_again(cli: Cli, folder: Path) -> None:
    order_id = work(folder, tool="fail", reason="cannot be done", retryable=False)
    assert cli("orders", "retry", order_id).stdout == f"{order_id} is queued\n"


def test_explain_takes_an_order_an_item_or_nothing(cli: Cli) -> None:
    cli("propose", "test.echo", "--payload", "-", input='{"message": "hi"}')
    for words in ([], ["WO-1"], ["wo-1.1"]):
        done = cli("explain", *words)
        assert done.exit_code == 0
        assert "ready" in done.stdout


@pytest.mark.scenario("deadline-ahead")
def test_a_deadline_is_given_and_shown(cli: Cli, folder: Path) -> None:
    filed = cli("propose", "test.echo", "--payload", message(folder), "--deadline", "2999-01-01T00:00:00Z")
    past = cli("propose", "test.echo", "--payload", message(folder), "--deadline", "2001-01-01T00:00:00Z")

    assert filed.exit_code == 0
    assert (past.exit_code, past.stderr.partition(":")[0]) == (1, "invalid_request")
    assert "deadline  2999-01-01 00:00:00Z\n" in cli("orders", "show", "WO-1").stdout


# what is printed


@pytest.mark.parametrize(
    "words",
    [
        ["types"], ["types", "test.echo"], ["propose", "test.echo", "--payload", "-"], ["orders", "list"],
        ["orders", "show", "WO-1"], ["review"], ["review", "WO-1"], ["explain"], ["explain", "WO-1"], ["events"],
        ["review", "WO-1", "--diff"], ["migrate", "--dry-run"], ["approve", "WO-1"], ["prune", "--dry-run"],
        ["prune", "--yes"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_with_json_the_answer_is_all_there_is_on_stdout(cli: Cli, folder: Path, words: list[str]) -> None:
    work(folder)
    done = cli(*words, "--json", input='{"message": "hi"}')
    assert (done.exit_code, done.stderr) == (0, "")
    assert isinstance(json.loads(done.stdout), dict)


def test_tables_are_readable_at_80_columns_and_without_colour_when_piped(process: Process) -> None:
    process("propose", "database.record.insert", "--payload", "tea.json")

    done = process("orders", "list", COLUMNS="80", TERM="xterm-256color")

    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    assert lines[0] == "1 order"
    assert lines[2].split()[:4] == ["WO-1", "database.record.insert", "queued", "0"]


def test_a_terminal_gets_colour(folder: Path) -> None:
    done = CliRunner(env={"FORCE_COLOR": "1"}).invoke(main, ["types"], color=True)
    assert done.exit_code == 0


@pytest.mark.parametrize(
    "words", [["review"], ["review", "WO-1"], ["orders", "show", "WO-1"], ["events"]], ids=" ".join
)
def test_what_agents_wrote_can_not_steer_a_terminal(cli: Cli, folder: Path, words: list[str]) -> None:
    result = {"message": HOSTILE, "verified": True}
    work(folder, payload={"message": HOSTILE}, result=result, notes=HOSTILE, evidence={"log": HOSTILE})

    plain, as_json = cli(*words), cli(*words, "--json")

    for printed in (plain.stdout, as_json.stdout):
        assert [one for one in printed if not one.isprintable() and one != "\n"] == []
    json.loads(as_json.stdout)
    if "WO-1" in words:
        assert "\\x1b[31mred" in "".join(plain.stdout.split("\n")) or "\\u001b[31mred" in plain.stdout


def test_a_refusal_can_not_steer_a_terminal_either(cli: Cli) -> None:
    done = cli("types", HOSTILE)
    assert [one for one in done.stderr if not one.isprintable() and one != "\n"] == []


def test_json_says_the_same_as_before_it_was_made_harmless(cli: Cli) -> None:
    cli("propose", "test.echo", "--payload", "-", input=json.dumps({"message": HOSTILE}))
    assert json.loads(cli("orders", "show", "WO-1", "--json").stdout)["order"]["payload"]["message"] == HOSTILE


def test_events_can_be_read_on_from_where_they_stopped(cli: Cli) -> None:
    cli("propose", "test.echo", "--payload", "-", input='{"message": "hi"}')
    first = cli("events", "--limit", "1")
    cursor = first.stdout.split()[-1]
    assert first.stdout.splitlines()[-1] == f"more: --after {cursor}"
    assert "order.planned" in cli("events", "--after", cursor).stdout


# what it needs

LEAN = [
    ["--help"],
    ["types"],
    ["propose", "database.record.insert", "--payload", "tea.json"],
    ["orders", "list"],
    ["install", "cursor"],
]


@pytest.mark.parametrize("words", LEAN, ids=" ".join)
def test_commands_other_than_serve_and_demo_never_load_mcp(folder: Path, words: list[str]) -> None:
    code = (
        "import sys\nfrom workdocket.surfaces.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] in ('mcp', 'mcp_types', 'starlette')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env={**os.environ, **passed_on(), "WORKDOCKET_ORDER_TYPES": ""}, capture_output=True, text=True,
        timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == ""


# settings


@pytest.mark.scenario("settings-precedence")
def test_the_command_line_beats_the_environment_which_beats_the_file(cli: Cli, folder: Path) -> None:
    (folder / "workdocket.toml").write_text('database = "file.db"\n')
    cli("orders", "list")
    cli("orders", "list", env={"WORKDOCKET_DATABASE": "environment.db"})
    cli("--database", "option.db", "orders", "list", env={"WORKDOCKET_DATABASE": "never.db"})
    assert sorted(path.name for path in folder.glob("*.db")) == ["environment.db", "file.db", "option.db"]


@pytest.mark.scenario("settings-precedence")
@pytest.mark.parametrize("words", [["types"], ["migrate"], ["serve"]], ids=" ".join)
def test_an_unknown_setting_stops_with_the_nearest_name(cli: Cli, words: list[str]) -> None:
    done = cli(*words, env={"WORKDOCKET_DATABSE": "x.db"})
    assert (done.exit_code, done.stdout) == (1, "")
    assert "did you mean WORKDOCKET_DATABASE?" in done.stderr


def test_a_broken_order_type_stops_with_file_and_line(cli: Cli, folder: Path) -> None:
    (folder / "broken.py").write_text("from workdocket import OrderType\n\nclass Broken(OrderType):\n    nmae = 'x'\n")
    done = cli("types", env={"WORKDOCKET_ORDER_TYPES": "broken.py"})
    assert (done.exit_code, done.stdout) == (1, "")
    assert "broken.py:3: Broken: " in done.stderr


# the database


@pytest.fixture
def too_new(cli: Cli, folder: Path) -> Path:
    """The database as a newer version would leave it."""
    cli("orders", "list")
    path = folder / ".workdocket" / "workdocket.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    return path


@pytest.mark.parametrize("words", [["orders", "list"], ["migrate"], ["migrate", "--dry-run"]], ids=" ".join)
def test_a_database_of_a_newer_version_is_refused_and_left_alone(cli: Cli, too_new: Path, words: list[str]) -> None:
    done = cli(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "schema version 99" in done.stderr
    assert "Update workdocket" in done.stderr
    with closing(sqlite3.connect(too_new)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_server_on_a_newer_database_says_so_on_stderr_and_not_on_the_wire(process: Process, too_new: Path) -> None:
    done = process("serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert "schema version 99" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["orders", "list"], ["migrate"]], ids=" ".join)
def test_what_is_no_database_is_refused_without_a_traceback(cli: Cli, folder: Path, words: list[str]) -> None:
    (folder / "other").write_text("This is not a database at all. " * 100)
    done = cli("--database", "other", *words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("invalid_request: the database cannot be opened: file is not a database")


def test_init_makes_a_project_once_and_commands_below_it_use_it(cli: Cli, folder: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"

    first, second = cli("init", project), cli("init", project)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "already" in second.stdout
    assert (project / ".workdocket" / ".gitignore").read_text() == "*\n"
    below = project / "a" / "b"
    below.mkdir(parents=True)
    os.chdir(below)
    cli("orders", "list")
    assert (project / ".workdocket" / "workdocket.db").is_file()


def test_migrate_says_what_it_would_do_then_does_it_once(cli: Cli, folder: Path) -> None:
    would = json.loads(cli("migrate", "--dry-run", "--json").stdout)
    did = json.loads(cli("migrate", "--json").stdout)
    again = json.loads(cli("migrate", "--json").stdout)

    assert would["migrations"] == did["migrations"] != []
    assert (would["version"], did["version"]) == (0, len(did["migrations"]))
    assert again["migrations"] == []


@pytest.mark.slow
def test_the_demo_runs_the_main_job_to_its_end(process: Process, tmp_path: Path) -> None:
    done = process("demo", "--agents", "2", "--keep", tmp_path / "kept")

    assert (done.returncode, done.stderr) == (0, "")
    assert "800 rows, every one verified, reviewed and applied once" in done.stdout
    with closing(sqlite3.connect(tmp_path / "kept" / "airports.db")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM airports").fetchone() == (800,)


# an operator's commands


@pytest.fixture
def old_answers(cli: Cli, folder: Path) -> Path:
    """The database with three answers past their time, and one within it."""
    for key in "abcd":
        cli("propose", "test.echo", "--payload", message(folder), "--idempotency-key", key)
    path = folder / ".workdocket" / "workdocket.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE answers SET created_at = created_at - 8 * 86400000 WHERE rowid <= 3")
    return path


def answers_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0]
        return count


@pytest.mark.scenario("I12")
def test_prune_says_what_it_would_remove_then_removes_it(cli: Cli, old_answers: Path) -> None:
    would = cli("prune", "--dry-run", "--json")
    assert (json.loads(would.stdout), answers_in(old_answers)) == ({"answers": {"expired": 3, "removed": 0}}, 4)

    did = cli("prune", "--yes", "--json")
    assert (json.loads(did.stdout), answers_in(old_answers)) == ({"answers": {"expired": 3, "removed": 3}}, 1)


@pytest.mark.scenario("I12")
@pytest.mark.parametrize(("said", "code", "left"), [("n\n", 1, 4), ("y\n", 0, 1)])
def test_prune_asks_first(cli: Cli, old_answers: Path, said: str, code: int, left: int) -> None:
    done = cli("prune", input=said)

    assert (done.exit_code, answers_in(old_answers)) == (code, left)
    assert "older than 7 days" in done.stderr
    assert ("answers" in done.stdout) == (code == 0)


def test_a_rejected_order_is_sent_back_to_work(cli: Cli, folder: Path) -> None:
    order_id = work(folder, "test.human")
    assert cli("reject", order_id, "--reason", "not now").exit_code == 0

    done = cli("orders", "requeue", order_id.lower(), "--json")

    assert (done.exit_code, json.loads(done.stdout)["order"]["state"]) == (0, "queued")


def test_a_rejected_order_is_put_aside_for_good(cli: Cli, folder: Path) -> None:
    order_id = work(folder, "test.human")
    assert cli("reject", order_id, "--reason", "never").exit_code == 0

    asked = cli("orders", "dead-letter", order_id)
    done = cli("orders", "dead-letter", order_id, "--yes", "--json")
    again = cli("orders", "requeue", order_id)

    assert asked.exit_code == 1
    assert json.loads(done.stdout)["order"]["state"] == "dead_lettered"
    assert (again.exit_code, again.stderr.partition(":")[0]) == (1, "illegal_transition")


def test_a_setting_can_be_given_in_front_of_the_command(cli: Cli, folder: Path) -> None:
    (folder / "workdocket.toml").write_text('project_key = "FILE"\n')

    given = cli("--set", "project-key=CLI", "propose", "test.human", "--payload", str(message(folder)), "--json")
    unfit = cli("--set", "project_key", "types")
    unknown = cli("--set", "projectkey=X", "types")

    assert json.loads(given.stdout)["order"]["id"] == "CLI-1"
    assert unfit.exit_code == 2
    assert (unknown.exit_code, "--set project_key" in unknown.stderr) == (1, True)


def message(folder: Path) -> Path:
    file = folder / "message.json"
    file.write_text('{"message": "hi"}')
    return file


# order types


BROKEN = """
from workdocket import OrderType

class {name}(OrderType):
    name = "broken.{name}"
    payload = {{"type": "objekt"}}
"""


@pytest.mark.scenario("types-checked", "exit-codes")
def test_types_check_tells_all_broken_types_with_file_and_line_and_exits_1(cli: Cli, folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(BROKEN.format(name=name))

    told = cli("types", "check", "one.py", "two.py")
    as_json = json.loads(cli("types", "check", ".", "--json").stdout)

    assert told.exit_code == 1
    for name in ("one", "two"):
        assert f"{folder / name}.py:4: error: {name}: apply is missing." in told.stdout
    assert (as_json["types"], as_json["errors"]) == ([], 4)
    assert {remark["line"] for remark in as_json["remarks"]} == {4}


@pytest.mark.scenario("types-checked")
def test_types_check_without_a_path_looks_at_what_a_server_here_loads(cli: Cli) -> None:
    told = cli("types", "check")

    assert told.exit_code == 0, told.output
    assert "0 errors" in told.stdout
    assert "note: test.ledger has no title." in told.stdout


def test_a_type_is_shown_by_its_name_alone_and_after_show(cli: Cli) -> None:
    alone, after_show, all_of_them = cli("types", "test.echo"), cli("types", "show", "test.echo"), cli("types")

    assert (alone.exit_code, after_show.exit_code, all_of_them.exit_code) == (0, 0, 0)
    assert alone.stdout == after_show.stdout != all_of_them.stdout
    assert cli("types", "--json", "test.echo").stdout == cli("types", "test.echo", "--json").stdout


@pytest.mark.scenario("X9")
@pytest.mark.parametrize("name", ["websocket", "grpc", "HTTP"])
def test_a_transport_that_there_is_not_is_a_usage_error_that_names_it(cli: Cli, name: str) -> None:
    refused = cli("serve", "--transport", name)
    assert refused.exit_code == 2
    assert name in refused.stderr


@pytest.mark.scenario("X18")
def test_stats_counts_orders_by_state_and_leases(cli: Cli, folder: Path) -> None:
    assert json.loads(cli("stats", "--json").stdout)["leases"] == {"live": 0, "expired": 0}
    (folder / "payload.json").write_text('{"message": "hi"}')
    cli("--set", f"order_types={TYPES}", "propose", "test.echo", "--payload", "payload.json")
    assert "queued" in cli("stats").stdout

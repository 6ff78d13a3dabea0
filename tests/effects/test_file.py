"""A file that is replaced only where it is what it was taken for, on a real file system."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.built_in import Attempt
from tests.support.harness import LIMIT
from workdocket import Refused
from workdocket.effects.file import rehearse, replace

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these modes nor this lock")
CTX = Attempt("key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of its own, so that whatever is left behind is seen."""
    place = tmp_path / "here"
    place.mkdir()
    return place


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(*arguments: object, **more: object) -> str:
    """The code of the finding, by the rehearsal and by the replacement alike."""
    codes = set()
    for way in (rehearse, lambda path, *rest, **more: replace(path, CTX, *rest, **more)):
        with pytest.raises(Refused) as refused:
            way(*arguments, **more)  # type: ignore[operator]
        codes |= {finding.code for finding in refused.value.findings}
    [code] = codes
    return code


CHANGES = [
    ("old\n", "new\n", "tea.md: changed", "modified"),
    (None, "new\r\nwith its line ends, and ü\n", "tea.md: made", "added"),
    ("old\n", None, "tea.md: removed", "removed"),
]


@pytest.mark.scenario("effect-file")
@pytest.mark.parametrize("expected, new, summary, op", CHANGES, ids=["changed", "made", "removed"])
def test_a_file_is_changed_made_and_removed_and_nothing_else_is_left(
    folder: Path, expected: str | None, new: str | None, summary: str, op: str
) -> None:
    # given
    file = folder / "tea.md"
    if expected is not None:
        file.write_bytes(expected.encode())

    # when
    foreseen = rehearse(file, expected, new)
    diff = replace(file, CTX, expected, new)

    # then
    assert (diff.summary, [change.op for change in diff.changes]) == (summary, [op])
    assert foreseen == diff
    assert names(folder) == ([] if new is None else ["tea.md"])
    assert new is None or file.read_bytes() == new.encode()


@pytest.mark.scenario("effect-file", "apply-once")
@pytest.mark.parametrize("expected, new, summary, op", CHANGES, ids=["changed", "made", "removed"])
def test_an_attempt_after_a_crash_finds_it_done_and_returns_the_same_diff(
    folder: Path, expected: str | None, new: str | None, summary: str, op: str
) -> None:
    # given
    file = folder / "tea.md"
    if expected is not None:
        file.write_bytes(expected.encode())
    first = replace(file, CTX, expected, new)
    left = file.stat() if new is not None else None

    # when
    second = replace(file, Attempt("key", attempt=2), expected, new)

    # then
    assert second == first
    assert left is None or (file.stat().st_ino, file.stat().st_mtime_ns) == (left.st_ino, left.st_mtime_ns)


@pytest.mark.scenario("effect-file")
@pytest.mark.parametrize("found", ["something else\n", "", None])
def test_a_file_that_is_neither_the_old_nor_the_new_one_is_left_alone(folder: Path, found: str | None) -> None:
    file = folder / "tea.md"
    if found is not None:
        file.write_text(found)

    assert refusal(file, "old\n", "new\n") == "stale"

    assert names(folder) == ([] if found is None else ["tea.md"])
    assert found is None or file.read_text() == found


@pytest.mark.scenario("effect-file")
def test_a_file_that_somebody_made_before_is_not_overwritten_by_a_new_one(folder: Path) -> None:
    (folder / "tea.md").write_text("somebody's\n")

    assert refusal(folder / "tea.md", None, "mine\n") == "stale"


def test_a_new_file_brings_its_folder_with_it(folder: Path) -> None:
    replace(folder / "a" / "b" / "tea.md", CTX, None, "new\n")

    assert (folder / "a" / "b" / "tea.md").read_text() == "new\n"


def test_a_file_whose_folder_is_gone_is_stale_or_removed_already(folder: Path) -> None:
    assert refusal(folder / "a" / "tea.md", "old\n", "new\n") == "stale"
    assert replace(folder / "a" / "tea.md", CTX, "old\n", None).summary == "tea.md: removed"
    assert names(folder) == []


def test_the_same_text_is_no_change(folder: Path) -> None:
    (folder / "tea.md").write_text("old\n")

    diff = replace(folder / "tea.md", CTX, "old\n", "old\n")

    assert (diff.has_changes, diff.summary) == (False, "tea.md: unchanged")


@POSIX
@pytest.mark.scenario("effect-file")
@pytest.mark.parametrize("mode", [0o600, 0o755, 0o666])
def test_a_file_keeps_its_mode(folder: Path, mode: int) -> None:
    file = folder / "tea.sh"
    file.write_text("old\n")
    file.chmod(mode)

    replace(file, CTX, "old\n", "new\n")

    assert stat.S_IMODE(file.stat().st_mode) == mode


@POSIX
def test_a_new_file_has_the_mode_that_any_new_file_has(folder: Path) -> None:
    replace(folder / "tea.md", CTX, None, "new\n")
    (folder / "other.md").write_text("new\n")

    assert (folder / "tea.md").stat().st_mode == (folder / "other.md").stat().st_mode


# links, and other things that are no files


@POSIX
@pytest.mark.scenario("effect-file")
def test_a_link_is_not_followed_nor_replaced(folder: Path) -> None:
    (folder / "target.md").write_text("old\n")
    (folder / "tea.md").symlink_to("target.md")

    assert refusal(folder / "tea.md", "old\n", "new\n") == "not_a_file"

    assert (folder / "tea.md").is_symlink()
    assert (folder / "target.md").read_text() == "old\n"


@POSIX
def test_a_link_to_nothing_is_no_place_for_a_new_file(folder: Path) -> None:
    (folder / "tea.md").symlink_to("nowhere.md")

    assert refusal(folder / "tea.md", None, "new\n") == "not_a_file"


def test_a_folder_is_no_file(folder: Path) -> None:
    (folder / "tea.md").mkdir()

    assert refusal(folder / "tea.md", None, "new\n") == "not_a_file"


@POSIX
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    pipe = folder / "tea.md"
    os.mkfifo(pipe)

    with ThreadPoolExecutor(1) as aside:
        asked = aside.submit(replace, pipe, CTX, None, "new\n")
        try:
            with pytest.raises(Refused, match="a link, a folder or the like"):
                asked.result(LIMIT)
        finally:
            os.close(os.open(pipe, os.O_RDWR))  # whoever waits for somebody to write is let go


@POSIX
@pytest.mark.scenario("effect-file")
@pytest.mark.parametrize("path", ["../tea.md", "a/../../tea.md", "out/tea.md", "out/new/tea.md", "..", "", "a/.."])
def test_inside_a_folder_no_way_leads_out_of_it(folder: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "a").mkdir()
    (folder / "out").symlink_to(tmp_path / "elsewhere")

    assert refusal(path, None, "new\n", inside=folder) == "outside"

    assert names(tmp_path) == ["elsewhere", "here"]
    assert names(tmp_path / "elsewhere") == []


def test_inside_a_folder_paths_are_relative_to_it_or_absolute(folder: Path) -> None:
    replace("a/tea.md", CTX, None, "new\n", inside=folder)
    replace(folder / "a" / "tea.md", CTX, "new\n", "newer\n", inside=folder)

    assert (folder / "a" / "tea.md").read_text() == "newer\n"


# two at once


@POSIX
@pytest.mark.scenario("effect-file")
def test_of_many_that_take_it_for_the_same_one_changes_it_and_the_others_are_told(folder: Path) -> None:
    # given
    file = folder / "tea.md"
    file.write_text("old\n")

    def change(n: int) -> str:
        try:
            return str(replace(file, Attempt(f"key {n}"), "old\n", f"new {n}\n").after)
        except Refused as refused:
            return refused.findings[0].code

    # when
    with ThreadPoolExecutor(8) as together:
        outcomes = list(together.map(change, range(8)))

    # then
    assert sorted(outcomes) == [file.read_text(), *["stale"] * 7]
    assert names(folder) == ["tea.md"]


@POSIX
@pytest.mark.scenario("effect-file", "apply-once")
def test_many_with_one_key_all_find_it_done(folder: Path) -> None:
    (folder / "tea.md").write_text("old\n" * 10_000)

    with ThreadPoolExecutor(8) as together:
        diffs = list(
            together.map(lambda n: replace(folder / "tea.md", Attempt("key", n), "old\n" * 10_000, "new\n"), range(8))
        )

    assert all(diff == diffs[0] for diff in diffs)
    assert names(folder) == ["tea.md"]


DYING = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from workdocket.effects import file

os.fsync = lambda number: os._exit(9)
file.replace(Path(sys.argv[1]), SimpleNamespace(idempotency_key="key"), "old\\n", "new\\n")
"""


@POSIX
@pytest.mark.scenario("effect-file", "apply-once")
def test_what_a_process_that_died_left_behind_is_cleared_away_by_the_next_attempt(folder: Path) -> None:
    # given a process that dies when the new text is written, and not yet in its place
    file = folder / "tea.md"
    file.write_text("old\n")
    root = Path(__file__).parents[2]
    died = subprocess.run([sys.executable, "-c", DYING, str(file)], cwd=root, timeout=20)
    assert died.returncode == 9
    assert file.read_text() == "old\n"
    assert len(names(folder)) == 2

    # when
    replace(file, Attempt("key", attempt=2), "old\n", "new\n")

    # then
    assert file.read_text() == "new\n"
    assert names(folder) == ["tea.md"]


FULL = """
import resource, sys
from pathlib import Path
from types import SimpleNamespace
from workdocket.effects import file

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file.replace(Path(sys.argv[1]), SimpleNamespace(idempotency_key="key"), "old\\n", "new\\n" * 1000)
"""


@POSIX
@pytest.mark.scenario("effect-file")
def test_where_there_is_no_room_for_the_new_text_the_old_one_stays_and_nothing_beside_it(folder: Path) -> None:
    file = folder / "tea.md"
    file.write_text("old\n")

    root = Path(__file__).parents[2]
    failed = subprocess.run(
        [sys.executable, "-c", FULL, str(file)], cwd=root, capture_output=True, text=True, timeout=20
    )

    assert "File too large" in failed.stderr
    assert file.read_text() == "old\n"
    assert names(folder) == ["tea.md"]

"""Generators as plug-ins: where they are found, and which are refused."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from textwrap import indent

import pytest

from workdocket.plugins import BrokenType
from workdocket.registry import GENERATORS, load, load_generators

HEAD = "from workdocket import Diff, Generator, OrderType, Proposal\n\n"
ECHO = """\
class Echo(OrderType):
    name = "demo.echo"
    payload = {"type": "object"}
    def apply(self, order, ctx): return Diff()
"""


def generator(name: str = "nightly", body: str = "", cls: str = "Nightly") -> str:
    lines = f"name = {name!r}\ndef discover(self, slot): return []\n{body}"
    return f"class {cls}(Generator):\n{indent(lines, '    ')}\n"


def write(file: Path, *sources: str) -> str:
    file.write_text(HEAD + "\n".join(sources))
    return str(file)


def names(*specs: str) -> list[str]:
    return [entry.name for entry in load_generators(specs, entry_points=False)]


def faults(*specs: str) -> tuple[str, ...]:
    with pytest.raises(BrokenType) as caught:
        names(*specs)
    return caught.value.faults


@pytest.mark.scenario("generators-found")
def test_a_file_may_hold_generators_and_order_types_both(tmp_path: Path) -> None:
    file = write(tmp_path / "both.py", ECHO, generator("b", cls="B"), generator("a", cls="A"))
    assert names(file) == ["a", "b"]
    assert load([file], entry_points=False).names() == ["demo.echo"]


@pytest.mark.scenario("generators-found")
def test_a_folder_gives_the_generators_of_all_its_files(tmp_path: Path) -> None:
    write(tmp_path / "one.py", generator("one"))
    write(tmp_path / "two.py", generator("two"))
    write(tmp_path / "types.py", ECHO)
    write(tmp_path / "_private.py", generator("never"))
    assert names(str(tmp_path)) == ["one", "two"]


@pytest.mark.scenario("generators-found")
def test_installed_packages_announce_generators_in_a_group_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "announced_generators.py", generator("announced"))
    monkeypatch.syspath_prepend(tmp_path)
    point = metadata.EntryPoint("x", "announced_generators:Nightly", GENERATORS.group)
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [point] if group == "workdocket.generators" else [])
    assert [entry.name for entry in load_generators([])] == ["announced"]
    assert load([]).names() == []


def test_without_a_schedule_there_is_no_timetable(tmp_path: Path) -> None:
    [entry] = load_generators([write(tmp_path / "g.py", generator())], entry_points=False)
    assert (entry.timetable, entry.zone.key) == (None, "UTC")


BROKEN = {
    "name = 'Big'": "name is 'Big'. Give it lower-case words joined by dots",
    "schedule = 3": "schedule is 3. Give it a cron expression such as '0 3 * * 1', or None.",
    "schedule = '61 * * * *'": "'61 * * * *': bad minute. Mend schedule or time_zone.",
    "schedule = 'daily'": "'daily' does not have the five fields of a cron expression, such as '0 3 * * 1'. Mend",
    "time_zone = 'Europe/Belin'": "no time zone; did you mean 'Europe/Berlin'?",
    "catch_up = 'some'": "catch_up is 'some'. Give it one of 'none', 'last', 'all'.",
    "shedule = '* * * * *'": "'shedule' is not a member of a generator; did you mean 'schedule'?",
    "discover = None": "discover does not take the argument it is called with. Write def discover(self, slot).",
    "def discover(self, a, b): return []": "discover does not take the argument it is called with.",
    "def __init__(self, x): pass": "It is made without arguments.",
}


@pytest.mark.scenario("generators-refused-at-start")
@pytest.mark.parametrize(("line", "said"), BROKEN.items(), ids=range(len(BROKEN)))
def test_a_broken_generator_is_refused_by_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    file = write(tmp_path / "g.py", generator(body=line))
    [fault] = faults(file)
    assert fault.startswith(f"{file}:{HEAD.count(chr(10)) + 1}: Nightly: ")
    assert said in fault


@pytest.mark.scenario("generators-refused-at-start")
def test_what_is_missing_or_there_twice_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "g.py", "class Nightly(Generator): pass")
    assert [fault.split(": ", 2)[2].partition(".")[0] for fault in faults(file)] == [
        "name is missing",
        "discover is missing",
    ]
    twice = [write(tmp_path / "one.py", generator()), write(tmp_path / "two.py", generator())]
    assert "the name 'nightly' is taken by " in faults(*twice)[0]


def test_a_file_without_a_generator_is_refused_where_it_is_named(tmp_path: Path) -> None:
    [fault] = faults(write(tmp_path / "types.py", ECHO))
    assert fault.endswith("no generator is defined here. Derive a class from workdocket.Generator.")
    [fault] = faults(str(tmp_path / "nowhere.py"))
    assert fault.endswith("Mend the path in generators.")

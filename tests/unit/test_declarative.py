"""Order types in TOML and YAML: found and checked like those in Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workdocket.registry import BrokenType, Registry, load
from workdocket.settings import load_settings

Write = Callable[..., Path]

HEAD = """\
name = "demo.check"
title = "Check"
"""
SCHEMAS = """\
[payload]
type = "object"
required = ["records"]
[payload.properties]
database = { type = "string" }
records = { type = "array", items = { type = "object" } }

[result]
type = "object"
[result.properties]
records = { type = "array", items = { type = "object" } }
text = { type = "string" }
"""
BATCH = """\
[batch]
over = "/records"
"""
EFFECT = """\
[effect]
kind = "sqlite.upsert"
database = "demo.db"
table = "demo"
key = ["id"]
records = { result = "/records" }
"""
WHOLE = HEAD + SCHEMAS + BATCH + EFFECT

YAML = """\
name: demo.check
title: Check
payload:
  type: object
  required: [records]
  properties:
    database: {type: string}
    records: {type: array, items: {type: object}}
result:
  type: object
  properties:
    records: {type: array, items: {type: object}}
    text: {type: string}
batch:
  over: /records
effect:
  kind: sqlite.upsert
  database: demo.db
  table: demo
  key: [id]
  records: {result: /records}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "demo.toml") -> Path:
        file = tmp_path / name
        file.write_text(text, "utf-8")
        return file

    return write


def types(*specs: object) -> Registry:
    return load([str(spec) for spec in specs], entry_points=False)


def faults(*specs: object) -> tuple[str, ...]:
    with pytest.raises(BrokenType) as caught:
        types(*specs)
    return caught.value.faults


def line_of(text: str, piece: str) -> int:
    return text[: text.index(piece)].count("\n") + 1


# finding


@pytest.mark.scenario("types-declared")
def test_a_file_is_a_type_with_all_that_it_says(write: Write) -> None:
    more = """
    version = 3
    description = "d"
    instructions = "i"
    approval = "four_eyes"
    quorum = 2
    lease_ttl_seconds = 5
    max_leases_per_key = 4
    concurrency_key = "/tenant"
    skills = ["sql"]
    """
    parts = """
    [parts.one]
    required = false
    mode = "sequence"
    schema = { type = "string" }
    [parts.two]
    """
    entry = types(write(HEAD + more + SCHEMAS + parts + EFFECT)).get("demo.check")

    assert (entry.version, entry.type.title, entry.type.approval, entry.type.quorum) == (3, "Check", "four_eyes", 2)
    assert (entry.type.lease_ttl_seconds, entry.type.max_leases_per_key) == (5, 4)
    assert (entry.type.concurrency_key, list(entry.type.skills)) == ("/tenant", ["sql"])
    assert entry.payload.findings({})[0].path == "/records"
    one = entry.type.parts["one"]
    assert (one.required, one.mode, entry.type.parts["two"].required) == (False, "sequence", True)
    assert entry.parts["one"] is not None
    assert entry.parts["two"] is None


@pytest.mark.scenario("types-declared")
@pytest.mark.parametrize("name", ["demo.yaml", "demo.yml"])
def test_yaml_says_the_same_as_toml(write: Write, name: str) -> None:
    toml, yaml = (types(write(text, file)).get("demo.check") for text, file in ((WHOLE, "a.toml"), (YAML, name)))

    assert yaml.payload.json_schema == toml.payload.json_schema
    assert yaml.result.json_schema == toml.result.json_schema
    assert yaml.type._batch == toml.type._batch  # type: ignore[attr-defined]
    assert yaml.type._effect == toml.type._effect  # type: ignore[attr-defined]


@pytest.mark.scenario("types-declared", "types-discovered")
def test_a_folder_gives_its_declared_types_beside_those_in_python(write: Write, tmp_path: Path) -> None:
    write(WHOLE)
    write(YAML.replace("demo.check", "demo.yaml"), "b.yml")
    write(
        "from workdocket import Diff, OrderType\nclass P(OrderType):\n    name = 'demo.python'\n"
        "    payload = {}\n    def apply(self, order, ctx): return Diff()\n",
        "c.py",
    )
    for other in ("workdocket.toml", "compose.yaml", "notes.yml"):
        write("services: {}\n" if other.endswith("l") and "toml" not in other else "order_types = ['.']\n", other)
    write(WHOLE, "_private.toml")

    assert types(tmp_path).names() == ["demo.check", "demo.python", "demo.yaml"]


def test_a_file_named_twice_is_one_type(write: Write, tmp_path: Path) -> None:
    file = write(WHOLE)
    assert types(file, tmp_path, file).names() == ["demo.check"]


def test_settings_take_the_name_of_a_file_beside_them(write: Write, tmp_path: Path) -> None:
    write(WHOLE)
    (tmp_path / "workdocket.toml").write_text('order_types = ["demo.toml", "gone.yaml"]')

    found = load_settings(cwd=tmp_path, environ={}).order_types

    assert found == (str(tmp_path / "demo.toml"), str(tmp_path / "gone.yaml"))


def test_a_schema_may_stand_in_a_file_of_its_own(write: Write) -> None:
    write(json.dumps({"type": "object", "required": ["records"]}), "payload.json")
    entry = types(write('payload = "payload.json"\n' + HEAD + EFFECT)).get("demo.check")
    assert entry.payload.findings({})[0].code == "required"


# refusing

LINES: dict[str, tuple[str, str, str]] = {
    # what is replaced, by what, what is said
    "unknown": ("title =", "titel =", "'titel' is not known in an order type; did you mean 'title'?"),
    "far": ("title =", "x = 1\ntitle =", "'x' is not known in an order type; there are name, version"),
    "version": ('title = "Check"', "version = 0", "version is 0. Give it a whole number from 1."),
    "approval": ('title = "Check"', 'approval = "some"', "approval is 'some'. Give it one of 'manual'"),
    "skills": ('title = "Check"', 'skills = "sql"', "skills is 'sql'. Give it a list"),
    "parts": ('title = "Check"', "parts = 3", "parts is 3. Make it a table."),
    "part": ("[batch]", "[parts]\none = 3\n[batch]", "the part 'one' is 3. Make it a table of schema, required, mode."),
    "part key": ("[batch]", "[parts.one]\nrequried = true\n[batch]", "'requried' is not known in a part; did you mean"),
    "part required": ("[batch]", '[parts.one]\nrequired = "no"\n[batch]', "required is 'no'. Make it true or false."),
    "part mode": ("[batch]", '[parts.one]\nmode = "x"\n[batch]', "the part 'one' has the mode 'x'. Use 'latest'"),
    "schema": ('required = ["records"]', 'requried = ["a"]', "payload: Unknown keyword 'requried'; did you mean"),
    "size": (BATCH, f"{BATCH}size = 0\n", "size is 0. Give it a whole number from 1."),
    "batch key": (BATCH, f"{BATCH}siez = 0\n", "'siez' is not known in a batch; did you mean 'size'?"),
    "over": ('over = "/records"', 'over = "records"', "over is 'records'. Give it a JSON Pointer, such as '/records'."),
    "over gone": (
        'over = "/records"',
        'over = "/recods"',
        "over: the payload has no 'recods'; did you mean 'records'?",
    ),
    "every": (BATCH, f'{BATCH}every = "id"\n', "every is 'id'. Give it a JSON Pointer"),
    "results": (BATCH, f'{BATCH}every = "/id"\nresults = "/x"\n', "results: the result has no 'x'; there are records"),
    "kind": ('kind = "sqlite.upsert"', 'kind = "sql"', "kind is 'sql'. There are sqlite.upsert, file.write."),
    "command": ('kind = "sqlite.upsert"', 'kind = "command"', "To run a command, write the order type in Python."),
    "parameter": ("table =", "tabel =", "'tabel' is not known in the effect sqlite.upsert; did you mean 'table'?"),
    "literal": ('table = "demo"', "table = 3", "table is 3. Give it a text that is not empty."),
    "listed": ('key = ["id"]', 'key = "id"', "key is 'id'. Give it a list of texts, at least one."),
    "source": ('table = "demo"', 'table = { result = "/text" }', "Give it a text that is not empty, or { payload"),
    "two sources": (
        'table = "demo"',
        'table = { payload = "/a", result = "/b" }',
        "table is {'payload': '/a', 'result'",
    ),
    "never literal": ('{ result = "/records" }', "[{ id = 1 }]", 'Give it { payload = "/…" }, or { result = "/…" }.'),
    "pointer": ('{ result = "/records" }', '{ result = "records" }', "records is 'records'. Give it a JSON Pointer"),
    "pointer gone": ('{ result = "/records" }', '{ result = "/rows" }', "records: the result has no 'rows'"),
}


@pytest.mark.scenario("types-declared", "types-refused-at-start")
@pytest.mark.parametrize(("old", "new", "said"), LINES.values(), ids=LINES)
def test_a_broken_file_is_refused_by_its_line(write: Write, old: str, new: str, said: str) -> None:
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    file = write(text)
    found = [fault for fault in faults(file) if said in fault]
    assert len(found) == 1, faults(file)
    changed = {n for n, line in enumerate(text.splitlines(), 1) if line not in WHOLE.splitlines()}
    about = int(found[0].removeprefix(f"{file}:").partition(":")[0])
    assert about in changed | {line_of(text, "[payload]")}


def test_a_batch_that_has_many_results_gives_no_single_text(write: Write) -> None:
    effect = '[effect]\nkind = "file.write"\nfolder = "."\npath = "x"\ntext = { result = "/text" }\n'
    [fault] = faults(write(HEAD + SCHEMAS + BATCH + effect))
    assert "text is a text, but a batch has many results" in fault


def test_all_faults_are_told_together(write: Write) -> None:
    text = WHOLE.replace("title", "titel").replace("over", "oevr").replace("table =", "tabel =")
    found = faults(write(text))
    assert [fault.partition(": ")[2].partition(" ")[0] for fault in found] == [
        "'titel'", "'oevr'", "over", "'tabel'", "table",
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["name", "payload", "effect"])
def test_what_every_type_needs_is_asked_for(write: Write, missing: str) -> None:
    pieces = {"name": 'name = "demo.check"\n', "payload": "[payload]\n", "effect": EFFECT}
    file = write("".join(text for key, text in pieces.items() if key != missing))
    assert f"{file}:1: {missing} is missing. An order type in a file needs name, payload, effect." in faults(file)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "name = 'x'\neffect = [\n", "a.toml:2: Invalid value. Mend the file"),
        ("a.toml", "name = 'x'\nname = 'y'\n", "a.toml:2: Cannot overwrite a value. Mend the file"),
        ("a.yaml", "name: x\neffect: [\n", "a.yaml:3: "),
        ("a.yaml", "name: x\ntitle: a\nname: y\n", "a.yaml:3: 'name' is there twice. Keep one of them."),
        ("a.yaml", "- name\n", "a.yaml:1: an order type is a table of names and values"),
        ("a.yaml", "", "a.yaml:1: an order type is a table"),
        ("a.yaml", "on: 1\n", "a.yaml:1: an order type is a table"),
        ("a.yaml", "name: !!python/object/apply:os.getcwd []\n", "a.yaml:1: could not determine a constructor"),
        ("a.yaml", "name: x\x07\n", "a.yaml:1: "),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(write: Write, name: str, text: str, said: str) -> None:
    [fault] = faults(write(text, name))
    assert said in fault
    assert "Traceback" not in fault


def test_a_file_that_is_not_there_or_no_text_is_named(write: Write, tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    gone, binary = faults(tmp_path / "gone.toml", tmp_path / "binary.toml")
    assert gone.startswith(f"{tmp_path}/gone.toml: ")
    assert binary.startswith(f"{tmp_path}/binary.toml: ")


def test_a_schema_file_that_is_not_there_or_broken_is_named(write: Write, tmp_path: Path) -> None:
    file = write(HEAD + 'payload = "gone.json"\nresult = "broken.json"\n' + EFFECT)
    write('{\n"type": }', "broken.json")
    gone, broken = faults(file)
    assert gone == (
        f"{file}:3: the schema 'gone.json' cannot be read: No such file or directory. Mend the path, beside this file."
    )
    assert broken.startswith(f"{tmp_path}/broken.json:2: Expecting value")


def test_a_declared_name_that_is_taken_is_refused_with_both_places(write: Write) -> None:
    one, two = write(WHOLE, "one.toml"), write(YAML, "two.yaml")
    [fault] = faults(one, two)
    assert fault == f"{two}:1: the name 'demo.check' is taken by {one}:1. Rename one of them."


def test_without_pyyaml_the_message_says_how_to_get_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    [fault] = faults(write(YAML, "demo.yaml"))
    assert fault.endswith("PyYAML is missing. Install 'workdocket[yaml]', or write the type as TOML.")
    assert types(write(WHOLE)).names() == ["demo.check"]


def test_lines_are_found_past_comments_and_other_tables(write: Write) -> None:
    text = "# size = 1\n" + HEAD + SCHEMAS.replace("database =", "size =") + BATCH + "# size\nsize = 0\n" + EFFECT
    [fault] = faults(write(text))
    assert f"demo.toml:{line_of(text, 'size = 0')}: size is 0." in fault


def test_nothing_in_a_file_is_run(write: Write, tmp_path: Path) -> None:
    made: Any = tmp_path / "made"
    faults(write(f"name: !!python/object/apply:pathlib.Path.touch [{made}]\neffect: {{}}\n", "a.yaml"))
    assert not made.exists()

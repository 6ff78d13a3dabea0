"""The registry: where order types are found, and which are refused."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from workdocket import OrderType, WorkError
from workdocket.registry import GROUP, BrokenType, Registry, entry_of, load

HEAD = """\
from typing import Any
from pydantic import BaseModel
from workdocket import Diff, Finding, ItemSpec, OrderType, PartSpec

"""
Write = Callable[..., Path]


def order_type(name: str = "demo.echo", body: str = "", *, cls: str = "Echo", base: str = "OrderType") -> str:
    lines = [f"name = {name!r}", "payload = {'type': 'object'}", *dedent(body).strip().splitlines()]
    return f"class {cls}({base}):\n" + "".join(f"    {line}\n" for line in [*lines, APPLY])


APPLY = "def apply(self, order, ctx): return Diff()"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(path: str, *sources: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HEAD + "\n".join(sources))
        return file

    return write


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def names(*specs: object) -> list[str]:
    return load([str(spec) for spec in specs], entry_points=False).names()


def faults(*specs: object) -> tuple[str, ...]:
    with pytest.raises(BrokenType) as caught:
        names(*specs)
    return caught.value.faults


# finding


def test_without_specs_there_are_no_types() -> None:
    assert names() == []


@pytest.mark.scenario("types-discovered")
def test_a_file_gives_the_types_it_defines(write: Write) -> None:
    file = write("types.py", order_type("b"), order_type("a", cls="Other"))
    assert names(file) == ["a", "b"]


@pytest.mark.scenario("types-discovered")
def test_a_folder_gives_the_types_of_all_its_files_but_tests_and_private_ones(write: Write, tmp_path: Path) -> None:
    write("a.py", order_type("a"))
    write("b.py", order_type("b"))
    for skipped in ("_c.py", "test_d.py", "conftest.py", "deeper/e.py"):
        write(skipped, order_type("never"))
    assert names(tmp_path) == ["a", "b"]


def test_an_empty_folder_gives_nothing(tmp_path: Path) -> None:
    assert names(tmp_path) == []


def test_files_of_a_folder_may_import_each_other(write: Write, tmp_path: Path) -> None:
    write(
        "a_first.py",
        "from z_last import Base",
        "import _words",
        order_type("x", "name = _words.NAME", cls="A", base="Base"),
    )
    write("z_last.py", "class Base(OrderType):", "    approval = 'auto'", order_type("z", cls="Z", base="Base"))
    write("_words.py", "NAME = 'a'")
    registry = load([str(tmp_path)], entry_points=False)
    assert [(entry.name, entry.type.approval) for entry in registry] == [("a", "auto"), ("z", "auto")]
    assert "z_last" not in sys.modules
    assert "_words" not in sys.modules


def test_files_of_one_name_in_two_folders_get_along(write: Write) -> None:
    for folder in ("x", "y"):
        write(f"{folder}/own.py", f"NAME = {folder!r}")
        write(f"{folder}/kind.py", "from own import NAME", order_type(body="name = NAME"))
    assert names(write("x/kind2.py", "").parent, write("y/kind2.py", "").parent) == ["x", "y"]


def test_models_and_dataclasses_of_a_file_work_and_can_be_pickled(write: Write) -> None:
    model = "class Payload(BaseModel):\n    n: int\n    next: 'Payload | None' = None\n"
    file = write("p.py", model, order_type(body="payload = Payload"))
    instance = load([str(file)], entry_points=False).get("demo.echo").type
    payload: Any = instance.payload
    assert pickle.loads(pickle.dumps(payload(n=1))) == payload(n=1)
    assert type(instance).__module__.startswith("workdocket_plugins.")


@pytest.mark.scenario("types-discovered")
@pytest.mark.usefixtures("importable")
def test_a_module_and_a_class_are_found_by_import_name(write: Write) -> None:
    write("shop/__init__.py")
    write("shop/orders.py", order_type("a", cls="A"), order_type("b", cls="B"))
    write("shop/more.py", "from shop.orders import A", order_type("c", cls="C"))
    assert names("shop.orders") == ["a", "b"]
    assert names("shop.orders:B") == ["b"]
    assert names("shop.more") == ["c"]


@pytest.mark.usefixtures("importable")
def test_a_package_gives_what_it_takes_from_its_own_modules(write: Write) -> None:
    write("shop2/orders.py", order_type("a", cls="A"))
    write("shop2/__init__.py", "from .orders import A")
    assert names("shop2") == ["a"]


@pytest.mark.usefixtures("importable")
def test_the_same_class_found_twice_is_one(write: Write, tmp_path: Path) -> None:
    file = write("twice.py", order_type())
    assert names("twice", "twice:Echo", file, tmp_path, tmp_path) == ["demo.echo"]


@pytest.mark.scenario("types-discovered")
@pytest.mark.usefixtures("importable")
def test_installed_packages_announce_types_by_entry_points(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("announced.py", order_type("a", cls="A"), order_type("b", cls="B"))
    write("whole.py", order_type("c", cls="C"))
    points = [metadata.EntryPoint("a", "announced:A", GROUP), metadata.EntryPoint("c", "whole", GROUP)]
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: points if group == GROUP else [])
    assert load(["announced:A"]).names() == ["a", "c"]
    assert load([], entry_points=False).names() == []


@pytest.mark.usefixtures("importable")
def test_a_broken_entry_point_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [metadata.EntryPoint("x", "json:loads", GROUP), metadata.EntryPoint("y", "no_such_module", GROUP)]
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: points)
    with pytest.raises(BrokenType) as caught:
        load([])
    first, second = caught.value.faults
    assert first.startswith("entry point 'x': <function loads")
    assert second.startswith("entry point 'y': ModuleNotFoundError")


def test_a_nameless_class_that_others_derive_from_is_no_type(write: Write) -> None:
    base = "class Base(OrderType):\n    approval = 'human'\n    def apply(self, order, ctx): return Diff()\n"
    file = write("f.py", base, order_type("a", cls="A", base="Base"))
    assert names(file) == ["a"]


# asking


def test_an_entry_has_compiled_schemas_and_knows_its_origin(write: Write) -> None:
    body = """
    version = 3
    result = {'required': ['r']}
    parts = {'free': PartSpec(), 'typed': PartSpec(schema={'type': 'string'})}
    async def check_result(self, item, result): return []
    """
    file = write("f.py", order_type(body=body))
    entry = load([str(file)], entry_points=False).get("demo.echo")
    assert (entry.name, entry.version, entry.origin) == ("demo.echo", 3, f"{file}:{HEAD.count(chr(10)) + 1}")
    assert entry.payload.findings([])[0].code == "type"
    assert entry.result.findings({})[0].path == "/r"
    assert entry.parts["free"] is None
    assert entry.parts["typed"] is not None
    assert entry.parts["typed"].findings(3)[0].code == "type"
    assert entry.has("check_result")
    assert entry.has("apply")
    assert not entry.has("preview")


def test_an_unknown_type_is_answered_with_the_nearest_names(write: Write) -> None:
    registry = load([str(write("f.py", order_type("customer.research")))], entry_points=False)
    with pytest.raises(WorkError) as caught:
        registry.get("customer.reserch")
    assert caught.value.code == "unknown_type"
    assert caught.value.details["nearest"] == ["customer.research"]
    assert "did you mean 'customer.research'?" in caught.value.message


def test_a_registry_can_be_made_of_entries() -> None:
    class Echo(OrderType):
        name = "echo"
        payload = {"type": "object"}

        def apply(self, order: Any, ctx: Any) -> Any:
            return None

    entry = entry_of(Echo)
    assert list(Registry([entry])) == [entry]
    assert len(Registry()) == 0


# refusing


@pytest.mark.scenario("types-refused-at-start")
def test_two_types_of_one_name_are_refused(write: Write) -> None:
    one, two = write("one.py", order_type()), write("two.py", order_type())
    [fault] = faults(one, two)
    line = HEAD.count("\n") + 1
    assert fault == f"{two}:{line}: the name 'demo.echo' is taken by {one}:{line}. Rename one of them."


BROKEN = {
    "name = 'Big'": "name is 'Big'. Give it lower-case words joined by dots",
    "name = 'a..b'": "name is 'a..b'",
    "name = 'a\\n'": "name is 'a\\n'",
    "name = 'a' * 121": "at most 120 characters",
    "name = 3": "name is 3",
    "version = 0": "version is 0. Give it a whole number from 1.",
    "version = True": "version is True",
    "version = '1'": "version is '1'",
    "title = 3": "title is 3. Give it a text.",
    "approval = 'maybe'": "approval is 'maybe'. Give it one of 'manual', 'auto', 'four_eyes', 'human'.",
    "quorum = 0": "quorum is 0",
    "lease_ttl_seconds = 0": "lease_ttl_seconds is 0. Give it a number above 0, or None.",
    "heartbeat_every_seconds = float('inf')": "heartbeat_every_seconds is inf",
    "backoff_seconds = -1": "backoff_seconds is -1",
    "expiry_backoff_seconds = -1": "expiry_backoff_seconds is -1. Give it a number from 0, or None.",
    "apply_backoff_seconds = '1'": "apply_backoff_seconds is '1'",
    "max_attempts = 1.5": "max_attempts is 1.5",
    "max_leases = 0": "max_leases is 0",
    "apply_attempts = 0": "apply_attempts is 0",
    "payload = {'typ': 'object'}": "payload: Unknown keyword 'typ'; did you mean 'type'? (at /typ). Mend the schema.",
    "payload = 3": "payload: A schema is a pydantic model class or a JSON Schema object. Mend the schema.",
    "result = {'type': 'objekt'}": "result: 'objekt' is not valid under any of the given schemas (at /type)",
    "parts = {'a': PartSpec(schema={'$ref': '#/x'})}": "parts['a']: '#/x' points nowhere (at /$ref)",
    "parts = ['a']": "parts is ['a']. Give it a dict of PartSpec.",
    "parts = {'a': {}}": "the part 'a' is {}. Make it a PartSpec.",
    "parts = {'a' * 121: PartSpec()}": "Use a text of 1 to 120 characters.",
    "parts = {'': PartSpec()}": "the part key '' is no good",
    "parts = {'a': PartSpec(mode='first')}": "the part 'a' has the mode 'first'. Use 'latest' or 'sequence'.",
    "plan = None": "plan is None. Make it a method, or leave it out.",
    "def plan(self): return []": "plan does not take the arguments it is called with. Write def plan(self, order).",
    "def check_result(self, item): return []": "Write def check_result(self, item, result).",
    "def chek_result(self, item, x): return 1": "is not a member of an order type; did you mean 'check_result'?",
    "lease_ttl = 3": "'lease_ttl' is not a member of an order type; did you mean 'lease_ttl_seconds'?",
    "def __init__(self, x): pass": "It is made without arguments.",
}  # fmt: skip


@pytest.mark.scenario("types-refused-at-start", "N38")
@pytest.mark.parametrize(("line", "said"), BROKEN.items(), ids=range(len(BROKEN)))
def test_a_broken_type_is_refused_by_file_and_line(write: Write, line: str, said: str) -> None:
    file = write("f.py", order_type(body=line))
    [fault] = faults(file)
    assert fault.startswith(f"{file}:{HEAD.count(chr(10)) + 1}: Echo: ")
    assert said in fault
    assert "Traceback" not in fault


@pytest.mark.parametrize(
    "body",
    [
        "_secret = 3\ndef _help(self): return 1\n__slots__ = ()",
        "class Payload(BaseModel):\n    n: int\npayload = Payload",
        "@staticmethod\ndef plan(order): return []",
        "def plan(self, order, *, own=None): return []",
        "def check_result(self, *args): return []",
        "expiry_backoff_seconds = 1.5\napply_backoff_seconds = 0",
        "backoff_seconds = 0\nlease_ttl_seconds = 0.5\nmax_leases = None",
        "note: str",
    ],
)
def test_a_type_may_have_its_own_private_things(write: Write, body: str) -> None:
    assert names(write("f.py", order_type(body=body))) == ["demo.echo"]


def test_missing_members_are_named(write: Write) -> None:
    file = write("f.py", "class Echo(OrderType): pass")
    assert [fault.split(": ", 2)[2].split(".")[0] for fault in faults(file)] == [
        "name is missing",
        "payload is missing",
        "apply is missing",
    ]


@pytest.mark.scenario("types-refused-at-start")
def test_all_faults_of_all_types_are_told_together(write: Write, tmp_path: Path) -> None:
    write("a.py", order_type(body="version = 0\nquorum = 0\nresult = {'typ': 1}"))
    write("b.py", order_type(body="chek_order = 1"))
    write("c.py", "import no_such_thing")
    write("d.py", "def (")
    write("good.py", order_type("good"))
    found = faults(tmp_path, "no_such_module", tmp_path / "missing.py")
    assert [fault.removeprefix(str(tmp_path)).split(":")[0] for fault in found] == [
        "/c.py", "/d.py", "order_types 'no_such_module'", "/missing.py", "/a.py", "/a.py", "/a.py", "/b.py",
    ]  # fmt: skip


def test_a_file_that_cannot_be_imported_is_named_with_its_line(write: Write, tmp_path: Path) -> None:
    write("_helper.py", "1 / 0")
    file = write("f.py", "import _helper")
    line = HEAD.count("\n") + 1
    [fault] = faults(file)
    assert (
        fault == f"{tmp_path}/_helper.py:{line}: ZeroDivisionError: division by zero. Mend the file, or leave it out."
    )
    [fault] = faults(write("g.py", "def ("))
    assert fault.startswith(f"{tmp_path}/g.py:{line}: SyntaxError: ")


def test_a_file_mended_in_the_meantime_is_read_again(write: Write) -> None:
    faults(write("f.py", "oops"))
    assert names(write("f.py", order_type("a"))) == ["a"]
    assert names(write("f.py", order_type("b"))) == ["b"]


@pytest.mark.usefixtures("importable")
def test_a_spec_that_names_no_type_is_refused(write: Write, tmp_path: Path) -> None:
    file = write("nothing.py", "x = 1")
    write("some.py", order_type())
    for spec in (file, "nothing"):
        [fault] = faults(spec)
        assert fault.endswith("no order type is defined here. Derive a class from workdocket.OrderType.")
    assert "some has no Eco; did you mean 'Echo'?" in faults("some:Eco")[0]
    assert "is not an order type" in faults("some:Diff")[0]
    assert "there is nothing here" in faults(tmp_path / "nowhere")[0]

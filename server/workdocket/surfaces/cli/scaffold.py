"""The first files of an order type, a generator, a workspace: made from the templates beside this file."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Any

from workdocket.domain.errors import WorkError
from workdocket.plugins import LONGEST_NAME, name_fits
from workdocket.registry import Registry, TypeEntry, load_generators, look
from workdocket.schema import Validator
from workdocket.settings import FILE, FOLDER, SQLITE, Settings, load_settings

Files = dict[Path, str]
"""What is to be written where."""

EXAMPLE_TYPE = "product.text"
WORKSPACE = {
    FILE: "workdocket.toml",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    f"{FOLDER}/.gitignore": "database.gitignore",
}
RESERVED = {
    "test_": "files whose names begin with test_ are taken for tests",
    "sqlite_": "such names belong to SQLite",
    "workdocket_": "such names belong to workdocket",
}
NOTHING_WRITTEN = "Nothing was written."


@dataclass(frozen=True)
class Made:
    """What was written, relative to ``folder``, and what to do next there."""

    kind: str
    name: str
    folder: Path
    files: Sequence[str]
    next: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "name": self.name, "folder": str(self.folder),
            "files": list(self.files), "next": list(self.next),
        }  # fmt: skip


class Home:
    """Where plug-ins are written: ``folder``, else the workspace around the working folder, else the working folder."""

    def __init__(self, overrides: Mapping[str, Any], folder: Path | None) -> None:
        self.root = (folder or _workspace_around(Path.cwd())).resolve()
        self._overrides = overrides

    @cached_property
    def settings(self) -> Settings:
        return load_settings(self._overrides, cwd=self.root)

    @cached_property
    def types(self) -> Sequence[TypeEntry]:
        """The sound types that are known here."""
        return look(self.settings.order_types, entry_points=True)[0]

    def folder_of(self, setting: str) -> Path:
        """The first folder in here that the setting names, else the one that is named like it."""
        named = [Path(spec).resolve() for spec in getattr(self.settings, setting)]
        return next((one for one in named if one.is_dir() and one.is_relative_to(self.root)), self.root / setting)

    def loads(self, setting: str) -> bool:
        return self.folder_of(setting) in [Path(spec).resolve() for spec in getattr(self.settings, setting)]

    def steps(self, setting: str, test: Path, *more: str) -> list[str]:
        """What makes a new plug-in known and tries it."""
        folder = self.folder_of(setting).relative_to(self.root).as_posix()
        loaded = [] if self.loads(setting) else [f'add to {FILE}: {setting} = ["{folder}"]']
        found = "" if folder in _python_path(self.root) else f"-o pythonpath={folder} "
        return [*loaded, f"python -m pytest {found}{_shown(test, self.root)}", *more]


def order_type(home: Home, name: str, *, parts: bool = False) -> Made:
    """A type that works, to be changed, and its test."""
    _check_name(name, "an order type", [entry.name for entry in home.types])
    written = _order_type_files(home.root, home.folder_of("order_types"), name, parts=parts)
    _write(home.root, written)
    [source, test] = written
    steps = home.steps("order_types", test, f"decide what {_shown(source, home.root)} asks you to", "workdocket types")
    return _made("order_type", name, home.root, written, steps)


def generator(home: Home, name: str, type_name: str | None) -> Made:
    """A generator that proposes orders of a type that is known here, and its test."""
    _check_name(name, "a generator", [entry.name for entry in load_generators(home.settings.generators)])
    entry = _proposed_type(home, type_name)
    payload = _sample(entry.payload.json_schema, entry.payload.json_schema)
    words = {**_words(name), "type": entry.name, "payload": _code(payload, 8)}
    words["path_import"] = "from pathlib import Path\n" if TARGET_CODE in words["payload"] else ""
    source, test = _places(home.root, home.folder_of("generators"), words["stem"])
    written = {source: _filled("generator.py", words), test: _filled("generator_test.py", words)}
    _check_class(words["Class"], written)
    _write(home.root, written)
    file = _shown(source, home.root)
    unfit = [f"mend the payload in {file}: {one.path} {one.message}" for one in entry.payload.findings(payload)]
    decide = f"decide what {file} asks you to: for now it proposes {entry.name}"
    steps = [*unfit, *home.steps("generators", test, decide, f"workdocket generate {name} --dry-run")]
    return _made("generator", name, home.root, written, steps)


def workspace(parent: Path, name: str) -> Made:
    """A folder with settings, an order type and its test, and what hosts need to start a server on it."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name) or len(name) > LONGEST_NAME:
        hint = "Take letters and digits, with . _ or - between them, such as 'tea-shop'."
        raise _refused(f"{name!r} is no name for a workspace", hint)
    root = parent.resolve() / name
    written = {root / path: _filled(template, {"name": name}) for path, template in WORKSPACE.items()}
    written |= {root / "mcp.json": _hosts(root), root / "generators" / ".gitkeep": ""}
    written |= _order_type_files(root, root / "order_types", EXAMPLE_TYPE, parts=False)
    _write(root, written)
    return _made("workspace", name, root, written, ["python -m pytest", "workdocket types"])


def _made(kind: str, name: str, root: Path, written: Files, steps: Sequence[str]) -> Made:
    here = Path.cwd().resolve()
    first = [] if here == root else [f"cd {shlex.quote(_shown(root, here))}"]
    return Made(kind, name, root, [_shown(path, root) for path in written], [*first, *steps])


# what is in the files


def _order_type_files(root: Path, folder: Path, name: str, *, parts: bool) -> Files:
    words = _words(name)
    template = "order_type_parts" if parts else "order_type"
    source, test = _places(root, folder, words["stem"])
    written = {source: _filled(f"{template}.py", words), test: _filled(f"{template}_test.py", words)}
    _check_class(words["Class"], written)
    return written


def _places(root: Path, folder: Path, stem: str) -> tuple[Path, Path]:
    return folder / f"{stem}.py", root / "tests" / f"test_{stem}.py"


def _words(name: str) -> dict[str, str]:
    pieces = re.split(r"[._]+", name)
    return {"name": name, "stem": name.replace(".", "_"), "Class": "".join(piece.capitalize() for piece in pieces)}


def _filled(template: str, words: Mapping[str, str]) -> str:
    source = files("workdocket.surfaces.cli") / "templates" / f"{template}.in"
    return Template(source.read_text("utf-8")).substitute(words)


def _hosts(root: Path) -> str:
    """Absolute throughout: hosts start servers in a folder of their own choice, where no workdocket.toml is found."""
    server = {
        "command": sys.executable,
        "args": ["-m", "workdocket", "serve", "--role", "requester", "--role", "worker", "--actor", "agent"],
        "env": {
            "WORKDOCKET_DATABASE": f"{SQLITE}{(root / FOLDER / 'workdocket.db').as_posix()}",
            "WORKDOCKET_ORDER_TYPES": json.dumps([str(root / "order_types")]),
            "WORKDOCKET_GENERATORS": json.dumps([str(root / "generators")]),
        },
    }
    return json.dumps({"mcpServers": {"workdocket": server}}, indent=2) + "\n"


TARGET = "/target.db"
TARGET_CODE = 'str(Path(__file__).resolve().parents[1] / "target.db")'
"""The path of a file, for a text that has to be one; and how it is written down."""


def _proposed_type(home: Home, name: str | None) -> TypeEntry:
    """The type that is named, else the first of those that are written here."""
    if name is not None:
        return Registry(home.types).get(name)
    own, _ = look(home.settings.order_types, entry_points=False)
    if not own:
        hint = "Make one with workdocket new order-type NAME, or name one with --type."
        raise _refused("there is no order type here to propose orders of", hint)
    return min(own, key=lambda entry: entry.name)


def _sample(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Any:
    """A value to begin with: what the schema gives as an example, else the plainest one of its kind."""
    if "$ref" in schema:
        return _sample(_at(whole, schema["$ref"]), whole)
    for given in ("const", "default"):
        if given in schema:
            return schema[given]
    for listed in ("examples", "enum"):
        if schema.get(listed):
            return schema[listed][0]
    for branches in ("anyOf", "oneOf", "allOf"):
        if schema.get(branches):
            return _sample(min(schema[branches], key=lambda branch: "$ref" in branch), whole)
    return _plainest(schema, whole)


def _plainest(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Any:
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {name: _sample(fields.get(name, {}), whole) for name in schema.get("required", [])}
        case "array":
            return [_sample(schema.get("items", {}), whole)] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return False
        case _:
            text = "example".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
            fits = Validator({**schema, "type": "string"}, "").findings
            return TARGET if fits(text) and not fits(TARGET) else text


def _at(whole: Mapping[str, Any], reference: str) -> Any:
    found: Any = whole
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def _code(value: Any, indent: int) -> str:
    """A value as Python, laid out as formatters do."""
    inner, end = " " * (indent + 4), " " * indent
    if isinstance(value, dict) and value:
        rows = [f"{inner}{json.dumps(key)}: {_code(one, indent + 4)},\n" for key, one in value.items()]
        return "{\n" + "".join(rows) + end + "}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"{inner}{_code(one, indent + 4)},\n" for one in value) + end + "]"
    if isinstance(value, str):
        return TARGET_CODE if value == TARGET else json.dumps(value, ensure_ascii=False)
    return repr(value)


# names


def _check_name(name: str, kind: str, known: Sequence[str]) -> None:
    stem = name.replace(".", "_")
    if not name_fits(name):
        suggestion = _mended(name)
        meant = f"; did you mean {suggestion!r}?" if name_fits(suggestion) else ""
        hint = f"Take lower-case words joined by dots, such as 'customer.welcome', at most {LONGEST_NAME} characters."
        raise _refused(f"{name!r} is no name for {kind}{meant}", hint)
    if name in known:
        raise _refused(f"there is {kind} {name!r} already", "Choose another name.")
    for start, why in RESERVED.items():
        if stem.startswith(start):
            raise _refused(f"{stem}.py can't be used: {why}", "Choose a name that begins with another word.")
    if iskeyword(stem) or iskeyword(_words(name)["Class"]):
        raise _refused(f"{stem!r} is a word of Python itself", f"Add a word: '{name}.order'.")
    if stem in sys.stdlib_module_names or stem == "conftest" or find_spec(stem):
        raise _refused(f"{stem}.py would stand in the way of a module of that name", f"Add a word: '{name}.order'.")


def _mended(name: str) -> str:
    """``CustomerWelcome`` and ``customer-welcome`` as they may be written."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", ".", name).lower()
    return re.sub(r"[^a-z0-9.]+", "_", words).strip("_.")


def _check_class(name: str, written: Files) -> None:
    """The class must not take the name of something that its file, or its test, needs."""
    for path, text in written.items():
        if list(_bound(ast.parse(text))).count(name) > 1:
            raise _refused(
                f"a class {name} would stand in the way of another one in {path.name}", "Add a word to the name."
            )


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ClassDef):
            yield node.name


# places


def _workspace_around(folder: Path) -> Path:
    marked = (one for one in (folder, *folder.parents) if (one / FILE).is_file() or (one / FOLDER).is_dir())
    return next(marked, folder)


def _python_path(root: Path) -> Sequence[str]:
    """Where the pytest of this folder looks for modules."""
    with suppress(OSError, ValueError):
        settings: Any = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        return list(settings.get("tool", {}).get("pytest", {}).get("ini_options", {}).get("pythonpath", []))
    return []


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _write(root: Path, written: Files) -> None:
    """All of it or nothing: what is there stays as it is, and what was made before a failure is taken away again."""
    there = [_shown(path, root) for path in written if path.exists() or path.is_symlink()]
    if there:
        hint = f"{NOTHING_WRITTEN} Choose another name, or move them away first."
        raise WorkError("invalid_request", f"there already: {', '.join(there)} in {root}", hint=hint, files=there)
    made: list[Path] = []
    for path, text in written.items():
        try:
            _put(path, text, made)
        except BaseException as error:
            _take_away(made)
            if isinstance(error, OSError):
                message = f"{_shown(path, root)} can't be written: {error.strerror}"
                raise _refused(message, "Mend that and try again.") from error
            raise


def _put(path: Path, text: str, made: list[Path]) -> None:
    _make_folder(path.parent, made)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        made.append(path)
        file.write(text)


def _make_folder(folder: Path, made: list[Path]) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def _take_away(made: Sequence[Path]) -> None:
    for path in reversed(made):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _refused(message: str, hint: str) -> WorkError:
    return WorkError("invalid_request", message, hint=f"{hint} {NOTHING_WRITTEN}")

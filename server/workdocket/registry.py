"""Finds order types, and refuses broken and duplicate ones before anything starts."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from hashlib import sha256
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args

from workdocket.declarative import DeclaredType, Misdeclared, declarations_in, declare
from workdocket.domain.errors import WorkError
from workdocket.domain.model import Approval
from workdocket.keyword import nearest
from workdocket.order_type import OrderType, PartSpec, Schema
from workdocket.schema import SchemaError, Validator
from workdocket.settings import DECLARED, TYPE_FILES

T = TypeVar("T")
Types = list[type[OrderType]]

GROUP = "workdocket.order_types"
PLUGINS = "workdocket_plugins"
LONGEST_NAME = 120
LONGEST_SKILL = 60


class BrokenType(Exception):
    """What is wrong with the order types, a line for each fault: ``file:line: what is wrong. what to do``."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True)
class TypeEntry:
    """An order type that passed every check. ``origin`` is the ``file:line`` of its class."""

    type: OrderType
    origin: str
    payload: Validator
    result: Validator
    parts: Mapping[str, Validator | None]

    @property
    def name(self) -> str:
        return self.type.name

    @property
    def version(self) -> int:
        return self.type.version

    def has(self, hook: str) -> bool:
        """Whether the class has a ``hook`` of its own."""
        return getattr(type(self.type), hook) is not getattr(OrderType, hook)


class Registry:
    """The order types of this process, in the order of their names."""

    def __init__(self, entries: Iterable[TypeEntry] = ()) -> None:
        ordered = sorted(entries, key=lambda entry: entry.name)
        if faults := _duplicates(ordered):
            raise BrokenType(*faults)
        self._entries = {entry.name: entry for entry in ordered}

    def __iter__(self) -> Iterator[TypeEntry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> list[str]:
        return list(self._entries)

    def get(self, name: str) -> TypeEntry:
        if name in self._entries:
            return self._entries[name]
        message = f"There is no order type {name!r}{nearest(name, self._entries) or '.'}"
        raise WorkError("unknown_type", message, nearest=get_close_matches(name, self._entries))


def load(specs: Sequence[str], *, entry_points: bool = True) -> Registry:
    """The types that installed packages announce and ``specs`` name: ``pkg.mod``, ``pkg.mod:Class``, files, folders."""
    entries, faults = look(specs, entry_points=entry_points)
    if faults:
        raise BrokenType(*faults)
    return Registry(entries)


def look(specs: Sequence[str], *, entry_points: bool = True) -> tuple[list[TypeEntry], list[str]]:
    """As ``load``: the types that are sound, and the faults of the others."""
    faults: list[str] = []
    announced = metadata.entry_points(group=GROUP) if entry_points else ()
    sources = [partial(_announced, point) for point in announced] + [s for spec in specs for s in _sources(spec)]
    found = {_identity(cls): cls for types in _gather(sources, faults) for cls in types}
    entries = _gather([partial(entry_of, cls) for cls in found.values() if not _is_helper(cls)], faults)
    return entries, faults + _duplicates(entries)


def entry_of(cls: type[OrderType]) -> TypeEntry:
    """One order type, put through every check."""
    place, schemas = _place(cls), _schemas(cls)
    faults = [*_member_faults(cls), *_part_faults(cls), *_strange_members(cls)]
    validators = _gather([partial(_validator, where, schema) for where, schema in schemas.items()], faults)
    made = _gather([partial(_made, cls)], faults)
    faults += [fault for instance in made for fault in _hook_faults(instance)]
    if faults:
        raise BrokenType(*(f"{_place(cls, fault)}: {cls.__name__}: {fault}" for fault in faults))
    checked = dict(zip(schemas, validators, strict=True))
    parts = {key: checked.get(f"parts[{key!r}]") for key in cls.parts}
    return TypeEntry(made[0], place, checked["payload"], checked["result"], parts)


def _gather(makers: Iterable[Callable[[], T]], faults: list[str]) -> list[T]:
    """What the makers make; the faults of those that cannot are put with the rest."""
    made = []
    for make in makers:
        try:
            made.append(make())
        except BrokenType as broken:
            faults += broken.faults
    return made


def _duplicates(entries: Sequence[TypeEntry]) -> list[str]:
    first: dict[str, TypeEntry] = {}
    return [
        f"{entry.origin}: the name {entry.name!r} is taken by {other.origin}. Rename one of them."
        for entry in entries
        if (other := first.setdefault(entry.name, entry)) is not entry
    ]


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 1


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def _no_less_than_zero(value: Any) -> bool:
    return value == 0 or _positive(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _name(value: Any) -> bool:
    words = r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*"
    return isinstance(value, str) and len(value) <= LONGEST_NAME and re.fullmatch(words, value) is not None


def _pointer(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/")


def skill_names(value: Any) -> bool:
    """Whether it is a list of skills: short texts."""
    listed = isinstance(value, Collection) and not isinstance(value, str | Mapping)
    return listed and all(isinstance(one, str) and 0 < len(one) <= LONGEST_SKILL for one in value)


def _or_none(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or test(value)


RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("name", _name, f"lower-case words joined by dots, such as 'customer.research', at most {LONGEST_NAME} characters"),
    ("version", _whole, "a whole number from 1"),
    ("title", _text, "a text"),
    ("description", _text, "a text"),
    ("instructions", _text, "a text"),
    ("approval", lambda value: value in get_args(Approval), f"one of {', '.join(map(repr, get_args(Approval)))}"),
    ("quorum", _whole, "a whole number from 1"),
    ("lease_ttl_seconds", _or_none(_positive), "a number above 0, or None"),
    ("heartbeat_every_seconds", _or_none(_positive), "a number above 0, or None"),
    ("backoff_seconds", _or_none(_no_less_than_zero), "a number from 0, or None"),
    ("expiry_backoff_seconds", _or_none(_no_less_than_zero), "a number from 0, or None"),
    ("apply_backoff_seconds", _or_none(_no_less_than_zero), "a number from 0, or None"),
    ("max_attempts", _or_none(_whole), "a whole number from 1, or None"),
    ("max_leases", _or_none(_whole), "a whole number from 1, or None"),
    ("max_leases_per_key", _or_none(_whole), "a whole number from 1, or None"),
    ("concurrency_key", _or_none(_pointer), "a JSON Pointer into the payload, such as '/tenant', or None"),
    ("skills", skill_names, f"a list of texts of 1 to {LONGEST_SKILL} characters"),
    ("apply_attempts", _or_none(_whole), "a whole number from 1, or None"),
    ("parts", lambda value: isinstance(value, Mapping), "a dict of PartSpec"),
)
HOOKS = [name for name, member in vars(OrderType).items() if inspect.isfunction(member) and not name.startswith("_")]
MEMBERS = {name for name in [*vars(OrderType), *OrderType.__annotations__] if not name.startswith("_")}


def _member_faults(cls: type[OrderType]) -> Iterator[str]:
    for member, fits, allowed in RULES:
        if not hasattr(cls, member):
            yield f"{member} is missing. Give it {allowed}."
        elif not fits(getattr(cls, member)):
            yield f"{member} is {getattr(cls, member)!r}. Give it {allowed}."
    if not hasattr(cls, "payload"):
        yield "payload is missing. Give it a pydantic model class or a JSON Schema object."
    if cls.apply is OrderType.apply:
        yield "apply is missing. Write def apply(self, order, ctx), which changes the world and returns a Diff."


def _part_faults(cls: type[OrderType]) -> Iterator[str]:
    for key, spec in _parts(cls).items():
        if not isinstance(key, str) or not 0 < len(key) <= LONGEST_NAME:
            yield f"the part key {key!r} is no good. Use a text of 1 to {LONGEST_NAME} characters."
        if not isinstance(spec, PartSpec):
            yield f"the part {key!r} is {spec!r}. Make it a PartSpec."
        elif spec.mode not in ("latest", "sequence"):
            yield f"the part {key!r} has the mode {spec.mode!r}. Use 'latest' or 'sequence'."


def _strange_members(cls: type[OrderType]) -> Iterator[str]:
    for owner in cls.__mro__:
        if issubclass(owner, OrderType) and owner is not OrderType:
            for name, member in vars(owner).items():
                if name not in MEMBERS and not name.startswith("_") and not inspect.isclass(member):
                    yield f"{name!r} is not a member of an order type{nearest(name, MEMBERS) or '.'} {PRIVATE}"


PRIVATE = "Names of your own start with an underscore."


def _parts(cls: Any) -> dict[Any, Any]:
    """What the class calls its parts, whatever that is."""
    return dict(cls.parts) if isinstance(cls.parts, Mapping) else {}


def _schemas(cls: type[OrderType]) -> dict[str, Schema | None]:
    payload = {"payload": cls.payload} if hasattr(cls, "payload") else {}
    specs = {f"parts[{key!r}]": spec for key, spec in _parts(cls).items() if isinstance(spec, PartSpec)}
    parts = {where: spec.schema for where, spec in specs.items() if spec.schema is not None}
    return {**payload, "result": cls.result, **parts}


def _validator(where: str, schema: Schema | None) -> Validator:
    try:
        return Validator(schema, where)
    except SchemaError as error:
        raise BrokenType(f"{error}. Mend the schema.") from error


def _made(cls: type[OrderType]) -> OrderType:
    try:
        return cls()
    except Exception as error:
        raise BrokenType(f"{cls.__name__}() fails with {_said(error)}. It is made without arguments.") from error


def _hook_faults(instance: OrderType) -> Iterator[str]:
    for hook in HOOKS:
        wanted = list(inspect.signature(getattr(OrderType, hook)).parameters)[1:]
        own = getattr(instance, hook)
        if not callable(own):
            yield f"{hook} is {own!r}. Make it a method, or leave it out."
        elif not _takes(own, len(wanted)):
            yield f"{hook} does not take the arguments it is called with. Write def {hook}(self, {', '.join(wanted)})."


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def _is_helper(cls: type[OrderType]) -> bool:
    """A nameless class that others derive from is no order type itself."""
    return not hasattr(cls, "name") and bool(cls.__subclasses__())


def _identity(cls: type[OrderType]) -> tuple[str, str]:
    """The same class may come in twice, by an installed package and by the path of its file."""
    return _place(cls).rpartition(":")[0], cls.__qualname__


def _place(cls: type[OrderType], fault: str = "") -> str:
    """``file:line`` of the class; where it is declared, of the member that a fault is about."""
    if issubclass(cls, DeclaredType):
        return cls._place(fault)
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return f"{cls.__module__}:{cls.__qualname__}"


def _announced(point: metadata.EntryPoint) -> Types:
    where = f"entry point {point.name!r}"
    with _importing(where):
        loaded = point.load()
    return _types_in(loaded, where) if isinstance(loaded, ModuleType) else [_type(loaded, where)]


def _sources(spec: str) -> list[Callable[[], Types]]:
    path = Path(spec).expanduser()
    if os.sep not in spec and not spec.endswith(TYPE_FILES) and not path.exists():
        return [partial(_imported, spec)]
    path = path.resolve()
    if path.is_dir():
        modules = [partial(_in_file, file, needed=False) for file in sorted(path.glob("*.py")) if _is_plugin(file)]
        return [*modules, *(partial(_declared, file) for file in declarations_in(path))]
    return [partial(_declared if path.suffix in DECLARED else _in_file, path)]


def _is_plugin(file: Path) -> bool:
    return not file.name.startswith(("_", "test_")) and file.name != "conftest.py"


def _imported(spec: str) -> Types:
    module_name, _, class_name = spec.partition(":")
    where = f"order_types {spec!r}"
    with _importing(where):
        module = importlib.import_module(module_name)
    if not class_name:
        return _types_in(module, where)
    if not hasattr(module, class_name):
        raise BrokenType(f"{where}: {module_name} has no {class_name}{nearest(class_name, vars(module)) or '.'}")
    return [_type(getattr(module, class_name), where)]


def _in_file(file: Path, *, needed: bool = True) -> Types:
    if not file.is_file():
        raise BrokenType(f"{file}: there is nothing here. Mend the path in order_types.")
    with _siblings_of(file.parent), _importing(str(file)):
        module = _module(file)
    return _types_in(module, str(file), needed=needed)


def _declared(file: Path) -> Types:
    try:
        return [declare(file)]
    except Misdeclared as error:
        raise BrokenType(*error.faults) from error


def _types_in(module: ModuleType, where: str, *, needed: bool = True) -> Types:
    types = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, OrderType)]
    own = [cls for cls in dict.fromkeys(types) if f"{cls.__module__}.".startswith(f"{module.__name__}.")]
    if needed and not own:
        raise BrokenType(f"{where}: no order type is defined here. Derive a class from workdocket.OrderType.")
    return own


def _type(value: Any, where: str) -> type[OrderType]:
    if inspect.isclass(value) and issubclass(value, OrderType):
        return value
    raise BrokenType(f"{where}: {value!r} is not an order type. Derive a class from workdocket.OrderType.")


def _module(file: Path) -> ModuleType:
    """The module of a file under a name of its own, so that files of one name in two folders get along."""
    mark = sha256(str(file).encode() + file.read_bytes()).hexdigest()[:12]
    name = f"{PLUGINS}.{mark}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    sys.modules.setdefault(PLUGINS, ModuleType(PLUGINS))
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _Siblings(MetaPathFinder, Loader):
    """Lets the files of one folder import each other by their plain names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lent: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        is_sibling = path is None and (self.folder / f"{name}.py").is_file()
        return spec_from_loader(name, self) if is_sibling else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self.lent.append(spec.name)
        return _module(self.folder / f"{spec.name}.py")

    def exec_module(self, module: ModuleType) -> None:
        """It ran when it was created."""


@contextmanager
def _siblings_of(folder: Path) -> Iterator[None]:
    siblings = _Siblings(folder)
    sys.meta_path.insert(0, siblings)
    try:
        yield
    finally:
        sys.meta_path.remove(siblings)
        for name in siblings.lent:
            sys.modules.pop(name, None)


@contextmanager
def _importing(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise BrokenType(f"{_raised_at(error) or where}: {_said(error)}. Mend the file, or leave it out.") from error


def _raised_at(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return next((f"{frame.filename}:{frame.lineno}" for frame in reversed(frames) if frame.name == "<module>"), "")


def _said(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text.partition(chr(10))[0]}".rstrip(":. ")

"""Classes that others write: where they are found, and what is wrong with them whatever their kind."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from workdocket.wording import nearest

T = TypeVar("T")
C = TypeVar("C")

PLUGINS = "workdocket_plugins"
LONGEST_NAME = 120
PRIVATE = "Names of your own start with an underscore."

Rule = tuple[str, Callable[[Any], bool], str]
"""A member, what its value has to pass, and what to give it instead."""


class BrokenType(Exception):
    """What is wrong with the plug-ins, a line for each fault: ``file:line: what is wrong. what to do``."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Found(Protocol):
    """A plug-in that passed every check. ``origin`` is the ``file:line`` of its class."""

    @property
    def name(self) -> str: ...
    @property
    def origin(self) -> str: ...


F = TypeVar("F", bound=Found)


@dataclass(frozen=True)
class Kind(Generic[C]):
    """A kind of plug-in: the class to derive from, what one is called, where it is announced and named, its rules.

    ``declare`` makes a class of a file that is no Python, of which ``declarations_in`` a folder are some.
    """

    base: type[C]
    one: str
    group: str
    setting: str
    rules: Sequence[Rule]
    files: tuple[str, ...] = (".py",)
    declare: Callable[[Path], type[C]] | None = None
    declarations_in: Callable[[Path], Iterable[Path]] = lambda folder: ()

    @property
    def noun(self) -> str:
        return self.one.partition(" ")[2]

    @property
    def derive(self) -> str:
        return f"Derive a class from workdocket.{self.base.__name__}."

    @cached_property
    def hooks(self) -> list[str]:
        public = {name: member for name, member in vars(self.base).items() if not name.startswith("_")}
        return [name for name, member in public.items() if inspect.isfunction(member)]

    @cached_property
    def members(self) -> set[str]:
        return {name for name in [*vars(self.base), *self.base.__annotations__] if not name.startswith("_")}


# what they all have in common


def name_fits(value: Any) -> bool:
    words = r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*"
    return isinstance(value, str) and len(value) <= LONGEST_NAME and re.fullmatch(words, value) is not None


NAME: Rule = (
    "name",
    name_fits,
    f"lower-case words joined by dots, such as 'customer.research', at most {LONGEST_NAME} characters",
)


def load_all(
    kind: Kind[C], specs: Sequence[str], entry_of: Callable[[type[C]], F], *, entry_points: bool
) -> Sequence[F]:
    """The plug-ins that installed packages announce and ``specs`` name, put through every check; all faults at once."""
    entries, faults = look_at(kind, specs, entry_of, entry_points=entry_points)
    if faults:
        raise BrokenType(*faults)
    return entries


def look_at(
    kind: Kind[C], specs: Sequence[str], entry_of: Callable[[type[C]], F], *, entry_points: bool
) -> tuple[list[F], list[str]]:
    """As ``load_all``: the plug-ins that are sound, and the faults of the others."""
    faults: list[str] = []
    announced = metadata.entry_points(group=kind.group) if entry_points else ()
    sources = [partial(_announced, kind, point) for point in announced]
    sources += [source for spec in specs for source in _sources(kind, spec)]
    found = {_identity(cls): cls for classes in gather(sources, faults) for cls in classes}
    entries = gather([partial(entry_of, cls) for cls in found.values() if not _is_helper(cls)], faults)
    return entries, faults + duplicates(entries)


def gather(makers: Iterable[Callable[[], T]], faults: list[str]) -> list[T]:
    """What the makers make; the faults of those that cannot are put with the rest."""
    made = []
    for make in makers:
        try:
            made.append(make())
        except BrokenType as broken:
            faults += broken.faults
    return made


def duplicates(entries: Sequence[F]) -> list[str]:
    """Two of one name, and of one version where they have versions."""
    first: dict[tuple[str, int | None], F] = {}
    return [
        f"{entry.origin}: the name {entry.name!r} is taken by {other.origin}. Rename one of them."
        for entry in entries
        if (other := first.setdefault((entry.name, getattr(entry, "version", None)), entry)) is not entry
    ]


def member_faults(kind: Kind[C], cls: type[C]) -> Iterator[str]:
    for member, fits, allowed in kind.rules:
        if not hasattr(cls, member):
            yield f"{member} is missing. Give it {allowed}."
        elif not fits(getattr(cls, member)):
            yield f"{member} is {getattr(cls, member)!r}. Give it {allowed}."


def strange_members(kind: Kind[C], cls: type[C]) -> Iterator[str]:
    for owner in cls.__mro__:
        if issubclass(owner, kind.base) and owner is not kind.base:
            for name, member in vars(owner).items():
                if name not in kind.members and not name.startswith("_") and not inspect.isclass(member):
                    yield f"{name!r} is not a member of {kind.one}{nearest(name, kind.members) or '.'} {PRIVATE}"


def made(cls: type[C]) -> C:
    try:
        return cls()
    except Exception as error:
        raise BrokenType(f"{cls.__name__}() fails with {_said(error)}. It is made without arguments.") from error


def takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def place(cls: type[Any], fault: str = "") -> str:
    """``file:line`` of the class; where it is declared, of the member that a fault is about."""
    declared: Callable[[str], str] | None = getattr(cls, "_place", None)
    if declared is not None:
        return declared(fault)
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return f"{cls.__module__}:{cls.__qualname__}"


def _file(cls: type[Any]) -> str:
    """Where the class is written. Unlike its line it is known without reading the file."""
    if hasattr(cls, "_place"):
        return place(cls).rpartition(":")[0]
    try:
        return str(inspect.getsourcefile(cls))
    except (OSError, TypeError):
        return cls.__module__


def _is_helper(cls: type[Any]) -> bool:
    """A nameless class that others derive from is no plug-in itself."""
    return not hasattr(cls, "name") and bool(cls.__subclasses__())


def _identity(cls: type[Any]) -> tuple[str, str]:
    """The same class may come in twice, by an installed package and by the path of its file."""
    return _file(cls), cls.__qualname__


# where they come from


def _announced(kind: Kind[C], point: metadata.EntryPoint) -> list[type[C]]:
    where = f"entry point {point.name!r}"
    with _importing(where):
        loaded = point.load()
    return _classes_in(kind, loaded, where) if isinstance(loaded, ModuleType) else [_class(kind, loaded, where)]


def _sources(kind: Kind[C], spec: str) -> list[partial[list[type[C]]]]:
    path = Path(spec).expanduser()
    if os.sep not in spec and not spec.endswith(kind.files) and not path.exists():
        return [partial(_imported, kind, spec)]
    path = path.resolve()
    if path.is_dir():
        modules = [
            partial(_in_file, kind, file, needed=False) for file in sorted(path.glob("*.py")) if _is_plugin(file)
        ]
        return [*modules, *(partial(_declared, kind, file) for file in kind.declarations_in(path))]
    return [partial(_declared if path.suffix in kind.files[1:] else _in_file, kind, path)]


def _is_plugin(file: Path) -> bool:
    return not file.name.startswith(("_", "test_")) and file.name != "conftest.py"


def _imported(kind: Kind[C], spec: str) -> list[type[C]]:
    module_name, _, class_name = spec.partition(":")
    where = f"{kind.setting} {spec!r}"
    with _importing(where):
        module = importlib.import_module(module_name)
    if not class_name:
        return _classes_in(kind, module, where)
    if not hasattr(module, class_name):
        raise BrokenType(f"{where}: {module_name} has no {class_name}{nearest(class_name, vars(module)) or '.'}")
    return [_class(kind, getattr(module, class_name), where)]


def _in_file(kind: Kind[C], file: Path, *, needed: bool = True) -> list[type[C]]:
    if not file.is_file():
        raise BrokenType(f"{file}: there is nothing here. Mend the path in {kind.setting}.")
    with _siblings_of(file.parent), _importing(str(file)):
        module = _module(file)
    return _classes_in(kind, module, str(file), needed=needed)


def _declared(kind: Kind[C], file: Path) -> list[type[C]]:
    assert kind.declare is not None, "files of other endings than Python's are declarations"
    return [kind.declare(file)]


def _classes_in(kind: Kind[C], module: ModuleType, where: str, *, needed: bool = True) -> list[type[C]]:
    classes = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, kind.base)]
    own = [cls for cls in dict.fromkeys(classes) if f"{cls.__module__}.".startswith(f"{module.__name__}.")]
    if needed and not own:
        raise BrokenType(f"{where}: no {kind.noun} is defined here. {kind.derive}")
    return own


def _class(kind: Kind[C], value: Any, where: str) -> type[C]:
    if inspect.isclass(value) and issubclass(value, kind.base):
        return value
    raise BrokenType(f"{where}: {value!r} is not {kind.one}. {kind.derive}")


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

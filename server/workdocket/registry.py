"""The order types and generators of this process: broken and duplicate ones are refused before anything starts."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

from workdocket.declarative import Misdeclared, declarations_in, declare
from workdocket.domain.errors import WorkError
from workdocket.domain.model import Approval, WorkItem, WorkOrder, checksum
from workdocket.generator import CatchUp, Generator
from workdocket.order_type import OrderType, PartSpec, Schema
from workdocket.plugins import (
    LONGEST_NAME,
    NAME,
    BrokenType,
    Kind,
    Rule,
    duplicates,
    gather,
    load_all,
    look_at,
    made,
    member_faults,
    place,
    strange_members,
    takes,
)
from workdocket.schema import SchemaError, Validator, meaning
from workdocket.settings import TYPE_FILES
from workdocket.timetable import Timetable, TimetableError, zone_of
from workdocket.wording import nearest

LONGEST_SKILL = 60


@dataclass(frozen=True)
class TypeEntry:
    """An order type that passed every check."""

    type: OrderType
    payload: Validator
    result: Validator
    parts: Mapping[str, Validator | None]

    @property
    def name(self) -> str:
        return self.type.name

    @property
    def origin(self) -> str:
        """The ``file:line`` of its class."""
        return place(type(self.type))

    @property
    def version(self) -> int:
        return self.type.version

    @cached_property
    def edition(self) -> str:
        """The version, and a fingerprint of what the schemas ask for: words and annotations make no difference."""
        schemas = {f"part {key}": checked for key, checked in self.parts.items() if checked is not None}
        schemas |= {"payload": self.payload, "result": self.result}
        asked = {name: meaning(checked.json_schema) for name, checked in schemas.items()}
        return f"{self.version}-{checksum(asked)[:8]}"

    def has(self, hook: str) -> bool:
        """Whether the class has a ``hook`` of its own."""
        return getattr(type(self.type), hook) is not getattr(OrderType, hook)


class Registry:
    """The order types of this process, in the order of their names. Of several versions the newest takes new orders."""

    def __init__(self, entries: Iterable[TypeEntry] = ()) -> None:
        ordered = sorted(entries, key=lambda entry: (entry.name, entry.version))
        if faults := duplicates(ordered):
            raise BrokenType(*faults)
        self._entries = {entry.name: entry for entry in ordered}
        self._editions = {(entry.name, entry.edition): entry for entry in ordered}

    def __iter__(self) -> Iterator[TypeEntry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> list[str]:
        return list(self._entries)

    def find(self, thing: WorkOrder | WorkItem) -> TypeEntry | None:
        """The type as it was when an order was filed; ``None`` where that edition is not registered here."""
        return self._editions.get((thing.type, thing.edition))

    def of(self, thing: WorkOrder | WorkItem) -> TypeEntry:
        """As ``find``; refuses where there is none."""
        entry = self.find(thing)
        if entry is None:
            raise WorkError("unknown_type", self.gone(thing), nearest=get_close_matches(thing.type, self._entries))
        return entry

    def gone(self, thing: WorkOrder | WorkItem) -> str:
        """Why nothing here works on an order or item."""
        if thing.type not in self._entries:
            return f"the order type {thing.type} is not registered here"
        made, now = thing.edition.partition("-")[0], self._entries[thing.type].version
        if made == str(now):
            return f"the schemas of {thing.type} version {made} are others than those that this was filed under"
        return f"{thing.type} is registered here in version {now}; this was filed under version {made}"

    def get(self, name: str) -> TypeEntry:
        if name in self._entries:
            return self._entries[name]
        message = f"There is no order type {name!r}{nearest(name, self._entries) or '.'}"
        raise WorkError("unknown_type", message, nearest=get_close_matches(name, self._entries))


def load(specs: Sequence[str], *, entry_points: bool = True) -> Registry:
    """The types that installed packages announce and ``specs`` name: ``pkg.mod``, ``pkg.mod:Class``, files, folders."""
    return Registry(load_all(TYPES, specs, entry_of, entry_points=entry_points))


def look(specs: Sequence[str], *, entry_points: bool = True) -> tuple[list[TypeEntry], list[str]]:
    """As ``load``: the types that are sound, and the faults of the others."""
    return look_at(TYPES, specs, entry_of, entry_points=entry_points)


def entry_of(cls: type[OrderType]) -> TypeEntry:
    """One order type, put through every check."""
    schemas = _schemas(cls)
    faults = [*_member_faults(cls), *_part_faults(cls), *strange_members(TYPES, cls)]
    validators = gather([partial(_validator, where, schema) for where, schema in schemas.items()], faults)
    instances = gather([partial(made, cls)], faults)
    faults += [fault for instance in instances for fault in _hook_faults(instance)]
    if faults:
        raise BrokenType(*(f"{place(cls, fault)}: {cls.__name__}: {fault}" for fault in faults))
    checked = dict(zip(schemas, validators, strict=True))
    parts = {key: checked.get(f"parts[{key!r}]") for key in cls.parts}
    return TypeEntry(instances[0], checked["payload"], checked["result"], parts)


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 1


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def _no_less_than_zero(value: Any) -> bool:
    return value == 0 or _positive(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _pointer(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/")


def skill_names(value: Any) -> bool:
    """Whether it is a list of skills: short texts."""
    listed = isinstance(value, Collection) and not isinstance(value, str | Mapping)
    return listed and all(isinstance(one, str) and 0 < len(one) <= LONGEST_SKILL for one in value)


def _or_none(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or test(value)


RULES: tuple[Rule, ...] = (
    NAME,
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


def _declared(file: Path) -> type[OrderType]:
    try:
        return declare(file)
    except Misdeclared as error:
        raise BrokenType(*error.faults) from error


TYPES = Kind(
    OrderType,
    "an order type",
    "workdocket.order_types",
    "order_types",
    RULES,
    files=TYPE_FILES,
    declare=_declared,
    declarations_in=declarations_in,
)
GROUP = TYPES.group


def _member_faults(cls: type[OrderType]) -> Iterator[str]:
    yield from member_faults(TYPES, cls)
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


def _hook_faults(instance: OrderType) -> Iterator[str]:
    for hook in TYPES.hooks:
        wanted = list(inspect.signature(getattr(OrderType, hook)).parameters)[1:]
        own = getattr(instance, hook)
        if not callable(own):
            yield f"{hook} is {own!r}. Make it a method, or leave it out."
        elif not takes(own, len(wanted)):
            yield f"{hook} does not take the arguments it is called with. Write def {hook}(self, {', '.join(wanted)})."


# generators


@dataclass(frozen=True)
class GeneratorEntry:
    """A generator that passed every check."""

    generator: Generator
    zone: ZoneInfo
    timetable: Timetable | None

    @property
    def name(self) -> str:
        return self.generator.name

    @property
    def origin(self) -> str:
        """The ``file:line`` of its class."""
        return place(type(self.generator))


def load_generators(specs: Sequence[str], *, entry_points: bool = True) -> tuple[GeneratorEntry, ...]:
    """The generators that installed packages announce and ``specs`` name, in the order of their names."""
    found = load_all(GENERATORS, specs, generator_entry_of, entry_points=entry_points)
    return tuple(sorted(found, key=lambda entry: entry.name))


def generator_entry_of(cls: type[Generator]) -> GeneratorEntry:
    """One generator, put through every check."""
    faults = [*member_faults(GENERATORS, cls), *strange_members(GENERATORS, cls)]
    instances = gather([partial(made, cls)], faults)
    faults += [fault for instance in instances for fault in _discover_faults(instance)]
    clocks = gather([partial(_clock, cls)], faults) if not faults else []
    if faults:
        raise BrokenType(*(f"{place(cls)}: {cls.__name__}: {fault}" for fault in faults))
    return GeneratorEntry(instances[0], *clocks[0])


GENERATORS = Kind(
    Generator,
    "a generator",
    "workdocket.generators",
    "generators",
    (
        NAME,
        ("schedule", _or_none(_text), "a cron expression such as '0 3 * * 1', or None"),
        ("time_zone", _text, "the name of a time zone, such as 'Europe/Berlin'"),
        ("catch_up", lambda value: value in get_args(CatchUp), f"one of {', '.join(map(repr, get_args(CatchUp)))}"),
    ),
)


def _discover_faults(instance: Generator) -> Iterator[str]:
    own: Any = instance.discover
    if type(instance).discover is Generator.discover:
        yield "discover is missing. Write def discover(self, slot), which returns or yields proposals."
    elif not callable(own) or not (takes(own, 1) or takes(own, 0)):
        yield "discover does not take the argument it is called with. Write def discover(self, slot)."


def _clock(cls: type[Generator]) -> tuple[ZoneInfo, Timetable | None]:
    try:
        zone = zone_of(cls.time_zone)
        return zone, None if cls.schedule is None else Timetable(cls.schedule, zone, cls.catch_up)
    except TimetableError as error:
        raise BrokenType(f"{str(error).rstrip('.')}. Mend schedule or time_zone.") from error

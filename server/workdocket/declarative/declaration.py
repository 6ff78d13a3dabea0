"""From a document to an order type: a class like any other, which the registry checks like any other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from workdocket.declarative.batch import Batch
from workdocket.declarative.document import PARSERS, Document, Misdeclared, read
from workdocket.declarative.kinds import KINDS, PLACE, Effect, Given, Parameter, Where
from workdocket.domain.diff import Diff
from workdocket.domain.errors import Finding
from workdocket.domain.model import ItemSpec, WorkItem, WorkOrder
from workdocket.order_type import ApplyContext, OrderType, PartSpec
from workdocket.wording import nearest

MEMBERS = tuple(OrderType.__annotations__)
SCHEMAS = ("payload", "result")
KEYS = (*MEMBERS, "batch", "effect")
REQUIRED = ("name", "payload", "effect")
BATCH_SIZE = 50
NO_COMMANDS = "To run a command, write the order type in Python."
EFFECT = re.compile(r"""^(\[\s*)?["']?effect["']?\s*[\].:=]""", re.M)


class DeclaredType(OrderType):
    """What every order type made from a file has."""

    _document: ClassVar[Document]
    _effect: ClassVar[Effect]
    _batch: ClassVar[Batch | None] = None

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return self._batch.plan(order.payload) if self._batch else [ItemSpec(order.payload)]

    def check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        return self._batch.findings(item.input, result) if self._batch else []

    def preview(self, order: WorkOrder) -> Diff:
        return self._effect.preview(order)

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return self._effect.apply(order, ctx)

    @classmethod
    def _place(cls, fault: str = "") -> str:
        """``file:line`` of the member that a fault begins with, else of the name."""
        member = "parts" if fault.startswith("the part ") else re.split(r"\W", fault)[0]
        return cls._document.place(member if member in cls._document.data else "name")


def declarations_in(folder: Path) -> list[Path]:
    """The files of a folder that declare an order type: those that name an effect."""
    found = (file for suffix in PARSERS for file in folder.glob(f"*{suffix}") if not file.name.startswith(("_", ".")))
    return sorted(file for file in found if EFFECT.search(file.read_text("utf-8", errors="replace")))


def declare(file: Path) -> type[OrderType]:
    """The order type that a file declares. Raises ``Misdeclared`` with all its faults."""
    return _Reading(read(file.resolve())).made()


class _Reading:
    """One document on its way to a class; what is wrong with it is collected."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.faults: list[str] = []

    def made(self) -> type[OrderType]:
        data = self.document.data
        self.known(data, KEYS, "an order type")
        for key in REQUIRED:
            if key not in data:
                self.fault(f"{key} is missing. An order type in a file needs {', '.join(REQUIRED)}.")
        members = {key: value for key, value in data.items() if key in MEMBERS}
        members |= {key: self.schema(data[key], key) for key in SCHEMAS if key in data}
        members["parts"] = {key: self.part(key, one) for key, one in self.table("parts").items()}
        batch = self.batch(members) if "batch" in data else None
        effect = self.effect(members, batch) if "effect" in data else None
        if self.faults:
            raise Misdeclared(*self.faults)
        own = {"_document": self.document, "_batch": batch, "_effect": effect, "__doc__": None}
        title = "".join(word.title() for word in re.findall(r"[a-z0-9]+", str(data["name"])))
        return type(title or "Declared", (DeclaredType,), {**members, **own})

    def fault(self, message: str, *keys: str) -> None:
        self.faults.append(f"{self.document.place(*keys)}: {message}")

    def known(self, table: Mapping[str, Any], keys: Collection[str], of_what: str, *way: str) -> None:
        for key in table:
            if key not in keys:
                told = nearest(str(key), keys) or f"; there are {', '.join(keys)}"
                self.fault(f"{key!r} is not known in {of_what}{told}", *way, str(key))

    def table(self, *way: str) -> dict[str, Any]:
        found: Any = self.document.data
        for key in way:
            found = found.get(key, {})
        if not isinstance(found, dict):
            self.fault(f"{'.'.join(way)} is {found!r}. Make it a table.", *way)
            return {}
        return found

    def schema(self, given: Any, *way: str) -> Any:
        """A schema as it stands here, or out of the JSON file that is named instead."""
        if not isinstance(given, str):
            return given
        file = self.document.file.parent / given
        try:
            return json.loads(file.read_text("utf-8"))
        except json.JSONDecodeError as error:
            self.faults.append(f"{file}:{error.lineno}: {error.msg}. Mend the schema.")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.fault(f"the schema {given!r} cannot be read: {reason}. Mend the path, beside this file.", *way)
        return None

    def part(self, key: str, given: Any) -> PartSpec:
        if not isinstance(given, dict):
            self.fault(f"the part {key!r} is {given!r}. Make it a table of schema, required, mode.", "parts", key)
            return PartSpec()
        self.known(given, ("schema", "required", "mode"), "a part", "parts", key)
        required = given.get("required", True)
        if not isinstance(required, bool):
            self.fault(f"required is {required!r}. Make it true or false.", "parts", key, "required")
        schema = self.schema(given.get("schema"), "parts", key, "schema")
        return PartSpec(schema, bool(required), given.get("mode", "latest"))

    def batch(self, members: Mapping[str, Any]) -> Batch:
        given = self.table("batch")
        self.known(given, ("over", "size", "every", "results"), "a batch", "batch")
        over, size, every = given.get("over", ""), given.get("size", BATCH_SIZE), given.get("every")
        results = given.get("results", f"/{str(over).rpartition('/')[2]}")
        if type(size) is not int or size < 1:
            self.fault(f"size is {size!r}. Give it a whole number from 1.", "batch", "size")
        if every is not None and not _is_pointer(every):
            self.fault(f"every is {every!r}. {POINTER}", "batch", "every")
        self.pointer(over, members, "payload", "batch", "over")
        if every is not None:
            self.pointer(results, members, "result", "batch", "results")
        return Batch(over, size, every, results)

    def effect(self, members: Mapping[str, Any], batch: Batch | None) -> Effect | None:
        given = self.table("effect")
        kind = KINDS.get(str(given.get("kind")))
        if kind is None:
            told = f"kind is {given['kind']!r}" if "kind" in given else "kind is missing"
            self.fault(f"{told}. There are {', '.join(KINDS)}. {NO_COMMANDS}", "effect", "kind")
            return None
        self.known(given, ("kind", *kind.parameters), f"the effect {given['kind']}", "effect")
        found = {
            name: self.parameter(name, given[name], parameter, members, batch)
            for name, parameter in kind.parameters.items()
            if name in given
        }
        for name, parameter in kind.parameters.items():
            if parameter.required and name not in given:
                self.fault(f"{name} is missing. Give it {_forms(parameter)}.", "effect")
        return Effect(kind, found)

    def parameter(
        self, name: str, given: Any, parameter: Parameter, members: Mapping[str, Any], batch: Batch | None
    ) -> Given:
        way = ("effect", name)
        source = next(iter(given)) if isinstance(given, dict) and len(given) == 1 else None
        if source in parameter.sources and source != "file":
            self.pointer(given[source], members, source, *way)
            if source == "result" and batch is not None and not parameter.shape.listed:
                self.fault(f"{name} is {parameter.shape.words}, but a batch has many results", *way)
            return Given(cast("Where", source), given[source])
        if isinstance(given, dict) or "file" not in parameter.sources:
            self.fault(f"{name} is {given!r}. Give it {_forms(parameter)}.", *way)
            return Given("file", given)
        if parameter.shape is PLACE and isinstance(given, str):
            given = str(self.document.file.parent / Path(given).expanduser())
        if not parameter.shape.fits(given):
            self.fault(f"{name} is {given!r}. Give it {parameter.shape.words}.", *way)
        return Given("file", given)

    def pointer(self, value: Any, members: Mapping[str, Any], where: str, *way: str) -> None:
        """It has to be a JSON Pointer to what the schema of payload or result describes, as far as it describes it."""
        if not _is_pointer(value):
            self.fault(f"{way[-1]} is {value!r}. {POINTER}", *way)
            return
        for fault in _strays(members.get(where), value):
            self.fault(f"{way[-1]}: the {where} has no {fault}", *way)


POINTER = "Give it a JSON Pointer, such as '/records'."
FORMS: Mapping[str, Callable[[Parameter], str]] = {
    "file": lambda parameter: parameter.shape.words,
    "payload": lambda parameter: '{ payload = "/…" }',
    "result": lambda parameter: '{ result = "/…" }',
}


def _forms(parameter: Parameter) -> str:
    return ", or ".join(FORMS[source](parameter) for source in parameter.sources)


def _is_pointer(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"(/([^~/]|~[01])+)+", value) is not None


def _strays(schema: Any, pointer: str) -> Iterator[str]:
    """The first name of a pointer that an object does not have, by its schema."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        known = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(known, dict):
            return
        if name not in known:
            yield f"{name!r}{nearest(name, known) or '; there are ' + ', '.join(known)}"
            return
        schema = known[name]

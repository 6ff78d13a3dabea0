"""The extension contract: what a kind of work says about itself. Plug-ins need nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from workdocket.domain.diff import Diff
from workdocket.domain.errors import Finding
from workdocket.domain.model import Actor, Approval, ItemSpec, Part, WorkItem, WorkOrder

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["ApplyContext", "ItemSpec", "OrderType", "PartSpec", "Schema"]

Schema: TypeAlias = "type[BaseModel] | Mapping[str, Any]"
"""A pydantic model class or a JSON Schema 2020-12 object."""


@dataclass(frozen=True, slots=True)
class PartSpec:
    """One declared part. ``mode`` ``latest``: the highest seq wins; ``sequence``: all seqs in order, as a list."""

    schema: Schema | None = None
    required: bool = True
    mode: Literal["latest", "sequence"] = "latest"


class ApplyContext(Protocol):
    """What apply and its neighbours may know and do.

    ``idempotency_key`` is the same in every attempt of one order: store it with the effect, and an attempt that
    finds it there has nothing left to do. ``attempt`` counts from 1; above 1 the one before may have had its effect.
    """

    @property
    def idempotency_key(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def approved_by(self) -> Actor: ...

    async def propose(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        priority: int = 0,
        meta: Mapping[str, Any] | None = None,
        dedupe_key: str | None = None,
    ) -> str:
        """File a follow-up order and return its id. Repeated in a later attempt, it returns the first one's id."""
        ...


class OrderType:
    """One kind of work. Only ``name``, ``payload`` and ``apply`` are required.

    Hooks may be ``def`` or ``async def``. ``plan``, ``required_parts`` and ``assemble`` are pure: no I/O, no clock.
    The checks and ``preview`` may read the world but never write it, and may run more than once. ``apply`` alone
    writes, may be run again after a crash with the same ``ctx.idempotency_key``, and must then have one effect.
    ``concurrency_key`` is a JSON Pointer into the payload: items with the same value there share ``max_leases_per_key``
    and take turns with those of other values. ``skills`` are what a caller must state at checkout to get an item. Both
    hold for every item whose ``ItemSpec`` says nothing else.
    No hook ever runs while a database transaction of workdocket is open. Raise :class:`workdocket.Refused` to say no
    with findings; any other exception is reported as ``internal`` and its text goes to the log.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    description: ClassVar[str] = ""
    instructions: ClassVar[str] = ""

    payload: ClassVar[Schema]
    result: ClassVar[Schema | None] = None
    parts: ClassVar[Mapping[str, PartSpec]] = {}

    approval: ClassVar[Approval] = "manual"
    quorum: ClassVar[int] = 1

    lease_ttl_seconds: ClassVar[float | None] = None
    heartbeat_every_seconds: ClassVar[float | None] = None
    max_attempts: ClassVar[int | None] = None
    backoff_seconds: ClassVar[float | None] = None
    expiry_backoff_seconds: ClassVar[float | None] = None
    apply_backoff_seconds: ClassVar[float | None] = None
    max_leases: ClassVar[int | None] = None
    max_leases_per_key: ClassVar[int | None] = None
    concurrency_key: ClassVar[str | None] = None
    skills: ClassVar[Sequence[str]] = ()
    apply_attempts: ClassVar[int | None] = None

    def plan(self, order: WorkOrder) -> list[ItemSpec] | Awaitable[list[ItemSpec]]:
        """The items an order falls into. Same order, same plan. Default: one item whose input is the payload."""
        return [ItemSpec(input=order.payload)]

    def check_result(self, item: WorkItem, result: Any) -> list[Finding] | Awaitable[list[Finding]]:
        """Findings against one result that already fits the schema."""
        return []

    def check_part(self, item: WorkItem, part: Part) -> list[Finding] | Awaitable[list[Finding]]:
        """Findings against one part that already fits its schema."""
        return []

    def required_parts(self, item: WorkItem) -> set[str] | Awaitable[set[str]]:
        """The part keys a strict finalize needs for this item. Default: the required keys of ``parts``."""
        return {key for key, spec in self.parts.items() if spec.required}

    def assemble(self, item: WorkItem, parts: Mapping[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """The result made of the parts: key -> payload, or a list of payloads for a sequence."""
        return dict(parts)

    def check_order(self, order: WorkOrder) -> list[Finding] | Awaitable[list[Finding]]:
        """Findings across all items, before approval. ``order.items[i].result`` holds what was submitted."""
        return []

    def preview(self, order: WorkOrder) -> Diff | None | Awaitable[Diff | None]:
        """What apply would do, without doing it."""
        return None

    def before_apply(self, order: WorkOrder, ctx: ApplyContext) -> None | Awaitable[None]:
        """Runs before each attempt of apply."""
        return None

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff | Awaitable[Diff]:
        """Change the world, once per ``ctx.idempotency_key``, and say what changed."""
        raise TypeError(f"{type(self).__name__} has no apply")

    def after_apply(self, order: WorkOrder, diff: Diff, ctx: ApplyContext) -> None | Awaitable[None]:
        """Runs once the order is completed. A failure is recorded and retried, and undoes nothing."""
        return None

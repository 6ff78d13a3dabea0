"""workdocket: a work order control plane for AI agents. Public are these names, and what effects and guard export."""

from workdocket.domain.diff import Diff, FieldChange
from workdocket.domain.errors import Finding, Refused, WorkError
from workdocket.domain.model import Actor, Part, WorkItem, WorkOrder
from workdocket.generator import Generator, Proposal
from workdocket.order_type import ApplyContext, ItemSpec, OrderType, PartSpec

__version__ = "0.1.0"

__all__ = [
    "Actor",
    "ApplyContext",
    "Diff",
    "FieldChange",
    "Finding",
    "Generator",
    "ItemSpec",
    "OrderType",
    "Part",
    "PartSpec",
    "Proposal",
    "Refused",
    "WorkError",
    "WorkItem",
    "WorkOrder",
]

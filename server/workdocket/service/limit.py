"""How many leases may be live at a time: an agent's, a type's, and those of one concurrency key. Counted each time."""

from __future__ import annotations

from workdocket.domain.model import Policy, WorkItem
from workdocket.ports import ReadTx
from workdocket.settings import Settings


def agent_room(settings: Settings, tx: ReadTx, session: str, now: int) -> int | None:
    """How many more leases an agent may hold; ``None`` without a limit."""
    most = settings.max_leases_per_agent
    return None if most is None else most - tx.leases_of_session(session, now)


def type_is_full(policy: Policy, tx: ReadTx, type: str, now: int) -> bool:
    return policy.max_leases is not None and tx.leases_of_type(type, now) >= policy.max_leases


def key_is_full(policy: Policy, tx: ReadTx, item: WorkItem, now: int) -> bool:
    most = policy.max_leases_per_key
    if most is None or not item.concurrency_key:
        return False
    return tx.leases_of_key(item.type, item.concurrency_key, now) >= most


def full_keys(policy: Policy, tx: ReadTx, type: str, now: int) -> frozenset[str]:
    """The concurrency keys of a type that have no room."""
    most = policy.max_leases_per_key
    return frozenset() if most is None else tx.full_keys(type, most, now)


def reached(settings: Settings, policy: Policy, tx: ReadTx, item: WorkItem, session: str, now: int) -> str | None:
    """The setting that leaves no room for one more lease on an item, if there is one."""
    room = agent_room(settings, tx, session, now)
    if room is not None and room <= 0:
        return "max_leases_per_agent"
    if type_is_full(policy, tx, item.type, now):
        return "max_leases_per_type"
    return "max_leases_per_key" if key_is_full(policy, tx, item, now) else None

"""How the house is doing, in numbers."""

from __future__ import annotations

from typing import Any

from workdocket.ports import ReadTx
from workdocket.service.desk import Desk


async def health(desk: Desk) -> dict[str, Any]:
    """Orders by state, and leases that are live or have run out; raises ``WorkError`` where the database is no use."""

    def body(tx: ReadTx) -> dict[str, Any]:
        live, expired = tx.lease_counts(desk.clock.now())
        return {
            "status": "ok",
            "database": "ok",
            "orders": dict(tx.order_states()),
            "leases": {"live": live, "expired": expired},
        }

    return await desk.store.read(body)

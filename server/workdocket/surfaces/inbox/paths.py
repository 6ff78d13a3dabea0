"""Where the inbox answers. It asks by itself who is calling: people bring a cookie, not a token."""

from __future__ import annotations

PLACES = frozenset(
    {"", "batch", "events", "flow", "items", "leases", "live", "next", "orders", "signin", "signout", "static"}
)


def is_inbox(path: str) -> bool:
    """Whether a path is one of its own, or under one."""
    return path.startswith("/") and path.split("/")[1] in PLACES

"""What hosts that show MCP Apps (SEP-1865) show with an answer of ``review``: the diff, and buttons to decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server.apps import Apps

URI = "ui://workdocket/review"
PAGE = Path(__file__).with_suffix(".html")


def shown_with(tool: str) -> dict[str, Any] | None:
    """What the listing of a tool says about its page."""
    return {"ui": {"resourceUri": URI}} if tool == "review" else None


def extension() -> Apps:
    """The page as a resource, and the capability that says so. It needs no network and no permission."""
    from mcp.server.apps import Apps

    apps = Apps()
    page = PAGE.read_text(encoding="utf-8")
    apps.add_html_resource(URI, page, name="review", title="Review", prefers_border=True)
    return apps

"""Pages from templates, with the headers that keep them to themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import Response

from workdocket.surfaces.inbox import values

POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
        "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
    )
)  # fmt: skip
SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The referrer stays on the same origin, not away altogether: without it browsers send forms with the Origin null."""

KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
HERE = files("workdocket.surfaces.inbox") / "static"


@cache
def static(name: str) -> tuple[bytes, str] | None:
    """A file that pages refer to, and what it is; ``None`` where there is none of that name."""
    kind = next((kind for end, kind in KINDS.items() if name.endswith(end)), None)
    if kind is None or "/" in name or name.startswith(".") or not (HERE / name).is_file():
        return None
    return (HERE / name).read_bytes(), kind


@cache
def address(name: str) -> str:
    """Where a static file is; another one when its content is."""
    found = static(name)
    assert found is not None, name
    return f"/static/{name}?{hashlib.sha256(found[0]).hexdigest()[:12]}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("workdocket.surfaces.inbox", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "said": values.said, "lines": values.lines, "value": values.value, "changes": values.changes,
        "when": values.when, "ago": values.ago, "many": values.many, "millis": values.millis,
        "words": lambda name: str(name).replace("_", " "),
    }  # fmt: skip
    made.globals |= {"static": address}
    return made


templates = _environment()


def page(name: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any) -> Response:
    """A whole page."""
    text = templates.get_template(f"{name}.html").render(context)
    return Response(text, status, {**SAFE, **(headers or {})}, "text/html; charset=utf-8")


def elsewhere(path: str, status: int = 303) -> Response:
    return Response(status_code=status, headers={**SAFE, "Location": path})


def served(request: Request) -> Response:
    """A static file, kept by browsers for as long as its address is asked for."""
    found = static(request.path_params["name"])
    if found is None:
        return Response("There is no such file.\n", 404, SAFE, "text/plain")
    content, kind = found
    known = address(request.path_params["name"]).partition("?")[2] == request.url.query
    headers = {**SAFE, "Cache-Control": "public, max-age=31536000, immutable"} if known else SAFE
    return Response(content, 200, headers, kind)


def own_path(text: str) -> str:
    """A path of these pages to go to, or the first page for whatever else is asked for."""
    good = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if good and text.isascii() else "/"

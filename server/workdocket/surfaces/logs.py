"""The log: standard error, one line a record, as text or JSON."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TextIO

from workdocket.domain.model import iso


class JsonLines(logging.Formatter):
    """One JSON object a line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": iso(round(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


SECRETS = re.compile(r"(?P<mark>wdk_(?:[0-9a-z]{10}_)?|eyJ|(?:(?i:bearer\s+)|token\W{1,12})(?!wdk_))[\w.~+/=-]{16,}")
"""Bearer tokens, ours and those of an issuer, what headers carry, and leases: all behind the part that tells them."""


GONE = {"BrokenResourceError", "ClosedResourceError"}


def _is_defect(record: logging.LogRecord) -> bool:
    """That somebody has gone whom the SDK was just answering is none; it takes it for one."""
    error = record.exc_info[1] if record.exc_info else None
    return not (record.name.startswith("mcp.") and error is not None and _names(error) <= GONE)


def _names(error: BaseException) -> set[str]:
    if isinstance(error, BaseExceptionGroup):
        return {name for one in error.exceptions for name in _names(one)}
    return {type(error).__name__}


class Discreet(logging.StreamHandler[TextIO]):
    """Blots out what lets its reader in, whoever logs it, in messages and in tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return SECRETS.sub(r"\g<mark>…", super().format(record))


FORMS = {"text": logging.Formatter("%(levelname)s %(name)s: %(message)s"), "json": JsonLines()}


def configure(level: str, form: str) -> None:
    """Send everything of that weight and above to standard error; standard output belongs to the protocol."""
    handler = Discreet(sys.stderr)
    handler.setFormatter(FORMS[form])
    handler.addFilter(_is_defect)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())

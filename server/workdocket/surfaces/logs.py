"""The log: standard error, one line a record, as text or JSON."""

from __future__ import annotations

import json
import logging
import sys

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


FORMS = {"text": logging.Formatter("%(levelname)s %(name)s: %(message)s"), "json": JsonLines()}


def configure(level: str, form: str) -> None:
    """Send everything of that weight and above to standard error; standard output belongs to the protocol."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMS[form])
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())

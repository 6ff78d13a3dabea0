"""A rule that chooses a gate, as order types and settings write it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from workdocket.domain.expression import Expression
from workdocket.domain.gate import MOST_APPROVERS, Gate, Rule
from workdocket.domain.model import Approval


def _condition(text: str) -> str:
    Expression(text)
    return text


class GateRule(BaseModel):
    """A rule that chooses the gate of an order: ``when`` it is true. Order types and settings write it alike; ``type``
    is a pattern for names of types, in the settings only."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    gate: Approval
    when: Annotated[str, AfterValidator(_condition)] = "true"
    quorum: Annotated[int, Field(strict=True, ge=1, le=MOST_APPROVERS)] = 1
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    type: Annotated[str, Field(min_length=1, max_length=120)] = "*"

    @model_validator(mode="after")
    def passable(self) -> GateRule:
        if self.gate == "auto" and self.quorum > 1:
            raise ValueError("the system is one: no quorum above 1 is reached by auto")
        return self

    def rule(self, n: int) -> Rule:
        """As it is asked; ``n`` names one that has no name."""
        return Rule(Expression(self.when), Gate.of(self.gate, self.quorum, self.name or f"rule {n}"))

"""Cities, scored by a specialist for each dimension, ranked by the weighted total, and put into tiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from workdocket import ApplyContext, Diff, Finding, ItemSpec, OrderType, Refused, WorkOrder
from workdocket.effects.sqlite import Rows, Upsert
from workdocket_types.fields import File, Table

TABLE = "city_tiers"
KEY = ["ranking", "city"]
COLUMNS = ("ranking", "city", "name", "total", "rank", "tier", "note")
TIERS = [{"tier": "A", "at_least": 75}, {"tier": "B", "at_least": 50}, {"tier": "C", "at_least": 0}]

Score = Annotated[int, Field(ge=0, le=100)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class City(Strict):
    id: str = Field(pattern=r"^[^/]{1,50}$", description="What identifies the city, such as FR-paris.")
    name: str = Field(min_length=1, max_length=200)
    facts: dict[str, Any] = Field(default={}, description="What is known of it, for the specialists.")


class Tier(Strict):
    tier: str = Field(min_length=1, max_length=50)
    at_least: float = Field(ge=0, le=100, description="The lowest total of this tier.")


class Payload(Strict):
    """Which cities are ranked, by what, and where the tiers go."""

    ranking: str = Field(min_length=1, max_length=120, description="Name of the ranking; one that is there is updated.")
    cities: list[City] = Field(min_length=1, max_length=500)
    weights: dict[str, Annotated[int, Field(ge=1, le=1_000)]] = Field(
        min_length=1,
        max_length=12,
        description="Dimension to weight. The name of a dimension is also the skill that scoring it takes.",
        json_schema_extra={"propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,59}$"}},
    )
    tiers: list[Tier] = Field(
        default=[Tier.model_validate(tier) for tier in TIERS],
        min_length=1,
        description="From the best to the last, which starts at 0.",
    )
    database: File = Field(description="Absolute path of the SQLite file; it is made when it is not there.")
    table: Table = Field(default=TABLE, description="Table of the tiers; it is made when it is not there.")

    @field_validator("cities")
    @classmethod
    def each_city_once(cls, cities: list[City]) -> list[City]:
        if len({city.id for city in cities}) < len(cities):
            raise PydanticCustomError("uniqueItems", "a city is there twice")
        return cities

    @field_validator("weights")
    @classmethod
    def columns_of_their_own(cls, weights: dict[str, int]) -> dict[str, int]:
        if taken := sorted(weights.keys() & set(COLUMNS)):
            raise PydanticCustomError("reserved", f"the table has columns of that name already: {', '.join(taken)}")
        return weights

    @field_validator("tiers")
    @classmethod
    def from_the_best_to_zero(cls, tiers: list[Tier]) -> list[Tier]:
        bounds = [tier.at_least for tier in tiers]
        if bounds != sorted(set(bounds), reverse=True) or bounds[-1] != 0 or len({t.tier for t in tiers}) < len(tiers):
            raise PydanticCustomError("order", "tiers go from the best down to at_least 0, each name and bound once")
        return tiers


class Result(Strict):
    score: Score = Field(description="0 is the worst city you can think of, 100 the best.")
    reason: str = Field(min_length=20, max_length=2_000, description="The facts that lead to the score.")


class CityTierGeneration(OrderType):
    name = "city.tier.generation"
    title = "Rank cities into tiers"
    description = "Scores of specialists, dimension by dimension, become totals, ranks and tiers in a SQLite table."
    instructions = (
        "Score input.city in input.dimension alone, from 0 to 100, by the same measure for every city. `reason` gives "
        "the facts that lead to the score; begin with input.city.facts. Never invent one."
    )
    payload = Payload
    result = Result
    settings_may_loosen = True

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [
            ItemSpec(key=_key(city["id"], dimension), input={"city": city, "dimension": dimension}, skills=[dimension])
            for dimension in order.payload["weights"]
            for city in order.payload["cities"]
        ]

    def check_order(self, order: WorkOrder) -> list[Finding]:
        return _unscored(order)

    def preview(self, order: WorkOrder) -> Diff | None:
        return None if _unscored(order) else _upsert(order).rehearse()

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        if missing := _unscored(order):
            raise Refused(missing)
        return _upsert(order).apply(ctx)

    def preview_revert(self, order: WorkOrder) -> Diff:
        return _upsert(order).rehearse_revert(order.diff or Diff())

    def revert(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _upsert(order).revert(ctx, order.diff or Diff())


def _key(city: str, dimension: str) -> str:
    return f"{city}/{dimension}"


def _scores(order: WorkOrder) -> dict[str | None, int]:
    return {item.key: item.result["score"] for item in order.items if item.result}


def _unscored(order: WorkOrder) -> list[Finding]:
    scores = _scores(order)
    return [
        Finding("no_score", f"/cities/{n}", f"{city['name']} has no score in {dimension}")
        for n, city in enumerate(order.payload["cities"])
        for dimension in order.payload["weights"]
        if _key(city["id"], dimension) not in scores
    ]


# from scores to tiers


@dataclass(frozen=True)
class Standing:
    """A city with its scores, the weightiest dimension first."""

    id: str
    name: str
    scores: Mapping[str, int]
    total: Fraction

    @property
    def place(self) -> tuple[Any, ...]:
        """Cities are ranked by this: the total, then each dimension in turn."""
        return (-self.total, *(-score for score in self.scores.values()))


def standings(payload: Mapping[str, Any], scores: Mapping[Any, int]) -> list[Standing]:
    """The cities from the best to the last. Totals are exact: the mean of the scores, by weight."""
    weights = dict(sorted(payload["weights"].items(), key=lambda one: (-one[1], one[0])))
    found = []
    for city in payload["cities"]:
        own = {dimension: scores[_key(city["id"], dimension)] for dimension in weights}
        total = Fraction(sum(own[name] * weight for name, weight in weights.items()), sum(weights.values()))
        found.append(Standing(city["id"], city["name"], own, total))
    return sorted(found, key=lambda one: (one.place, one.id))


def rows(payload: Mapping[str, Any], scores: Mapping[Any, int]) -> Iterator[dict[str, Any]]:
    """What goes into the table, from the best city to the last. Only cities without any difference share a rank."""
    ranked = standings(payload, scores)
    tiers = payload.get("tiers", TIERS)
    ranks: dict[tuple[Any, ...], int] = {}
    for n, one in enumerate(ranked, 1):
        yield {
            "ranking": payload["ranking"],
            "city": one.id,
            "name": one.name,
            **one.scores,
            "total": round(float(one.total), 2),
            "rank": ranks.setdefault(one.place, n),
            "tier": next(tier["tier"] for tier in tiers if one.total >= Fraction(tier["at_least"])),
            "note": "; ".join(_tie(one, other) for other in ranked[max(n - 2, 0) : n + 1] if _tied(one, other)),
        }


def _tied(one: Standing, other: Standing) -> bool:
    return other is not one and other.total == one.total


def _tie(one: Standing, other: Standing) -> str:
    """Why a city with the same total as its neighbour is before or after it."""
    apart = next((name for name, score in one.scores.items() if score != other.scores[name]), None)
    if apart is None:
        return f"level with {other.name} in everything"
    where = "ahead" if one.scores[apart] > other.scores[apart] else "behind"
    return f"same total as {other.name}, {where} by {apart} ({one.scores[apart]} to {other.scores[apart]})"


def _upsert(order: WorkOrder) -> Upsert:
    payload = order.payload
    records = list(rows(payload, _scores(order)))
    path = Path(payload["database"]).expanduser()
    return Upsert(path, payload.get("table", TABLE), KEY, records, _diff)


def _diff(before: Rows, after: Rows) -> Diff:
    """How many cities there are in each tier, the best tier first, and how many changed theirs."""
    ranked = sorted(after.values(), key=lambda row: row["rank"])
    tiers = dict.fromkeys(row["tier"] for row in ranked)
    counts = ", ".join(f"{tier} {sum(row['tier'] == tier for row in ranked)}" for tier in tiers)
    moved = sum(row["tier"] != after[key]["tier"] for key, row in before.items())
    return Diff.between(before, after, f"{len(after)} cities: {counts}; {moved} in another tier than before")

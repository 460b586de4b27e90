"""Read and check data/paper/claims.yaml, the paper's claims as comparisons that a program can decide."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationError

from convttlstm.config import Settings
from convttlstm.config.base import PositiveFloat, Strict, require_known
from convttlstm.config.experiment import Ablation
from convttlstm.config.text import read_yaml
from convttlstm.files import UserError

PapersTopic = Literal[
    "overall", "Moving-MNIST-2", "KTH", "recognition", "ablations", "complexity", "training time"
]
Topic = PapersTopic | Literal["asked here"]
MetricName = Literal["mse", "psnr", "ssim_paper", "lpips_paper"]
Reading = Literal["top1", "group"]
Others = Annotated[list[str], Field(min_length=1, description="the first must be better than each of these")]


class Better(Strict):
    """One model is better than each of the others."""

    better: str
    than: Others


class MetricClaim(Better):
    """A metric, on the same test sequences, at each horizon."""

    kind: Literal["metric"]
    dataset: str
    horizons: list[PositiveInt] = Field(min_length=1)
    metrics: list[MetricName] = Field(min_length=1)
    after: PositiveInt | None = Field(None, description="only the frames after this shorter horizon count")
    or_equal: bool = Field(False, description="whether a tie of the paper's values supports the claim")


class GainClaim(Better):
    """The lead in a metric is greater at one horizon than at another, on the same sequences."""

    kind: Literal["gain"]
    dataset: str
    metrics: list[MetricName] = Field(min_length=1)
    more_at: PositiveInt
    less_at: PositiveInt


class GapClaim(Better):
    """The generalization gap, the MSE on test minus that on training sequences, is smaller."""

    kind: Literal["gap"]
    dataset: str


class ValueClaim(Strict):
    """Printed values of a model are reached within the tolerance."""

    kind: Literal["value"]
    dataset: str
    system: str
    horizons: list[PositiveInt] = Field(min_length=1)
    metrics: list[MetricName] = Field(min_length=1)


class AccuracyValueClaim(Strict):
    """Printed accuracies of a recognizer are reached within the tolerance."""

    kind: Literal["accuracy_value"]
    system: str
    fractions: list[float] = Field(min_length=1)


class AccuracyClaim(Better):
    """Accuracy is higher at each fraction of the frames, over all activities or in each of some groups."""

    kind: Literal["accuracy"]
    fractions: list[float] = Field(min_length=1)
    groups: list[str] = Field([], description="groups of Table 1; empty: all activities, as in Table 3")
    pooled: bool = Field(False, description="one accuracy over the clips of all `groups`, not one per group")
    by: float = Field(0, ge=0, description="better by more than this many points")

    @property
    def sets(self) -> list[list[str]]:
        """The groups of each comparison; an empty list for all activities."""
        return [self.groups] if self.pooled or not self.groups else [[group] for group in self.groups]

    @property
    def readings(self) -> list[Reading]:
        """How a clip counts as correct; the paper does not say how for groups, so both must hold."""
        return ["top1", "group"] if self.groups else ["top1"]


class GroupGainClaim(Better):
    """The lead in accuracy is greater over the clips of some groups than over those of others."""

    kind: Literal["group_gain"]
    fractions: list[float] = Field(min_length=1)
    more: list[str] = Field(min_length=1)
    less: list[str] = Field(min_length=1)


class CountClaim(Better):
    """Fewer parameters or multiplications per step than `factor` times the others', at the paper's sizes."""

    kind: Literal["count"]
    what: Literal["parameters", "multiplications"]
    dataset: str
    factor: PositiveFloat = 1.0


class TimeClaim(Better):
    """At most `factor` times the others' training time, at the paper's sizes, on each measured device."""

    kind: Literal["time"]
    dataset: str
    factor: PositiveFloat = 1.0
    optimized: bool = Field(False, description="use the paper's times of its optimized code")
    exists: bool = Field(
        False, description="the claim holds if one measured device shows it; no device contradicts it"
    )


class BenchmarkClaim(Strict):
    """A value in one row of a benchmark is at most `factor` times that in another row."""

    kind: Literal["benchmark"]
    file: str = Field(description="how the file's name in benchmarks/results begins")
    column: str
    better: dict[str, str] = Field(description="cells that choose the row")
    than: dict[str, str]
    words: str = Field(description="what is compared, in words")
    factor: PositiveFloat = 1.0
    timed: bool = Field(False, description="whether the column is a measured time, not a count")


class GrowthClaim(Strict):
    """Parameters or multiplications of one layer grow with the order by a given law, counted exactly."""

    kind: Literal["growth"]
    what: Literal["parameters", "multiplications"]
    system: str
    law: Literal["linear", "cubic", "exponential"]
    orders: list[PositiveInt] = Field(min_length=4)


Basis = Literal["training", "counting", "timing", "undecidable"]
Comparison = Annotated[
    MetricClaim
    | GainClaim
    | GapClaim
    | ValueClaim
    | AccuracyClaim
    | AccuracyValueClaim
    | GroupGainClaim
    | CountClaim
    | GrowthClaim
    | TimeClaim
    | BenchmarkClaim,
    Field(discriminator="kind"),
]


class Claim(Strict):
    """One claim; it holds if all its comparisons do."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    topic: Topic
    place: str = Field(description="section or table of the paper")
    statement: str = Field(description="the claim in our words")
    comparisons: list[Comparison] = []
    undecidable: str = Field("", description="why no program can decide it; there are no comparisons then")
    proxy: str = Field("", description="how the comparisons differ from the claim, if they do")
    note: str = Field("", description="a reservation about the paper's values")
    needs: str = Field("", description="what is needed to decide it, besides training")

    @property
    def basis(self) -> Basis:
        """How the claim is decided, the same for all its comparisons."""
        return basis_of(self.comparisons[0]) if self.comparisons else "undecidable"


def basis_of(comparison: Comparison) -> Basis:
    """Return how a comparison is decided."""
    if isinstance(comparison, CountClaim | GrowthClaim):
        return "counting"
    if isinstance(comparison, BenchmarkClaim):
        return "timing" if comparison.timed else "counting"
    return "timing" if isinstance(comparison, TimeClaim) else "training"


class TableRow(Strict):
    """A row of Table 4."""

    filters: str
    row: str
    reading: str = ""


class Claims(Strict):
    """The content of claims.yaml."""

    ablations: dict[str, TableRow] = Field(
        {}, description="names for rows of Table 4, used like names of models"
    )
    printed_only: dict[str, str] = Field(
        {}, description="names for rows of the paper's tables whose models are not implemented here"
    )
    margin: PositiveFloat = Field(
        0.2, description="differences below this share of the paper's smallest lead count as none"
    )
    tolerance: PositiveFloat = Field(
        0.5, description="tolerance for values, as a share of the paper's smallest lead"
    )
    claims: list[Claim] = Field(min_length=1)


@dataclass(frozen=True)
class Catalogue:
    """The claims, and the paper's settings that they refer to.

    Attributes:
        claims: all of them.
        paper: the settings of the paper's scale.
    """

    claims: Claims
    paper: Settings

    def title(self, name: str) -> str:
        """Return a model's name in tables."""
        if row := self.claims.ablations.get(name):
            return f"{row.filters}, {row.row}" + (f" ({row.reading})" if row.reading else "")
        if name in self.claims.printed_only:
            return self.claims.printed_only[name].rstrip("*")
        return self.paper.systems[name].title

    def ablation(self, settings: Settings, dataset: str, name: str) -> Ablation | None:
        """Return a scale's ablation that matches a named row of Table 4, None if there is none."""
        row = self.claims.ablations[name]
        for ablation in settings.experiments[dataset].ablations:
            if (ablation.filters, ablation.row, ablation.reading) == (row.filters, row.row, row.reading):
                return ablation
        return None


def load_claims(path: Path, paper: Settings, groups: set[str]) -> Catalogue:
    """Return the claims of a YAML file.

    Args:
        path: data/paper/claims.yaml.
        paper: the settings of the paper's scale, with the models and data sets that claims name.
        groups: the groups of activities in Table 1.

    Raises:
        UserError: the file is missing or invalid; the message names the file, the claim and the setting.
    """
    content = read_yaml(path)
    try:
        claims = Claims.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_one_line(error, content)}") from None
    seen: set[str] = set()
    for claim in claims.claims:
        where = f"{path}: claim {claim.id!r}"
        if claim.id in seen:
            raise UserError(f"{where}: the id occurs twice; change one of them")
        seen.add(claim.id)
        if bool(claim.comparisons) == bool(claim.undecidable):
            raise UserError(f"{where}: has both or neither of comparisons and undecidable; give one of them")
        if len({basis_of(comparison) for comparison in claim.comparisons}) > 1:
            raise UserError(f"{where}: mixes training, counts and times; split it into one claim for each")
        try:
            for i, comparison in enumerate(claim.comparisons):
                _check(comparison, f"comparisons.{i}", claims, paper, groups)
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
    return Catalogue(claims, paper)


def _check(comparison: Comparison, where: str, claims: Claims, paper: Settings, groups: set[str]) -> None:
    if isinstance(comparison, BenchmarkClaim):
        return
    systems = dict.fromkeys([*paper.systems, *claims.ablations, *claims.printed_only])
    if isinstance(comparison, Better):
        require_known(comparison.better, systems, f"{where}.better: system")
        for name in comparison.than:
            require_known(name, systems, f"{where}.than: system")
    else:
        require_known(comparison.system, systems, f"{where}.system: system")
    for name in _groups_of(comparison):
        require_known(name, dict.fromkeys(sorted(groups)), f"{where}: group")
    dataset = getattr(comparison, "dataset", None)
    if dataset is None:
        return
    require_known(dataset, paper.datasets, f"{where}.dataset: data set")
    possible = paper.datasets[dataset].test_horizons
    if not paper.datasets[dataset].generated and (
        isinstance(comparison, GainClaim) or getattr(comparison, "after", None)
    ):
        raise ValueError(f"{where}: {dataset} has different windows at each horizon")
    for horizon in _horizons_of(comparison):
        if horizon not in possible:
            raise ValueError(f"{where}: {dataset} is not evaluated at {horizon} frames, but at {possible}")


def _groups_of(comparison: Comparison) -> Iterator[str]:
    if isinstance(comparison, AccuracyClaim):
        yield from comparison.groups
    elif isinstance(comparison, GroupGainClaim):
        yield from [*comparison.more, *comparison.less]


def _horizons_of(comparison: Comparison) -> Iterator[int]:
    if isinstance(comparison, ValueClaim):
        yield from comparison.horizons
    elif isinstance(comparison, MetricClaim):
        yield from [*comparison.horizons, *([comparison.after] if comparison.after else [])]
    elif isinstance(comparison, GainClaim):
        yield from [comparison.more_at, comparison.less_at]


KINDS = {
    *("metric", "gain", "gap", "value", "accuracy", "accuracy_value", "group_gain"),
    *("count", "growth", "time", "benchmark"),
}


def _one_line(error: ValidationError, content: Any) -> str:
    """Return the first error, with the claim's id instead of its number."""
    first = error.errors()[0]
    keys = list(first["loc"])
    keys += [first["ctx"]["key"]] if first["type"] == "unknown_setting" else []
    where = ""
    if len(keys) > 1 and keys[0] == "claims" and isinstance(keys[1], int):
        claim = content["claims"][keys[1]]
        name = claim.get("id") if isinstance(claim, dict) else None
        where = f"claim {name!r}: " if name else f"claim number {keys[1] + 1}: "
        # Pydantic adds the kind of the comparison, which is not a key in the file.
        keys = [key for key in keys[2:] if key not in KINDS]
    given = (
        "" if first["type"] in ("value_error", "unknown_setting", "missing") else f", not {first['input']!r}"
    )
    setting = ".".join(map(str, keys))
    return f"{where}{setting + ': ' if setting else ''}{first['msg'].removeprefix('Value error, ')}{given}"

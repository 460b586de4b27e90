"""Experiments on a data set: rows of Tables 2 and 4, and the grid that is searched."""

import itertools
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from convttlstm.config.base import OddInt, Seed, Strict, distinct
from convttlstm.config.models import SYMBOLS


class Ablation(Strict):
    """A row of Table 4: a system, with settings that differ from the catalogue's."""

    system: str
    kernel_size: OddInt | None = None
    factor_size: OddInt | None = None
    order: PositiveInt | None = None
    rank: PositiveInt | None = None
    steps: PositiveInt | None = None
    filters: str = Field(description="the row's filters in data/paper/table4.csv")
    row: str = Field(
        description="the row's order in data/paper/table4.csv; for others the paper prints no numbers"
    )
    reading: str = Field("", description="how the row is read where the paper is ambiguous")

    def hyper(self) -> dict[str, int]:
        """Return the settings that are named."""
        return {name: value for name in SYMBOLS if (value := getattr(self, name)) is not None}


class Grid(Strict):
    """All combinations of the listed values for one system; those with M < N are left out."""

    system: str
    role: str | None = Field(
        None,
        description="the system that the winner stands for; grids of one role compete. Null: its own",
    )
    kernel_size: list[OddInt] | None = None
    order: list[PositiveInt] | None = None
    rank: list[PositiveInt] | None = None
    steps: list[PositiveInt] | None = None

    def points(self) -> Iterator[dict[str, int]]:
        """Yield the settings of each grid point."""
        axes = {name: values for name in SYMBOLS if (values := getattr(self, name, None)) is not None}
        for values in itertools.product(*axes.values()):
            point = dict(zip(axes, values, strict=True))
            if not ("order" in point and "steps" in point) or point["order"] <= point["steps"]:
                yield point


class Halving(Strict):
    """Successive halving: most grid points are dropped early (Jamieson and Talwalkar, AISTATS 2016)."""

    epochs: PositiveInt = Field(description="epochs of every point in the first round")
    factor: int = Field(
        4, ge=2, description="each round keeps one point in `factor`, for `factor` times the epochs"
    )


class Experiment(Strict):
    """The runs and tables of one data set."""

    table: list[str] = Field(min_length=1, description="models of Table 2, evaluated on the test split")
    ablations: list[Ablation] = Field([], description="rows of Table 4, evaluated on the test split")
    grid: list[Grid] = Field([], description="searched by validation loss")
    halving: Halving | None = Field(None, description="null trains every point of the grid to its end")
    finalists: Annotated[list[Seed], AfterValidator(distinct)] = Field(
        [], description="seeds of the grid's winners, which are trained and evaluated on the test split"
    )
    seeds: Annotated[list[Seed], AfterValidator(distinct)] = Field([0], min_length=1)
    published: list[str] = Field(
        [], description="models of `table` whose weights of the first seed are published with the results"
    )
    training: dict[str, Any] = Field({}, description="settings that differ from the scale's training")

    def roles(self) -> list[str]:
        """Return the models that the grid is searched for."""
        return list(dict.fromkeys(grid.role or grid.system for grid in self.grid))

    def systems(self) -> dict[str, str]:
        """Return the models that the experiment names, and where each is first named."""
        named = [(system, "table") for system in self.table]
        named += [(system, "published") for system in self.published]
        named += [(row.system, "ablations") for row in self.ablations]
        named += [(name, "grid") for grid in self.grid for name in (grid.system, grid.role) if name]
        first: dict[str, str] = {}
        for system, where in named:
            first.setdefault(system, where)
        return first

    @model_validator(mode="after")
    def _searched_once(self) -> "Experiment":
        """Refuse a point that belongs to two roles in a search in rounds, as each role has its own."""
        first: dict[tuple[str, str], str] = {}
        for grid in self.grid if self.halving else []:
            for point in grid.points():
                role = grid.role or grid.system
                if (other := first.setdefault((grid.system, str(sorted(point.items()))), role)) != role:
                    raise ValueError(f"halving: {grid.system} is in the grids of {other} and of {role}")
        return self

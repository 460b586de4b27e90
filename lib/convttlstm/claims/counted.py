"""Evidence for comparisons, from counts and measured times."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from convttlstm.claims.catalogue import (
    BenchmarkClaim,
    Better,
    Catalogue,
    CountClaim,
    GrowthClaim,
    TimeClaim,
)
from convttlstm.claims.evidence import TIMING_NOISE, Evidence, Missing, exactly, ratio
from convttlstm.claims.growth import grows, layer_parameters
from convttlstm.files import UserError
from convttlstm.planning.costs import BASELINE, OURS, benchmarked
from convttlstm.results import Scale, read_table

# The quantity, our times and theirs, their unit, and the device.
Timing = tuple[str, tuple[list[float], list[float]], str, str]
LARGE = 10_000  # values from here on are written in full


class Costs:
    """Counts of the paper's models, and measured times.

    Args:
        scale: the scale; its folder holds complexity.csv.
        catalogue: the claims.

    Raises:
        UserError: complexity.csv is missing or damaged.
    """

    def __init__(self, scale: Scale, catalogue: Catalogue) -> None:
        self.scale, self.catalogue = scale, catalogue
        counts = read_table(scale.folder / "complexity.csv", ["scale", "system", "parameters"])
        self.counts = counts[counts["scale"] == "paper"].set_index("system")

    def count(self, claim: CountClaim, other: str) -> Iterator[Evidence]:
        """Yield a comparison of parameters or multiplications at the paper's sizes."""
        size = self.catalogue.paper.datasets[claim.dataset].size
        parameters = claim.what == "parameters"
        column = "parameters" if parameters else f"multiplications_{size}"
        ours, theirs = (self._counted(name, column) for name in (claim.better, other))
        bound = claim.factor * theirs
        lead = bound - ours
        sign = "<" if lead > 0 else "=" if lead == 0 else ">"
        times = "" if claim.factor == 1 else f"{claim.factor:g} x "
        at = "" if parameters else f" at {size} x {size} pixels"
        lead = lead or -1.0  # equal is not fewer
        found = Evidence(claim.what, f"{at}, {against(self.catalogue, claim, other)}", exactly(lead))
        found = replace(found, unit=bound)
        yield replace(found, text=f"{ours:,} {sign} {times}{theirs:,} {claim.what}", dataset=claim.dataset)

    def growth(self, claim: GrowthClaim) -> Iterator[Evidence]:
        """Yield a comparison of one layer's size at successive orders with a law of growth."""
        counts = [layer_parameters(claim.system, order) for order in claim.orders]
        lead = 1.0 if grows(counts, claim.law) else -1.0
        orders, sizes = ", ".join(map(str, claim.orders)), ", ".join(f"{count:,}" for count in counts)
        where = f" of a layer of {self.catalogue.title(claim.system)} at N = {orders}"
        # Every parameter of a convolution is multiplied once at each pixel.
        what = "multiplications per pixel" if claim.what == "multiplications" else claim.what
        yield Evidence(what, where, exactly(lead), text=f"{sizes} {what}")

    def _counted(self, name: str, column: str) -> int:
        if name not in self.counts.index or not self.counts.loc[name].get(column):
            raise Missing(f"complexity.csv does not count {self.catalogue.title(name)} at the paper's size")
        return int(self.counts.loc[name, column])

    def time(self, claim: TimeClaim, other: str) -> Iterator[Evidence]:
        """Yield a comparison for each measured device, precision and code, at the paper's size."""
        size = self.catalogue.paper.datasets[claim.dataset].size
        where = f" at {size} x {size} pixels, {against(self.catalogue, claim, other)}"
        for name in (claim.better, other):
            if name in self.catalogue.claims.printed_only:
                raise Missing(f"the paper's {self.catalogue.title(name)} is not among the models here")
        for what, pair, unit, device in self._timings(claim, other, str(size)):
            lead = exactly(*ratio(*pair, claim.factor, TIMING_NOISE))
            text = f"{what}: {_in_words(*pair, unit, device)}"
            found = Evidence(what, where, lead, text=text, dataset=claim.dataset)
            yield replace(found, unit=claim.factor)

    def _timings(self, claim: TimeClaim, other: str, size: str) -> Iterator[Timing]:
        for path in self._files("system_times"):
            table = read_table(path, ["device", "system", "size", "training_seconds"])
            ours, theirs = (
                _chosen(table, {"system": name, "size": size}, "training_seconds", path)
                for name in (claim.better, other)
            )
            yield "training time", (ours, theirs), "seconds a sequence", _conditions(table)
        if {claim.better, other} == {BASELINE, OURS}:
            for path in self.scale.measured("train_step"):
                for measure in benchmarked(path, claim.dataset, size):
                    seconds = {BASELINE: measure.conv_lstm, OURS: measure.conv_tt_lstm}
                    pair = [seconds[claim.better]], [seconds[other]]
                    yield measure.what, pair, "seconds", measure.where

    def _files(self, name: str) -> list[Path]:
        if not (paths := self.scale.measured(name)):
            raise Missing(f"there is no benchmark {name}-*.csv")
        return paths

    def benchmark(self, claim: BenchmarkClaim) -> Iterator[Evidence]:
        """Yield a comparison of two rows of a benchmark; of measured times, one for each device."""
        paths = self._files(claim.file)
        for path in paths if claim.timed else paths[:1]:
            table = read_table(path, [claim.column, *claim.better, *claim.than])
            ours, theirs = (_chosen(table, keys, claim.column, path) for keys in (claim.better, claim.than))
            lead = exactly(*ratio(ours, theirs, claim.factor, TIMING_NOISE if claim.timed else 0.0))
            text = _in_words(ours, theirs, claim.column, _conditions(table) if claim.timed else "")
            yield Evidence(claim.column, f" of {claim.words}", lead, text=text, unit=claim.factor)


def against(catalogue: Catalogue, claim: Better, other: str) -> str:
    """Return the names of the two compared models, for a sentence."""
    return f"{catalogue.title(claim.better)} against {catalogue.title(other)}"


def _in_words(ours: list[float], theirs: list[float], unit: str, conditions: str) -> str:
    """Return the means of a benchmark's values; `conditions` are those of measured times, "" for counts."""
    first, second = sum(ours) / len(ours), sum(theirs) / len(theirs)
    one, other = (f"{value:,.0f}" if value >= LARGE else f"{value:.4g}" for value in (first, second))
    if not conditions:
        return f"{unit} {one} against {other}"
    return f"{one} against {other} {unit} ({first / second:.3g} times, {conditions})"


def _conditions(table: pd.DataFrame) -> str:
    """Return the device of a benchmark, or its conditions where they are stated."""
    return str(table.get("conditions", table.get("device", pd.Series([""]))).iloc[0])


def _chosen(table: pd.DataFrame, keys: dict[str, str], column: str, path: Path) -> list[float]:
    for name, value in keys.items():
        table = table[table[name] == value]
    if table.empty:
        raise UserError(f"{path}: no row with {keys}, which claims.yaml refers to; correct one of them")
    return [float(value) for value in table[column]]

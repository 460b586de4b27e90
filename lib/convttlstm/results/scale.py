"""A scale's settings and results, loaded once."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from convttlstm.config import Settings, as_named_now, load_settings, shown_runs, with_model
from convttlstm.results.files import read_table
from convttlstm.results.predictions import Result, load_result
from convttlstm.results.recognitions import Recognition, load_recognition


@dataclass(frozen=True)
class Scale:
    """A scale, with all results that reports and claims read.

    Attributes:
        name: the scale's name, such as "demo".
        settings: its settings.
        folder: its results.
        paper: folder of the paper's tables and claims.
        benchmarks: folder of measured times and counts.
    """

    name: str
    settings: Settings
    folder: Path
    paper: Path = Path("data/paper")
    benchmarks: Path = Path("benchmarks/results")
    _loaded: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, config: Path, folder: Path | None = None, model: str | None = None) -> "Scale":
        """Return the scale of a settings file, with an external model added if one is named."""
        settings = load_settings(config)
        settings = with_model(settings, model) if model else settings
        return cls(config.stem, settings, folder or Path("results", config.stem))

    def result(self, dataset: str, run: str) -> Any:
        """Return an evaluated run: a `Recognition` for recognition data sets, else a `Result`.

        Raises:
            UserError: a file is missing, damaged, or belongs to another run.
        """
        if (dataset, run) not in self._loaded:
            load = load_recognition if self.settings.datasets[dataset].recognition else load_result
            loaded: Any = load(self.folder, dataset, run)
            config = as_named_now(loaded.config, self.settings)
            self._loaded[dataset, run] = replace(loaded, config=config)
        return self._loaded[dataset, run]

    def predictions(self, dataset: str, runs: list[str]) -> list[Result]:
        """Return evaluated runs that predict frames, in the given order."""
        return [self.result(dataset, run) for run in runs]

    @cached_property
    def recognitions(self) -> list[Recognition]:
        """All evaluated recognizers."""
        datasets = [name for name in self.settings.experiments if self.settings.datasets[name].recognition]
        return [self.result(name, run) for name in datasets for run in shown_runs(self.settings, name)]

    def printed(self, table: int, columns: list[str]) -> pd.DataFrame:
        """Return one of the paper's tables as text."""
        return read_table(self.paper / f"table{table}.csv", columns)

    def measured(self, *names: str) -> list[Path]:
        """Return the CSV files of benchmarks, one for each device."""
        return [path for name in names for path in sorted(self.benchmarks.glob(f"{name}-*.csv"))]

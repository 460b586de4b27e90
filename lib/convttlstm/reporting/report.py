"""Reports: each is declared in a module of its own, which `find_reports` finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from convttlstm.config import Settings
from convttlstm.files import UserError, with_suffix, write_text
from convttlstm.results import Scale, read_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from convttlstm.markup import Document

Runs = list[Any]  # of Result, or of Recognition where activities are recognized
Select = Callable[[Settings], list[str]]


def every(settings: Settings) -> list[str]:
    """Return all data sets of a scale."""
    return list(settings.experiments)


def predicted(settings: Settings) -> list[str]:
    """Return the data sets whose frames are predicted."""
    return [name for name in settings.experiments if not settings.datasets[name].recognition]


def recognized(settings: Settings) -> list[str]:
    """Return the data sets whose activities are recognized."""
    return [name for name in settings.experiments if settings.datasets[name].recognition]


def ablated(settings: Settings) -> list[str]:
    """Return the data sets with ablations."""
    return [name for name in settings.experiments if settings.experiments[name].ablations]


def searched(settings: Settings) -> list[str]:
    """Return the data sets with a grid of configurations."""
    return [name for name in settings.experiments if settings.experiments[name].grid]


def no_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs of a report that reads none."""
    return []


def nothing(scale: Scale, dataset: str) -> list[Path]:
    """Return the further files of a report that reads none."""
    return []


@dataclass(frozen=True, kw_only=True)
class Report:
    """A table, a figure or another file made from finished runs.

    Attributes:
        name: of the report and its files.
        datasets: its data sets.
        each: whether it is made once for each data set, or once for all.
        runs: the evaluated runs that it reads, of one data set.
        reads: the other files that it reads.
        heading: above it on the page; neighbours with the same heading share it.
        place: its place on the page; None if it is not on the page.
        folded: whether the page shows it folded.
        title: on the page.
        caption: below it.
        alternative: a description for readers who do not see it.
    """

    name: str
    datasets: Select = every
    each: bool = True
    runs: Callable[[Settings, str], list[str]] = no_runs
    reads: Callable[[Scale, str], list[Path]] = nothing
    heading: str = ""
    place: int | None = None
    folded: bool = False
    title: str = ""
    caption: str = ""
    alternative: str = ""

    folder: ClassVar[str] = ""
    suffixes: ClassVar[tuple[str, ...]] = ()

    def made_for(self, settings: Settings) -> list[str]:
        """Return the data sets that it is made for, [""] if it is made once for all."""
        datasets = self.datasets(settings)
        return datasets if self.each else [""] if datasets else []

    def stem(self, dataset: str) -> str:
        """Return its files' path below the scale's folder, without suffix."""
        return f"{self.folder}/{self.name}_{dataset}" if self.each else f"{self.folder}/{self.name}"

    def files(self, settings: Settings, dataset: str) -> list[str]:
        """Return the files that it writes, below the scale's folder."""
        return [self.stem(dataset) + suffix for suffix in self.suffixes]

    def named_runs(self, settings: Settings, dataset: str) -> list[tuple[str, str]]:
        """Return the data set and the name of each run that it reads."""
        datasets = [dataset] if self.each else self.datasets(settings)
        return [(name, run) for name in datasets for run in self.runs(settings, name)]

    def inputs(self, scale: Scale, dataset: str) -> list[Path]:
        """Return the files that must be there before it can be made."""
        named = self.named_runs(scale.settings, dataset)
        metrics = [scale.folder / "runs" / name / run / "metrics.json" for name, run in named]
        return metrics + self.reads(scale, dataset)

    def load(self, scale: Scale, dataset: str) -> Runs:
        """Return the runs that it reads.

        Raises:
            UserError: one is missing or damaged.
        """
        return [scale.result(name, run) for name, run in self.named_runs(scale.settings, dataset)]

    def write(self, scale: Scale, dataset: str, stem: Path) -> None:
        """Write its files.

        Args:
            scale: the scale.
            dataset: the data set, "" for a report that is made once for all.
            stem: path of the files without suffix.

        Raises:
            UserError: a file that is read is missing or damaged.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TableReport(Report):
    """Rows as CSV; and, from the CSV, tables to read as Markdown, LaTeX and HTML.

    Attributes:
        rows: makes the rows, from the scale, the data set and the loaded runs.
        document: makes the tables, from the scale, the data set and the CSV read as text.
        columns: that the CSV must have.
    """

    rows: Callable[[Scale, str, Runs], "pd.DataFrame"]
    document: Callable[[Scale, str, "pd.DataFrame"], "Document"]
    columns: list[str] = field(default_factory=list)

    folder: ClassVar[str] = "tables"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".md")  # .tex is written too, and not in git

    def write(self, scale: Scale, dataset: str, stem: Path) -> None:
        """Write .csv, .md and .tex; see `Report.write`."""
        rows = self.rows(scale, dataset, self.load(scale, dataset))
        write_text(with_suffix(stem, ".csv"), rows.to_csv(index=False))
        document = self.read(scale, dataset, stem)
        write_text(with_suffix(stem, ".md"), document.to_markdown())
        write_text(with_suffix(stem, ".tex"), document.to_latex())

    def read(self, scale: Scale, dataset: str, stem: Path) -> "Document":
        """Return the tables that the CSV gives.

        Raises:
            UserError: it is missing or damaged.
        """
        return self.document(scale, dataset, read_table(with_suffix(stem, ".csv"), self.columns))


@dataclass(frozen=True, kw_only=True)
class FigureReport(Report):
    """A figure, with its caption as a text file.

    Attributes:
        draw: makes the figure and further lines of its caption, from the scale, the data set and the
            loaded runs.
        style: matplotlib's settings, on top of `drawing.STYLE`.
        keeps_colours: whether its colours mean something (frames of videos, heat maps), so that a dark page
            must not invert them.
        rows: makes the numbers that are drawn, for a CSV file; None for no such file.
        marks: makes what the page draws itself; None if it shows the picture.
    """

    draw: Callable[[Scale, str, Runs], "tuple[Figure, str]"]
    style: dict[str, Any] = field(default_factory=dict)
    keeps_colours: bool = False
    rows: Callable[[Runs], "pd.DataFrame"] | None = None
    marks: Callable[[Scale], dict[str, Any]] | None = None

    folder: ClassVar[str] = "figures"
    suffixes: ClassVar[tuple[str, ...]] = (".svg", ".txt")  # .pdf is written too, and not in git

    def files(self, settings: Settings, dataset: str) -> list[str]:
        """Return the files that it writes, below the scale's folder."""
        return super().files(settings, dataset) + ([f"{self.stem(dataset)}.csv"] if self.rows else [])

    def write(self, scale: Scale, dataset: str, stem: Path) -> None:
        """Write .svg and .pdf, which name the scale, the caption as .txt and, where numbers are kept, .csv.

        See `Report.write`.
        """
        from convttlstm.reporting.cells import sentences
        from convttlstm.reporting.drawing import save, styled

        loaded = self.load(scale, dataset)
        with styled(self.style):
            figure, note = self.draw(scale, dataset, loaded)
            save(figure, _mark(scale, dataset, loaded), stem)
        write_text(with_suffix(stem, ".txt"), sentences(self.caption, note) + "\n")
        if self.rows:
            write_text(with_suffix(stem, ".csv"), self.rows(loaded).to_csv(index=False))


def _mark(scale: Scale, dataset: str, loaded: Runs) -> str:
    """Return the label of a figure that is not of the paper's scale and data, else ""."""
    name = dataset or (loaded[0].config.dataset_name if loaded else "")
    if not name:  # counts, which are the same at every scale
        return ""
    label = "" if scale.name == "paper" else scale.settings.label.partition(" (")[0]
    return ", ".join(part for part in (label, scale.settings.datasets[name].stand_in) if part)


@dataclass(frozen=True, kw_only=True)
class FileReport(Report):
    """Files of any kind.

    Attributes:
        make: writes them, from the scale, the data set and the loaded runs, below a folder.
        names: the files, below the scale's folder.
    """

    make: Callable[[Scale, str, Runs, Path], None]
    names: Callable[[Settings, str], Sequence[str]]

    def stem(self, dataset: str) -> str:
        """Return the scale's own folder: the names of the files are their paths below it."""
        return "."

    def files(self, settings: Settings, dataset: str) -> list[str]:
        """Return the files that it writes, below the scale's folder."""
        return list(self.names(settings, dataset))

    def write(self, scale: Scale, dataset: str, stem: Path) -> None:
        """Write the files below `stem`; see `Report.write`."""
        self.make(scale, dataset, self.load(scale, dataset), stem)


def write_report(report: Report, scale: Scale, dataset: str, folder: Path) -> list[Path]:
    """Write a report's files below `folder`, the scale's own or another; return their paths.

    Raises:
        UserError: the scale has no such data set, or a file that is read is missing or damaged.
    """
    possible = report.made_for(scale.settings)
    if dataset not in possible:
        raise UserError(
            f"report {report.name} is made {_kinds(possible)} at scale {scale.name}, not for {dataset!r}"
        )
    report.write(scale, dataset, folder / report.stem(dataset))
    return [folder / name for name in report.files(scale.settings, dataset)]


def _kinds(possible: list[str]) -> str:
    if possible == [""]:
        return "without --dataset"
    return f"with --dataset {' or '.join(possible)}" if possible else "for no data set"

"""Loss curves: training and validation loss by epoch, and the sampling ratio."""

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from convttlstm.config import table_runs
from convttlstm.files import UserError
from convttlstm.reporting.drawing import COLUMN, Look, Series, label_ends, series_of
from convttlstm.reporting.report import FigureReport, Runs, predicted
from convttlstm.reporting.runs import without_short
from convttlstm.results import Scale


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return the loss curves; only runs with the paper's loss share an axis.

    Raises:
        UserError: no run is trained.
    """
    full, note = without_short(loaded)
    series = series_of([result for result in full if result.config.training.recipe == "paper"])
    drawn = [one for one in series if one.runs[0].history is not None]
    if not drawn:
        raise UserError(f"{scale.folder}: no run of {dataset} is trained; there is no loss to draw")
    legend = "strong: validation, dot: the weights that are evaluated; faint: training"
    several = "; a line for each seed" if any(len(series.runs) > 1 for series in drawn) else ""
    return draw_loss_curves(drawn), f"{legend}{several}\n{note}"


def draw_loss_curves(drawn: list[Series]) -> Figure:
    """Return the losses of trained models, all seeds of one alike, above the sampling ratios."""
    figure = Figure(figsize=(COLUMN, 3))
    losses, ratios = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    ends: list[tuple[float, float, Look]] = []
    for i, series in enumerate(drawn):
        style = {"color": series.look.colour, "linestyle": series.look.dash}
        for run in series.runs:
            assert run.history is not None
            epochs, validation = run.history["epoch"], run.history["validation_loss"]
            losses.plot(epochs, run.history["train_loss"], **style, lw=0.6, alpha=0.5)
            losses.plot(epochs, validation, **style, lw=0.9)
            best = validation.idxmin()
            losses.plot(epochs[best], validation[best], series.look.marker, ms=3.5, color=series.look.colour)
            # Thinner lines above wider ones keep equal ratios visible.
            ratios.plot(epochs, run.history["sampling_ratio"], **style, lw=max(0.7, 2.8 - 0.9 * i))
        finals = [(run.history["epoch"].iloc[-1], run.history["validation_loss"].iloc[-1])
                  for run in series.runs if run.history is not None]  # fmt: skip
        last, loss = np.mean(finals, axis=0)
        ends.append((last, loss, series.look))
    losses.set_ylabel("loss")
    ratios.set(xlabel="epoch", ylabel="sampling\nratio", ylim=(-0.08, 1.08))
    ratios.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    label_ends(losses, ends)
    return figure


REPORT = FigureReport(
    name="loss",
    datasets=predicted,
    runs=table_runs,
    heading="Training",
    place=80,
    folded=True,
    title="Loss curves",
    caption="Mean absolute plus mean squared error over the outputs of a sequence. For validation no true "
    "frame is fed back; in training, one is with the probability in the lower panel.",
    alternative="Lines that show the loss of each run by epoch, and the sampling ratio below.",
    draw=draw,
)

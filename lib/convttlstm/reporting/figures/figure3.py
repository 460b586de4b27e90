"""Figure 3 as a film strip: the truth and each prediction of the median kept sequence.

Columns are every fifth frame, so that t = 1 and the first predicted frame, which the paper shows,
are among them; the step of five is inferred [I].
"""

from convttlstm.config import first_runs
from convttlstm.reporting.report import FigureReport, predicted
from convttlstm.reporting.strips import DENSITY, draw_ranks

REPORT = FigureReport(
    name="figure3",
    datasets=predicted,
    runs=first_runs,
    heading="Figure 3: predictions",
    place=30,
    folded=True,
    title="Film strip",
    caption="Every fifth frame of one test sequence, the median of those kept; of each model its first seed.",
    alternative="Rows of frames: the truth on top, each model's prediction below.",
    draw=lambda scale, dataset, loaded: draw_ranks(loaded, ["median"]),
    style=DENSITY,
    keeps_colours=True,
)

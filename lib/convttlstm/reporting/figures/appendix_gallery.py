"""The best, the median and the worst kept sequence as film strips, as in Appendix C."""

from convttlstm.config import first_runs
from convttlstm.reporting.report import FigureReport, predicted
from convttlstm.reporting.strips import DENSITY, draw_ranks

REPORT = FigureReport(
    name="appendix_gallery",
    datasets=predicted,
    runs=first_runs,
    heading="Figure 3: predictions",
    place=31,
    folded=True,
    title="Gallery",
    caption="Best, median and worst of the test sequences kept; of each model its first seed.",
    alternative="Three film strips, each with the truth on top and the predictions below.",
    draw=lambda scale, dataset, loaded: draw_ranks(loaded, ["best", "median", "worst"]),
    style=DENSITY,
    keeps_colours=True,
)

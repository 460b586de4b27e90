"""MSE, SSIM and LPIPS of each predicted frame, as differences to the first trained model."""

from matplotlib.figure import Figure

from convttlstm.config import table_runs
from convttlstm.files import UserError
from convttlstm.reporting.figures.per_frame import draw_runs
from convttlstm.reporting.report import FigureReport, Runs, predicted
from convttlstm.reporting.runs import without_short
from convttlstm.results import Scale


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return the curves of the trained models, less the first one's mean.

    Raises:
        UserError: no model is trained in full.
    """
    full, note = without_short([result for result in loaded if result.config.trained])
    if not full:
        raise UserError(f"{scale.folder}: no model of {dataset} is trained in full; there is nothing to draw")
    return draw_runs(full, f"minus the mean of {full[0].config.title}\n{note}", relative=True)


REPORT = FigureReport(
    name="per_frame_differences",
    datasets=predicted,
    runs=table_runs,
    heading="By run and by frame",
    place=70,
    folded=True,
    title="Differences by frame",
    caption="The curves above as differences, to separate models that agree. Below zero is better for MSE "
    "and LPIPS, above zero for SSIM.",
    alternative="Lines that show how much each model's metrics differ from the first's, frame by frame.",
    draw=draw,
)

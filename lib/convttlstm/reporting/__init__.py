"""Tables, figures and the page, made from the files that runs leave behind; never imports torch."""

from collections.abc import Sequence
from pathlib import Path

from convttlstm.files import UserError


def write_report(
    what: str,
    results: Path,
    dataset: str,
    runs: list[str],
    paper: Path,
    output: Path,
    config: Path = Path(),
    times: Sequence[Path] = (),
) -> None:
    """Write one table, figure, animation or page.

    Args:
        what: table2, table4, complexity, figure2, loss, per_frame, example or page.
        results: folder of a scale, such as results/demo.
        dataset: name of the data set; the complexity table needs none.
        runs: ids of evaluated runs, in the order to show.
        paper: folder of the paper's own numbers.
        output: a file for example and page, else a path without suffix.
        config: the scale's settings, which say what Table 4's rows are.
        times: CSV files of measured times, for the complexity table and the page.

    Raises:
        UserError: `what` is unknown, or a file that is read is missing or damaged.
    """
    # Imported here, so that a table needs no matplotlib.
    if what == "table2":
        from convttlstm.reporting.table2 import write_table2

        write_table2(results, dataset, runs, paper / "table2.csv", output)
    elif what == "table4":
        from convttlstm.config import load_settings
        from convttlstm.reporting.table4 import write_table4

        write_table4(load_settings(config), results, dataset, runs, paper / "table4.csv", output)
    elif what == "complexity":
        from convttlstm.reporting.costs import write_complexity

        write_complexity(results, times, output)
    elif what == "figure2":
        from convttlstm.reporting.figures import write_figure2

        write_figure2(results, dataset, runs, paper / "table2.csv", output)
    elif what == "loss":
        from convttlstm.reporting.figures import write_loss_curves

        write_loss_curves(results, dataset, runs, output)
    elif what == "per_frame":
        from convttlstm.reporting.figures import write_per_frame

        write_per_frame(results, dataset, runs, output)
    elif what == "example":
        from convttlstm.reporting.animation import write_example

        write_example(results, dataset, runs, output)
    elif what == "page":
        from convttlstm.reporting.page import write_page

        write_page(results, dataset, runs, times, output)
    else:
        raise UserError(f"no report is called {what!r}")

"""Tables, figures and the page, made from the files that runs leave behind; never imports torch."""

from collections.abc import Sequence
from pathlib import Path

from convttlstm.config import Settings, settings_of_scale, shown_runs
from convttlstm.files import UserError


def write_report(
    what: str,
    results: Path,
    dataset: str,
    runs: list[str],
    paper: Path,
    output: Path,
    settings: Settings | None = None,
    times: Sequence[Path] = (),
) -> None:
    """Write one table, figure, animation or page.

    Args:
        what: table1, table2, table3, table4, grid, complexity, orders, runtime, figure2, loss, per_frame,
            seeds, protocols, strip, gallery, groups, figure4, activities, confusion, example, weights,
            summary, claims or page.
        results: folder of a scale, such as results/demo.
        dataset: name of the data set; the complexity table, claims, the page and reports on recognition
            need none.
        runs: ids of evaluated runs, in the order to show; the page shows those of Table 2.
        paper: folder of the paper's own numbers.
        output: a file for example, weights and page, the results' folder for grid, runtime and summary, else
            a path without suffix.
        settings: of the scale, which say what Table 4's rows, the page's data sets, the recognisers and the
            grid are.
        times: CSV files of measured times, for the complexity table, runtime and the page; for claims, of
            benchmarks.

    Raises:
        UserError: `what` is unknown, or a file that is read is missing or damaged.
    """
    # Imported here, so that a table needs no matplotlib.
    if what == "table2":
        from convttlstm.reporting.table2 import write_table2

        write_table2(results, dataset, runs, paper / "table2.csv", output)
    elif what == "table4":
        from convttlstm.reporting.table4 import write_table4

        write_table4(_needed(settings), results, dataset, runs, paper / "table4.csv", output)
    elif what == "grid":
        from convttlstm.reporting.grid import write_grid

        write_grid(results, _needed(settings), dataset, output)
    elif what == "complexity":
        from convttlstm.reporting.costs import write_complexity

        write_complexity(results, times, output)
    elif what == "orders":
        from convttlstm.reporting.cost_figures import write_orders

        write_orders(results, output)
    elif what == "runtime":
        from convttlstm.reporting.runtime import write_runtime

        write_runtime(results, _needed(settings), times, paper / "table2.csv", output)
    elif what == "seeds":
        from convttlstm.reporting.seeds import write_seeds

        write_seeds(_needed(settings), results, dataset, runs, paper, output)
    elif what == "protocols":
        from convttlstm.reporting.protocols import write_protocols

        write_protocols(results, dataset, runs, output)
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
    elif what == "strip":
        from convttlstm.reporting.strips import write_strip

        write_strip(results, dataset, runs, output)
    elif what == "gallery":
        from convttlstm.reporting.strips import write_gallery

        write_gallery(results, dataset, runs, output)
    elif what == "groups":
        from convttlstm.reporting.strips import write_groups

        write_groups(results, dataset, runs, "action", output)
    elif what == "table1":
        from convttlstm.reporting.recognition import write_table1

        write_table1(results, _needed(settings), paper / "table1.csv", output)
    elif what == "table3":
        from convttlstm.reporting.recognition import write_table3

        write_table3(results, _needed(settings), paper / "table3.csv", output)
    elif what == "figure4":
        from convttlstm.reporting.activities import write_figure4

        write_figure4(results, _needed(settings), output)
    elif what == "activities":
        from convttlstm.reporting.activities import write_activities

        write_activities(results, _needed(settings), output)
    elif what == "confusion":
        from convttlstm.reporting.activities import write_confusion

        write_confusion(results, _needed(settings), output)
    elif what == "weights":
        from convttlstm.reporting.weights import write_weights

        write_weights(_needed(settings), results, output)
    elif what == "summary":
        from convttlstm.reporting.summary import write_summary

        write_summary(results, _needed(settings))
    elif what == "claims":
        from convttlstm.reporting.claim_table import write_claims

        write_claims(results, _needed(settings), settings_of_scale("paper"), times, paper, output)
    elif what == "page":
        from convttlstm.reporting.page import write_page
        from convttlstm.reporting.recognition import load_recognitions

        scale = _needed(settings)
        predicted = [name for name in scale.experiments if not scale.datasets[name].recognition]
        shown = {name: shown_runs(scale, name) for name in predicted}
        write_page(results, shown, times, output, load_recognitions(results, scale))
    else:
        raise UserError(f"no report is called {what!r}")


def _needed(settings: Settings | None) -> Settings:
    if settings is None:
        raise UserError("this report needs the scale's settings: give --config")
    return settings

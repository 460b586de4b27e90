"""Every kind of table goes through LaTeX: without an error, within the page, in letters that can be read."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from convttlstm.config import load_settings
from convttlstm.markup import Row, Table, latex_code, to_latex
from convttlstm.reporting import find_report
from convttlstm.reporting.tables.grid import grid_table
from convttlstm.results import Scale, Selection
from tests.made_up_runs import DATASET, MSE, ROOT, RUNS, SELECTION, make_results, make_run
from tests.reports import write_report

pytestmark = pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex: `tests/install.sh`")

DEMO = ROOT / "results/demo/tables"
# A paper's page. Each table prints its own width, and that of the line to which it is shrunk.
PREAMBLE = r"""\documentclass{article}
\usepackage[letterpaper, textwidth=5.5in, textheight=9in]{geometry}
\usepackage{booktabs, graphicx, rotating}
\newsavebox\kept\let\shrunk\resizebox
\renewcommand\resizebox[3]{\sbox\kept{#3}\typeout{kept \the\wd\kept\space \the\linewidth}\shrunk{#1}{#2}{#3}}
\begin{document}
"""


def compile_latex(folder: Path, text: str) -> tuple[list[float], str]:
    """Return how far LaTeX shrinks each table, and its output."""
    (folder / "all.tex").write_text(f"{PREAMBLE}{text}\n\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=folder,
        stdout=subprocess.PIPE,
        encoding="latin-1",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    widths = re.findall(r"^kept ([\d.]+)pt ([\d.]+)pt$", done.stdout, re.M)
    return [min(1, float(line) / float(own)) for own, line in widths], done.stdout


def assert_fits(folder: Path, text: str, tables: int) -> None:
    shrunk, printed = compile_latex(folder, text)
    assert len(shrunk) == tables
    assert 8 * min(shrunk) >= 5  # points
    assert [over for over in re.findall(r"Overfull \\hbox \(([\d.]+)pt", printed) if float(over) > 3] == []
    assert "Float too large" not in printed
    assert "Missing character" not in (folder / "all.log").read_text(encoding="latin-1")


@pytest.mark.parametrize("lpips", [True, False])
def test_table2_with_one_and_several_seeds_fits_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lpips: bool
) -> None:
    for seed in (1, 2):
        monkeypatch.setitem(MSE, f"conv_tt_lstm-seed{seed}", (0.011, 0.035))
    runs = [*RUNS, "conv_tt_lstm-seed1", "conv_tt_lstm-seed2", "vpn-seed0"]
    results = make_results(tmp_path / "demo", runs[:-1], lpips=lpips)
    make_run(results, runs[-1], lpips=lpips, sequences=8)
    write_report("table2", results, DATASET, runs, tmp_path / "table2")
    assert_fits(tmp_path, (tmp_path / "table2.tex").read_text(), tables=4)


def test_table4_fits_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(ROOT / "config/demo.yaml")
    own = settings.experiments[DATASET].ablations[:2]
    systems = list(dict.fromkeys(row.system for row in own))
    for system in systems:
        monkeypatch.setitem(MSE, f"{system}-seed0", (0.012, 0.036))
    experiment = settings.experiments[DATASET].model_copy(update={"ablations": own})
    settings = settings.model_copy(update={"experiments": {DATASET: experiment}})
    runs = [f"{system}-seed0" for system in systems]
    results = make_results(tmp_path / "demo", runs)
    write_report("table4", results, DATASET, runs, tmp_path / "table4", settings)
    assert_fits(tmp_path, (tmp_path / "table4.tex").read_text(), tables=1)


def test_recognition_complexity_and_grid_tables_fit_the_page(tmp_path: Path) -> None:
    """From a demo's own numbers, whose tables are the widest, and from a search of one point."""
    scale = Scale.load(ROOT / "config/demo.yaml", DEMO.parent)
    scale = replace(scale, benchmarks=ROOT / "benchmarks/results")
    tables = [
        table
        for name in ("table1", "complexity", "table3")
        for table in find_report(name).read(scale, "", DEMO / name).tables
    ]
    tables.append(grid_table(Selection.model_validate(SELECTION), "Moving-MNIST-2", "demo scale"))
    text = "\n".join(map(to_latex, tables))
    assert text.count(r"\begin{sidewaystable}") == 2  # Table 1, one for each share of the frames
    assert_fits(tmp_path, text, len(tables))


def test_special_characters_are_escaped(tmp_path: Path) -> None:
    marks = r"""& % $ # _ { } ~ ^ < > | \ " ' [I] *, → ↓ ↑ ± ≤ ≥ ≈ — … − × – é ü"""  # noqa: RUF001
    header = [("", "[a]"), ("a, b → c", "* of b"), ("a, b → c", "c")]
    rows = [Row(["[27, 28]", "*", "1.0 [0.9, 1.1]"], ours=False), Row(["*", marks, marks], ours=True)]
    rows.append(Row(["A method of a long name [27, 28]", "-", "-"], ours=True))
    table = to_latex(Table('"Quoted" & more', marks, header, "llr", rows))
    command = latex_code(
        "convttlstm train --model 'my file.py:A_B' ~/data#1 100% \"x\" a_long/path_of/its_own"
    )
    assert_fits(tmp_path, f"{table}\n\n\\raggedright {command}", tables=1)


def test_brackets_that_open_a_line_are_printed(tmp_path: Path) -> None:
    """LaTeX reads a bracket or star behind the end of a line as an option, unless it is kept from it."""
    if not shutil.which("pdftotext"):
        pytest.skip("needs pdftotext: `tests/install.sh`")
    names = ["ConvLSTM (classic TTD) [27, 28]", "one line", "* starred"]
    rows = [Row([name, "1"], ours=True) for name in names]
    compile_latex(tmp_path, to_latex(Table("T", "N", [("", "A"), ("", "B")], "lr", rows)))
    done = subprocess.run(["pdftotext", "all.pdf", "-"], cwd=tmp_path, capture_output=True, text=True)
    assert "[27, 28]" in done.stdout and re.search("[*∗] starred", done.stdout)  # noqa: RUF001

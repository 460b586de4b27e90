"""Tables, figures and the page, made from the files that runs leave behind; never imports torch.

A table or figure is one module in tables/ or figures/ that declares a `REPORT`. Its name on the command
line, its Snakemake rule, its place on the page and in a bundle follow from the declaration.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convttlstm.reporting.report import Report


FOLDERS = ("tables", "figures", "exports")


def report_names() -> list[str]:
    """Return the names of all reports; nothing is imported."""
    found = [
        module.name
        for folder in FOLDERS
        for module in pkgutil.iter_modules([str(Path(__file__).parent / folder)])
    ]
    return [*found, "page"]


def find_report(name: str) -> "Report":
    """Return the report of that name, which its module declares."""
    folders = [folder for folder in FOLDERS if (Path(__file__).parent / folder / f"{name}.py").is_file()]
    module = importlib.import_module(".".join([__package__, *folders, name]))
    report: Report = module.REPORT
    return report


def find_reports() -> "dict[str, Report]":
    """Return all reports, the page last."""
    return {name: find_report(name) for name in report_names()}

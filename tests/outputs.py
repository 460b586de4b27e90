"""docs/outputs.md as patterns of paths."""

import re
from collections.abc import Iterable

from tests.conftest import ROOT


def described() -> list[str]:
    """The paths of docs/outputs.md, from the project's folder."""
    found, folder = [], ""
    for line in (ROOT / "docs/outputs.md").read_text().splitlines():
        if line.startswith("## "):
            folder = line.split("`")[1]
        elif line.startswith("| `"):
            found.append(folder + line.split("`")[1])
    return found


def pattern(path: str) -> re.Pattern[str]:
    """The pattern of a path in docs/outputs.md: <name> is any name, ** any folders below, {a,b} either."""
    escaped = re.escape(path).replace(r"\{", "(").replace(r"\}", ")").replace(",", "|")
    escaped = re.sub(r"<\w+>", "[^/]+", escaped).replace(r"\*\*", ".+")
    return re.compile(escaped.replace(r"\.\*", r"\.(csv|md|tex|svg|pdf|txt)"))


def undescribed(paths: Iterable[str]) -> list[str]:
    """The paths that docs/outputs.md does not list."""
    patterns = [pattern(path) for path in described()]
    return sorted(path for path in paths if not any(each.fullmatch(path) for each in patterns))

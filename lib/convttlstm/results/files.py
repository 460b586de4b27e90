"""Read and validate CSV and JSON files, with errors on one line."""

from pathlib import Path
from typing import TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from convttlstm.files import UserError, read_json

Content = TypeVar("Content", bound=BaseModel)


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Return a CSV file with every cell as text, empty cells as "".

    Raises:
        UserError: the file is missing, is not a CSV or lacks one of `columns`.
    """
    return read_csv(path, columns, as_text=True)


def read_csv(
    path: Path, columns: list[str], as_text: bool = False, may_be_empty: bool = False
) -> pd.DataFrame:
    """Return a CSV file; check that it has `columns`, and rows unless it may be empty. See `read_table`."""
    try:
        options = {"dtype": str, "keep_default_na": False} if as_text else {}
        table: pd.DataFrame = pd.read_csv(path, **options)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it first") from None
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a valid CSV ({reason}); delete it and make it again") from None
    check_columns(table, columns, path)
    if table.empty and not may_be_empty:
        raise UserError(f"{path}: has no rows; delete it and make it again")
    return table


def check_columns(table: pd.DataFrame, columns: list[str], path: Path) -> None:
    """Raise a UserError if a file's table lacks a column."""
    if missing := [column for column in columns if column not in table.columns]:
        raise UserError(f"{path}: no column {missing[0]!r}; delete the file and make it again")


def read_checked(path: Path, kind: type[Content]) -> Content:
    """Return a JSON file's content, validated as `kind`.

    Raises:
        UserError: the file is missing or not valid.
    """
    content = read_json(path)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {where}: {first['msg']}; delete it and make it again") from None

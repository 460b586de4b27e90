"""selection/<dataset>.json: the configurations that a search tried, and the winners."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from convttlstm.results.files import read_checked


class Winner(BaseModel):
    """The best run for a role, and its margin to the second best; None if no other run reached its round."""

    model_config = ConfigDict(frozen=True)

    run: str
    margin: float | None


class Candidate(BaseModel):
    """A run of the search; `rung` is the round of successive halving that it reached."""

    model_config = ConfigDict(frozen=True)

    role: str
    run: str
    settings: dict[str, int]
    parameters: int
    multiplications: int | None
    validation_loss: float
    epoch: int
    epochs: int
    rung: int | None = None


class Selection(BaseModel):
    """selection/<dataset>.json."""

    model_config = ConfigDict(frozen=True)

    criterion: str
    winners: dict[str, Winner]
    ranking: list[Candidate]


def read_selection(results: Path, dataset: str) -> Selection:
    """Return the file that `convttlstm select` wrote for a data set.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_checked(results / "selection" / f"{dataset}.json", Selection)

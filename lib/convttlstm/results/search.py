"""selection/<dataset>.json: the configurations that a search tried, and which won."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from convttlstm.results.files import read_checked


class Winner(BaseModel):
    """The best run for a role, and how far it is ahead of the next; None if there is no other."""

    model_config = ConfigDict(frozen=True)

    run: str
    margin: float | None


class Candidate(BaseModel):
    """A run that competed; `rung` is the round of successive halving that it came to."""

    model_config = ConfigDict(frozen=True)

    role: str
    run: str
    settings: dict[str, int]
    parameters: int
    multiplications: int
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
    """Return what was selected; see `convttlstm select`.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_checked(results / "selection" / f"{dataset}.json", Selection)

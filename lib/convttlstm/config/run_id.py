"""Names of runs, such as conv_tt_lstm-N2-M5-seed0: written and parsed here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from convttlstm.config.base import SEEDS
from convttlstm.config.models import SYMBOLS
from convttlstm.files import UserError, shortened

SELECTED = "selected"


@dataclass(frozen=True)
class RunId:
    """A run's name in its parts.

    Attributes:
        system: the catalogue's name.
        settings: values that differ from the catalogue, by the paper's symbol.
        seed: None for systems without weights.
        selected: whether it stands for the grid's best configuration.
    """

    system: str
    settings: Mapping[str, int] = field(default_factory=dict, hash=False)
    seed: int | None = None
    selected: bool = False

    @classmethod
    def parse(cls, text: str) -> "RunId":
        """Return the parts of a name, without checking that the system exists.

        Raises:
            UserError: the name has another form.
        """
        system, *parts = text.split("-")
        selected = re.fullmatch(rf"{SELECTED}-seed(0|[1-9]\d{{0,19}})", "-".join(parts)) is not None
        found: dict[str, int] = {}
        for part in parts[selected:]:
            match = re.fullmatch(r"([A-Za-z]+)(\d{1,20})", part)
            if match is None or match[1] not in {*SYMBOLS.values(), "seed"}:
                raise UserError(f"run {shortened(text)}: expected SYSTEM[-S5][-G1][-N3][-C8][-M3]-seed0")
            found[match[1]] = int(match[2])
        seed = found.pop("seed", None)
        if seed is not None and seed >= SEEDS:
            raise UserError(f"run {text!r}: a seed must be less than {SEEDS}")
        return cls(system, found, seed, selected)

    def __str__(self) -> str:
        seed = [] if self.seed is None else [f"seed{self.seed}"]
        return "-".join([self.system, *self.parts, *seed])

    @property
    def parts(self) -> list[str]:
        """The parts between system and seed, such as N2 and M5."""
        chosen = [SELECTED] if self.selected else []
        return chosen + [f"{symbol}{value}" for symbol, value in self.settings.items()]

    def hyper(self) -> dict[str, int]:
        """Return the settings by their names in the catalogue, such as order."""
        names = {symbol: name for name, symbol in SYMBOLS.items()}
        return {names[symbol]: value for symbol, value in self.settings.items()}

    @property
    def variant(self) -> str:
        """The parts between system and seed as one string, such as "N2 M5"."""
        return " ".join(self.parts)

    @property
    def without_seed(self) -> "RunId":
        """The name without its seed."""
        return self.with_seed(None)

    def with_seed(self, seed: int | None) -> "RunId":
        """Return the name of the same run with another seed."""
        return replace(self, seed=seed)


def is_selected(name: str) -> bool:
    """Return whether a run's name stands for the grid's best configuration."""
    try:
        return RunId.parse(name).selected
    except UserError:
        return False

"""The models in the table of costs."""

from collections.abc import Iterator

from convttlstm.config.catalogue import Settings
from convttlstm.config.models import SYMBOLS, ModelSettings

SIZES = (64, 120, 128)  # Moving-MNIST-2, and KTH in training and in evaluation, pixels
PAPER_SIZES = (64, 120)  # sizes of Table 2's FLOPs


def counted_models(settings: Settings, scale: str) -> Iterator[tuple[str, str, ModelSettings]]:
    """Yield the name, title and settings of each model in the table of costs.

    It has all models at the paper's scale, elsewhere those in use, and the rows of Table 4 that differ from
    them.
    """
    experiments = settings.experiments.values()
    used = {name for experiment in experiments for name in experiment.systems()}
    for name, system in settings.systems.items():
        if scale == "paper" or name in used:
            yield name, system.title, system.model
    for row in (row for experiment in experiments for row in experiment.ablations if row.hyper()):
        system, variant = settings.systems[row.system], row.hyper()
        symbols = {SYMBOLS[key]: value for key, value in variant.items()}
        key = " ".join([row.system, *(f"{symbol}{value}" for symbol, value in symbols.items())])
        title = ", ".join([system.title, *(f"{symbol} = {value}" for symbol, value in symbols.items())])
        model = type(system.model).model_validate(system.model.model_dump() | variant)
        yield key, title, model

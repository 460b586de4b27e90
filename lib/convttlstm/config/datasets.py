"""The kinds of data sets; `kind` names one."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from convttlstm.config.base import require_known
from convttlstm.config.dataset import DatasetSettings
from convttlstm.config.moving_mnist import MovingMnist
from convttlstm.config.something import Something
from convttlstm.config.videos import Kth, Videos

KINDS: dict[str, type[DatasetSettings]] = {
    "moving_mnist": MovingMnist,
    "kth": Kth,
    "videos": Videos,
    "something": Something,
}


def _kind(dataset: Any) -> str:
    if not isinstance(dataset, Mapping):
        return getattr(dataset, "kind", "moving_mnist")
    kind = dataset.get("kind", "moving_mnist")
    return str(kind)


def _with_known_kind(dataset: Any) -> Any:
    require_known(_kind(dataset), KINDS, "kind of data set")
    return dataset


Dataset = Annotated[
    Annotated[MovingMnist, Tag("moving_mnist")]
    | Annotated[Kth, Tag("kth")]
    | Annotated[Videos, Tag("videos")]
    | Annotated[Something, Tag("something")],
    Discriminator(_kind),
    BeforeValidator(_with_known_kind),
]

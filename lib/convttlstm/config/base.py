"""The base class of all settings, their types, and suggestions for misspelt names."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    model_validator,
)
from pydantic_core import PydanticCustomError

from convttlstm.files import nearest, shortened


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd, so that 'same' padding keeps the frame size")
    return value


def distinct(values: list[Any]) -> list[Any]:
    """Return the list.

    Raises:
        ValueError: an entry is listed twice.
    """
    if len(set(values)) < len(values):
        raise ValueError("names one of them twice")
    return values


def _checked_size(value: Any) -> Any:
    sides = value if isinstance(value, list | tuple) else [value, value]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise ValueError(f"{shortened(value)} is neither a number of pixels nor [height, width]")
    return sides[0] if sides[0] == sides[1] else tuple(sides)


def sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a frame, from a setting that gives both or one for both."""
    return size if isinstance(size, tuple) else (size, size)


def unset(value: Any) -> bool:
    """Return whether a setting is null. As `exclude_if`, it keeps earlier digests valid when one is added."""
    return value is None


# One line that fits into figures and tables.
Title = Annotated[
    str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]*$")
]
# YAML reads 1e-3 as text, so numbers with a fraction may be given as text.
PositiveFloat = Annotated[float, Field(gt=0, strict=False, allow_inf_nan=False)]
SEEDS = 2**64
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
FrameSize = Annotated[PositiveInt | tuple[PositiveInt, PositiveInt], BeforeValidator(_checked_size)]
OddInt = Annotated[PositiveInt, AfterValidator(_odd)]


class Strict(BaseModel):
    """A group of settings that refuses unknown names and other types, and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _name_the_nearest(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    hint = nearest(str(key), cls.model_fields)
                    raise PydanticCustomError(
                        "unknown_setting",
                        "unknown setting; {hint}",
                        {"hint": hint, "key": shortened(key).strip("'")},
                    )
        return data


def require_known(name: str, names: Mapping[str, Any], what: str) -> None:
    """Check that `name` is one of `names`.

    Raises:
        ValueError: it is not; the message begins with `what` and ends with the nearest name.
    """
    if name not in names:
        raise ValueError(f"{what} {shortened(name)} is not defined; {nearest(name, names)}")


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by their full names, such as training.epochs."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        inner = flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {}
        found |= inner or {f"{prefix}{key}": value}
    return found


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the settings of `overlay` in place of its own, group by group."""
    merged = dict(base)
    for key, value in overlay.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = merge(old, value)
        merged[key] = value
    return merged

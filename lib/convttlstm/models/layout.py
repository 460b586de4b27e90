"""The memory format of weights: channels last on devices whose convolutions are faster with it."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn


def fast_layout(kind: str) -> torch.memory_format:
    """Return the memory format for convolutions of few channels.

    GPUs, and CPUs with AVX-512, are faster with the channels last; other CPUs lose 12 to 17 %
    (benchmarks/README.md).

    Args:
        kind: of the device, such as "cpu" or "cuda".
    """
    last = kind != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.channels_last if last else torch.contiguous_format


class LaidOut(nn.Module):
    """A module whose weights take the fast layout of each device that they are moved to."""

    def lay_out(self) -> None:
        """Give all weights the fast layout of the device that they are on."""
        self.to(memory_format=fast_layout(self._kind()))  # type: ignore[call-overload]

    def _kind(self) -> str:
        return next(self.parameters()).device.type

    def _apply(self, fn: Callable[[Tensor], Tensor], *arguments: Any, **named: Any) -> Self:
        before = self._kind()
        super()._apply(fn, *arguments, **named)  # type: ignore[no-untyped-call]
        if self._kind() != before:
            self.lay_out()
        return self

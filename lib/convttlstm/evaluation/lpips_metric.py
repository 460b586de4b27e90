"""LPIPS (Zhang et al. 2018), version 0.1 on AlexNet, by the paper's and the standard protocol."""

import importlib
import warnings
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from convttlstm.config.catalogue import LPIPS_SIZE
from convttlstm.files import UserError, sha256_of


class Lpips(nn.Module):
    """The network and linear heads of the `lpips` package, with AlexNet weights from a file.

    Attributes:
        sha256: checksum of the weights file.
    """

    def __init__(self, weights: Path, size: int | None = None) -> None:
        """Load `weights`, as `convttlstm.data.lpips_weights` writes them.

        Args:
            weights: AlexNet's weights.
            size: pixels of the shorter side to which frames are resized first (bilinear); None: not resized.

        Raises:
            UserError: the file is missing or holds other weights.
        """
        super().__init__()
        self.size = size
        if not weights.is_file():
            raise UserError(
                f"{weights}: no such file; run snakemake to fetch it or set evaluation.lpips: false"
            )
        lpips = _import_lpips()
        with warnings.catch_warnings():
            # lpips uses arguments of AlexNet that torchvision has renamed since.
            warnings.filterwarnings("ignore", "The parameter 'pretrained'", UserWarning)
            warnings.filterwarnings("ignore", "Arguments other than a weight enum", UserWarning)
            # A random backbone: lpips would otherwise download the weights that are loaded below.
            self.network = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
        try:
            tensors = load_file(weights)
            # lpips cuts AlexNet.features into slices: its slice2.3.weight is features.3.weight.
            names = {name: f"features.{name.split('.', 1)[1]}" for name in self.network.net.state_dict()}
            self.network.net.load_state_dict({name: tensors[key] for name, key in names.items()})
        except (SafetensorError, KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{weights}: not AlexNet's weights ({reason}); delete it, and fetch it again with snakemake"
            ) from None
        self.requires_grad_(False).eval()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # pools run faster
        self.sha256 = sha256_of(weights)

    def forward(self, prediction: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Return the distances by both protocols, each (...).

        The network expects [-1, 1]. The paper passes frames in [0, 1] (`lpips_paper`); the standard protocol
        scales them (`lpips_standard`). Grey frames are repeated to three channels.

        Args:
            prediction: float32 (..., channel, height, width) in [0, 1], 1 or 3 channels.
            truth: the same shape.

        Raises:
            UserError: frames are too small for AlexNet.
        """
        *batch, channel, height, width = prediction.shape
        pair = [
            frames.reshape(-1, channel, height, width).expand(-1, 3, -1, -1) for frames in (prediction, truth)
        ]
        if self.size is not None:
            scale = self.size / min(height, width)
            height, width = round(height * scale), round(width * scale)
            pair = [interpolate(frames, (height, width), mode="bilinear") for frames in pair]
        if min(height, width) < LPIPS_SIZE:
            raise UserError(
                f"LPIPS: frames of {height}x{width} are smaller than {LPIPS_SIZE}x{LPIPS_SIZE}; "
                "set evaluation.lpips_size, or evaluation.lpips: false"
            )
        return {
            "lpips_paper": self.network(*pair).reshape(batch),
            "lpips_standard": self.network(*pair, normalize=True).reshape(batch),
        }


def _import_lpips() -> ModuleType:
    """Import lpips, even if torchvision was built for another torch (CUDA next to CPU-only).

    Such a torchvision cannot load its compiled operators, and its import fails where it registers two of
    them with torch. Declaring the two makes the import work. AlexNet does not call them; a call would raise
    torch's error for operators without an implementation.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", schema)
    return importlib.import_module("lpips")

"""Load published weights in two lines.

    from convttlstm.hub import load
    model = load("results/laptop/models/moving_mnist_2/conv_tt_lstm-seed0")

`convttlstm.models` explains how to call the model. `convttlstm export-weights` writes such folders.
"""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from convttlstm.files import UserError, read_json, sha256_of, shortened
from convttlstm.models import create_model

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


def load(folder: str | Path) -> nn.Module:
    """Return the model in a folder, on the CPU, in evaluation mode.

    Args:
        folder: holds model.safetensors, and model.json with the model's name, arguments and the SHA-256 of
            the weights.

    Raises:
        UserError: a file is missing or damaged, or the weights have another checksum.
    """
    weights, description = Path(folder, WEIGHTS), Path(folder, DESCRIPTION)
    described = read_json(description)
    if not weights.is_file():
        raise UserError(f"{weights}: no such file; name a folder that export-weights wrote")
    try:
        if (found := sha256_of(weights)) != described["sha256"]:
            raise UserError(
                f"{weights}: has SHA-256 {found}, but {DESCRIPTION} has {described['sha256']}; get both again"
            )
        model = create_model(described["name"], **described["arguments"])
        model.load_state_dict(load_file(weights))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{description}: not a valid description of a model ({shortened(error)})") from None
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{weights}: not the weights of the model in {DESCRIPTION} ({reason})") from None
    return model.eval()

from pathlib import Path

import pytest

from convttlstm.data.lpips_weights import fetch_alexnet
from convttlstm.files import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def alexnet_weights(request: pytest.FixtureRequest) -> Path:
    """AlexNet's weights: the pipeline's, else those of an earlier test run, else fetched."""
    path = ROOT / "data/raw/lpips/alexnet.safetensors"
    if not path.is_file():
        path = request.config.cache.mkdir("lpips") / "alexnet.safetensors"
    if not path.is_file():
        try:
            fetch_alexnet(path)
        except UserError as error:
            pytest.skip(str(error))
    return path

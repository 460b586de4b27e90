"""Damaged files of every kind that is read: each is read, or refused in one line, and leaves no partial file.

`python -m tests.fuzz_files 300 [SEED [KIND]]` damages each kind that often and prints other outcomes.
"""

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import sys
import tarfile
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from PIL import Image

from convttlstm import hub
from convttlstm.config import Videos, load_settings, read_run, read_winners, resolve_run
from convttlstm.config.something import read_categories
from convttlstm.data.clips import open_clips
from convttlstm.data.digits import read_idx
from convttlstm.data.frames import boundaries_of
from convttlstm.data.inventory import inventory
from convttlstm.data.kth import parse_boundaries
from convttlstm.data.layout import SOMETHING_CLIPS
from convttlstm.data.something import read_labels
from convttlstm.data.something_files import extract_parts
from convttlstm.data.verify import verify_data
from convttlstm.data.videos import Source, folder_sources, prepare_video
from convttlstm.evaluation.predict import predict
from convttlstm.evaluation.protocol import load_model
from convttlstm.files import UserError
from convttlstm.planning.clock import read_times
from convttlstm.records import restore
from convttlstm.reporting.strips import read_examples
from convttlstm.results import load_result, read_selection
from convttlstm.sharing.bundle import METADATA, verify_bundle
from convttlstm.sharing.exchange import import_weights
from convttlstm.training.history import best_epoch
from convttlstm.training.loop import Trainer, launch
from tests.conftest import ROOT, RUN, TRAVELS, Project, make_project
from tests.video_files import noise, write_video

DATASET = "moving_mnist_2"
LONGEST = 500  # letters of a message, without the folder
ODD = [b"", b"\0", b"\xff", b"\n", b'"', b",", b"{", b"]", b"-1", b"9" * 30, b"nan", b"null", b"\xef\xbb\xbf"]
VALUES: list[Any] = [
    None,
    "",
    "x",
    -1,
    0,
    2**70,
    1e308,
    float("nan"),
    True,
    [],
    {},
    [[]],
    {"a": 1},
    "../../x",
]

Read = Callable[[Path], Any]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return the content of a file with one to three faults."""
    for _ in range(chance.randint(1, 3)):
        content = chance.choice([_flip, _cut, _repeat, _zero, _insert, _other_value])(content, chance)
    return content


def _range(content: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(content) + 1)
    return start, min(len(content), start + 2 ** chance.randrange(12))


def _flip(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]


def _cut(content: bytes, chance: random.Random) -> bytes:
    start, end = _range(content, chance)
    return content[:start] if chance.random() < 0.5 else content[:start] + content[end:]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    start, end = _range(content, chance)
    return content[:end] + content[start:]


def _zero(content: bytes, chance: random.Random) -> bytes:
    start, end = _range(content, chance)
    return content[:start] + bytes(end - start) + content[end:]


def _insert(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + chance.choice(ODD) + content[at:]


def _other_value(content: bytes, chance: random.Random) -> bytes:
    """Put another value into JSON, at any depth; other content is flipped."""
    try:
        whole = [json.loads(content)]
    except (ValueError, RecursionError):
        return _flip(content, chance)
    container: Any = whole
    key: Any = 0
    while isinstance(container[key], dict | list) and container[key] and chance.random() < 0.8:
        container = container[key]
        key = chance.choice(list(container) if isinstance(container, dict) else range(len(container)))
    if isinstance(container, dict) and chance.random() < 0.3:
        del container[key]
    else:
        container[key] = chance.choice(VALUES)
    return json.dumps(whole[0]).encode()


def kinds(project: Project) -> dict[str, tuple[Path, Read]]:
    """Return an intact file of each kind, and its reader; `project` is a new one."""
    raw = project.folder / "raw"
    found = _of_a_run(project) | _of_data(raw) | _of_pictures_and_arrays(raw) | _of_packages(raw)
    return found | _of_others(project.folder)


def _of_a_run(project: Project) -> dict[str, tuple[Path, Read]]:
    """Train and evaluate a tiny run; return the files that it leaves and is made from."""
    project.prepare()
    folder = project.folder / f"results/tiny/runs/{DATASET}/{RUN}"
    for done in (project.train(folder), project.evaluate(folder)):
        assert done.returncode == 0, done.stderr
    exported = project.folder / "exported"
    assert project.call("export-weights", folder, "-o", exported).returncode == 0
    run = resolve_run(load_settings(project.config), "tiny", DATASET, RUN)
    results = project.folder / "results/tiny"
    trainer = Trainer(run, project.data, folder, launch(run))
    progress = trainer.progress

    def resume(path: Path) -> None:
        trainer.progress = progress
        (folder / "previous.ckpt").unlink(missing_ok=True)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.resume()

    def published(path: Path) -> None:
        if path.name == hub.WEIGHTS:
            described = json.loads((exported / hub.DESCRIPTION).read_text())
            described["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            (exported / hub.DESCRIPTION).write_text(json.dumps(described))
        hub.load(exported)

    def weights(path: Path) -> None:
        made_by = json.loads((folder / "provenance.json").read_text())
        made_by["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "provenance.json").write_text(json.dumps(made_by))
        load_model(run, folder)

    def frames(path: Path) -> None:
        for split in ("train", "test"):
            open_clips(run.dataset, project.data, split).batch([0])

    names = ["config.json", "metrics.json", "per_frame.csv", "history.csv", "provenance.json"]
    found: dict[str, tuple[Path, Read]] = {
        name: (folder / name, lambda _: load_result(results, DATASET, RUN)) for name in names
    }
    return found | {
        "a run's config.json": (folder / "config.json", lambda path: read_run(path.parent)),
        "history of a search": (folder / "history.csv", lambda path: best_epoch(path.parent)),
        "per_sequence.csv": (
            folder / "per_sequence.csv",
            lambda _: load_result(results, DATASET, RUN).values(5, "mse"),
        ),
        "examples.npz": (
            folder / "examples.npz",
            lambda _: read_examples(load_result(results, DATASET, RUN)),
        ),
        "last.ckpt": (folder / "last.ckpt", resume),
        "best.safetensors": (folder / "best.safetensors", weights),
        "model.safetensors": (exported / hub.WEIGHTS, published),
        "model.json": (exported / hub.DESCRIPTION, published),
        "manifest.json": (project.data / "manifest.json", frames),
        "train.npy": (project.data / "train.npy", frames),
        "verified manifest": (project.data / "manifest.json", lambda path: verify_data(path.parents[1])),
        "verified array": (project.data / "test.npy", lambda path: verify_data(path.parents[1])),
    }


def _of_data(raw: Path) -> dict[str, tuple[Path, Read]]:
    """Return raw files of data sets."""
    raw.mkdir()
    found: dict[str, tuple[Path, Read]] = {}
    dataset = Videos.model_validate({"kind": "videos", "title": "x", "folder": str(raw), "size": 16})
    for suffix in (".avi", ".mkv", ".webm", ".mp4"):
        path = raw / f"video{suffix}"
        write_video(path.with_suffix(".mkv" if suffix in (".webm", ".mp4") else suffix), noise(6, 16, seed=1))
        if suffix in (".webm", ".mp4"):
            _encode(path, "libvpx-vp9" if suffix == ".webm" else "mpeg4")

        def prepare(path: Path) -> None:
            prepare_video(dataset, Source(path.name, "train", path), raw.parent / "arrays")

        found[suffix] = path, prepare
    archive = raw / "boxing.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(raw / "video.avi", "person01_boxing_d1_uncomp.avi")
    member = Source("x", "train", archive, "person01_boxing_d1_uncomp.avi")
    found["KTH's zip"] = archive, lambda _: prepare_video(dataset, member, raw.parent / "arrays")
    boundaries = raw / "00sequences.txt"
    boundaries.write_text("person01_boxing_d1\tframes\t1-95, 96-185\n" * 3)
    found["KTH's sequences"] = boundaries, parse_boundaries
    splits = raw / "splits.csv"
    splits.write_text("video,split\nvideo.avi,train\nvideo.mkv,validation\nvideo.mp4,test\n")
    listed = dataset.model_copy(update={"split_file": str(splits)})
    found["split file"] = splits, lambda _: folder_sources(listed)
    found["inventory"] = splits, lambda _: inventory(listed, raw / "none.json", raw / "cache.json")
    manifest = raw / "manifest.json"
    manifest.write_text('{"videos": [{"split": "train", "name": "a.avi", "source_sha256": "0"}]}')
    gone = dataset.model_copy(update={"folder": "gone"})
    found["inventory's manifest"] = manifest, lambda path: inventory(gone, path, raw / "cache.json")
    cache = raw / "cache.json"
    inventory(listed, raw / "none.json", cache)
    found["inventory's cache"] = cache, lambda path: inventory(listed, raw / "none.json", path)
    labels = raw / "train.json"
    labels.write_text(json.dumps([{"id": "1", "template": "Pushing [something]"}, {"id": "2"}]))
    found["labels"] = labels, lambda path: read_labels(path.parent, path.name)
    categories = raw / "categories.csv"
    categories.write_text("group,template\na,Pushing something\nb,Poking something\n")
    found["categories"] = categories, _with_settings_error(read_categories)
    digits = raw / "digits.gz"
    digits.write_bytes(gzip.compress(b"\0\0\x08\x03" + bytes([0, 0, 0, 2] * 3) + bytes(8)))
    found["digits"] = digits, read_idx
    part = raw / "20bn-something-something-v2-00"
    part.write_bytes((ROOT / "data/embedded/labels-idx1-ubyte.gz").read_bytes())
    found["clips' archive"] = part, lambda path: extract_parts([path], raw.parent / "clips", {"1"})
    return found


def _of_pictures_and_arrays(raw: Path) -> dict[str, tuple[Path, Read]]:
    """Return pictures of a folder, and arrays of each type in each layout."""
    found: dict[str, tuple[Path, Read]] = {}

    def reader(axes: str | None, colour: bool, of_folder: bool) -> Read:
        settings = {"kind": "videos", "title": "x", "folder": str(raw), "size": 16, "axes": axes}
        dataset = Videos.model_validate(settings | {"colour": colour})

        def read(path: Path) -> None:
            source = path.parent if of_folder else path
            boundaries_of(source, axes, 1)
            prepare_video(dataset, Source(source.name, "train", source), raw.parent / "arrays")

        return read

    pictures = noise(3, 16, seed=3, colour=True)
    deep = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    for name, suffix, picture in (
        ("colour", ".png", pictures[0]),
        ("grey", ".png", pictures[0, :, :, 0]),
        ("16 bits", ".png", deep),
        ("colour", ".jpg", pictures[0]),
    ):
        path = raw / f"pictures {name}{suffix}" / f"2{suffix}"
        path.parent.mkdir()
        for number in range(1, 4):
            Image.fromarray(picture).save(path.with_stem(str(number)))
        found[f"picture, {name} {suffix}"] = path, reader(None, name == "colour", of_folder=True)
    clips = np.random.default_rng(4).integers(256, size=(2, 3, 3, 16, 16), dtype=np.uint8)
    types = {"uint8": 1, "uint16": 257, "float32": 1 / 255, "float64": 1 / 255}
    for (kind, factor), axes in zip(types.items(), ("stchw", "tshw", "thwc", "thw"), strict=True):
        kept = clips if "c" in axes else clips[:, :, 0]
        kept = kept if "s" in axes else kept[0]
        letters = [letter for letter in "stchw" if letter in axes]
        array = (kept.transpose([letters.index(letter) for letter in axes]).astype(float) * factor).astype(
            kind
        )
        for suffix in (".npy", ".npz", ".h5"):
            path = raw / f"array {kind}{suffix}" / f"clips{suffix}"
            path.parent.mkdir()
            if suffix == ".h5":
                with h5py.File(path, "w") as file:
                    file.create_dataset("frames", data=array, chunks=True, compression="gzip")
            else:
                save = {".npy": np.save, ".npz": np.savez_compressed if "s" in axes else np.savez}[suffix]
                save(path, array)
            found[f"array, {kind} {axes} {suffix}"] = path, reader(axes, "c" in axes, of_folder=False)
    return found


def _of_packages(raw: Path) -> dict[str, tuple[Path, Read]]:
    """Return the zip packages in which Something-Something is distributed."""
    labels, part, clips = (raw / name for name in ("labels", "part", "clips"))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(raw / "video.webm", f"{SOMETHING_CLIPS}/1.webm")
    listed = json.dumps([{"id": "1", "template": "Pushing [something]"}])
    name = f"{SOMETHING_CLIPS}-00"
    packages = {
        labels / "package-labels.zip": ("labels/train.json", listed),
        part / f"{name}.zip": (name, content.getvalue()),
        clips / f"{name}.zip": (f"{SOMETHING_CLIPS}/1.webm", (raw / "video.webm").read_bytes()),
    }
    for path, (member, written) in packages.items():
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(member, written)

    def extract(path: Path) -> None:
        try:
            extract_parts([path], path.parent / "out", {"1"})
        finally:
            shutil.rmtree(path.parent / "out", ignore_errors=True)

    first, second, third = packages
    return {
        "package of labels": (
            first,
            lambda path: read_labels(path.parent, "something-something-v2-train.json"),
        ),
        "package of a part": (second, extract),
        "package of clips": (third, extract),
    }


def _encode(path: Path, codec: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=12, width=32, height=32, pix_fmt="yuv420p")
        for frame in noise(6, 32, seed=1, colour=True):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _with_settings_error(read: Read) -> Read:
    """Allow a ValueError too, which settings turn into a UserError."""

    def reading(path: Path) -> None:
        with contextlib.suppress(ValueError):
            read(path)

    return reading


def _of_others(folder: Path) -> dict[str, tuple[Path, Read]]:
    """Return files that people pass on, and those that runs leave next to their folders."""
    release, exported = folder / "release.pt", folder / "exported/model.safetensors"
    torch.save({"epoch": 1, "model_state_dict": {"layers.b0l0.conv.weight": torch.zeros(4, 4)}}, release)
    run = read_run(folder / f"results/tiny/runs/{DATASET}/{RUN}")

    def import_(path: Path) -> None:
        import_weights(path, hashlib.sha256(path.read_bytes()).hexdigest(), run, folder / "imported")

    archive, content = folder / "bundle.zip", {}
    for name in ("config.json", "metrics.json"):
        path = folder / f"results/tiny/runs/{DATASET}/{RUN}" / name
        content[path.relative_to(folder).as_posix()] = path.read_bytes()
    graph = [
        {
            "@id": name,
            "@type": "File",
            "sha256": hashlib.sha256(part).hexdigest(),
            "contentSize": str(len(part)),
        }
        for name, part in content.items()
    ]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, part in content.items():
            file.writestr(name, part)
        file.writestr(METADATA, json.dumps({"@graph": graph}))
    verify_bundle(archive)
    selection = folder / f"results/tiny/selection/{DATASET}.json"
    selection.parent.mkdir()
    entry = {"role": "conv_tt_lstm", "run": RUN, "epochs": 3, "validation_loss": 0.1, "epoch": 2}
    entry |= {"settings": {"S": 3}, "parameters": 7, "multiplications": 9}
    winners = {"conv_tt_lstm": {"run": RUN, "margin": None}}
    selection.write_text(json.dumps({"criterion": "loss", "winners": winners, "ranking": [entry]}))
    records = folder / "results/tiny/records.json"
    records.write_text(json.dumps({"ZGF0YS9yYXcveA==": {"endtime": 1.5, "input_checksums": {"a": "b"}}}))
    times = folder / "times.csv"
    times.write_text((ROOT / "benchmarks/results/system_times-AMD_EPYC-torch2.13.0.csv").read_text())

    def restored(path: Path) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            restore(folder, *TRAVELS)

    video = folder / "own.avi"
    write_video(video, noise(6, 16, seed=2))
    return {
        "release": (release, import_),
        "a weights file as a release": (exported, import_),
        "bundle": (archive, verify_bundle),
        "winners": (selection, read_winners),
        "selection": (selection, lambda path: read_selection(path.parents[1], DATASET)),
        "records.json": (records, restored),
        "times": (times, read_times),
        "a video to predict in": (video, lambda path: predict(folder / "exported", path, 2)),
    }


def faults(project: Project, count: int, seed: int = 0, only: str = "") -> Iterator[tuple[str, bytes, str]]:
    """Yield each kind, content and traceback that was neither read nor refused in one line."""
    for name, (path, read) in kinds(project).items():
        whole, chance = {file: file.read_bytes() for file in _near(path)}, random.Random(f"{seed} {name}")
        read(path) if name not in ("release", "a weights file as a release", "clips' archive") else None
        for _ in range(count if only in name else 0):
            content = damaged(whole[path], chance)
            path.write_bytes(content)
            if said := _fault(path, read, project.folder):
                yield name, content, said
            for file in set(_near(path)) - whole.keys():
                file.unlink()
            for file, before in whole.items():
                file.write_bytes(before)


def _near(path: Path) -> list[Path]:
    return [file for file in path.parent.iterdir() if file.is_file()]


def _fault(path: Path, read: Read, folder: Path) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except UserError as error:
        text = str(error).replace(str(folder), "")
        if "\n" in text or len(text) > LONGEST:
            return f"{len(text)} letters: {text[:300]!r}"
    except BaseException:
        return traceback.format_exc(limit=-4)
    left = [file for file in folder.rglob(".*.tmp") if file.is_file()]
    return f"left behind: {left[0]}" if left else ""


def main() -> int:
    """Damage each kind as often as the command line says; return 1 if there were faults."""
    count, seed, only = int(sys.argv[1]), int([*sys.argv, "0"][2]), "".join(sys.argv[3:4])
    np.seterr(all="ignore")
    seen: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name))
        os.chdir(name)
        for kind, _, said in faults(project, count, seed, only):
            key = f"{kind}: {said.strip().splitlines()[-1][:120]}"
            if key not in seen:
                print(f"== {kind}\n{said}", flush=True)
            seen[key] = seen.get(key, 0) + 1
    print(f"{len(seen)} kinds of faults, {sum(seen.values())} in all")
    return min(len(seen), 1)


if __name__ == "__main__":
    sys.exit(main())

"""The subcommands; a docstring is the help text. Slow imports are inside the functions."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from convttlstm import slurm
from convttlstm.config import (
    Dataset,
    Run,
    Settings,
    digests,
    is_selected,
    json_schema,
    load_settings,
    read_winners,
    resolve_run,
    with_model,
)
from convttlstm.config.catalogue import PAPER
from convttlstm.files import UserError, listed, write_json, write_text

# Raw data that `fetch` knows, and the kind of data set made from them.
RAW_DATA = {"mnist": "moving_mnist", "kth": "kth", "something": "something"}


def _run(options: argparse.Namespace) -> Run:
    settings = _settings(options.config, options.model)
    winners = read_winners(options.selection) if options.selection else None
    return resolve_run(settings, options.config.stem, options.dataset, options.run, winners)


def _settings(config: Path, model: str | None) -> Settings:
    settings = load_settings(config)
    return with_model(settings, model) if model else settings


def fetch(options: argparse.Namespace) -> None:
    """Download and verify MNIST, KTH or AlexNet's weights for LPIPS; check Something-Something's clips."""
    if options.what == "lpips":
        from convttlstm.data.lpips_weights import fetch_alexnet

        fetch_alexnet(options.output)
    else:
        from convttlstm.data.kinds import data_kind

        data_kind(RAW_DATA[options.what]).fetch(options.output, options.lock, options.labels)
    print(f"wrote {options.output}")


def _with_dataset(options: argparse.Namespace) -> Settings:
    """Return the settings of a scale that has the data set."""
    settings = load_settings(options.config)
    if options.dataset not in settings.datasets:
        names = listed([*settings.datasets])
        raise UserError(f"{options.config}: no data set {options.dataset!r}; it has {names}")
    return settings


def _dataset(options: argparse.Namespace) -> Dataset:
    return _with_dataset(options).datasets[options.dataset]


def _searched(options: argparse.Namespace) -> Settings:
    """Return the settings of a scale that searches a grid on the data set."""
    settings = _with_dataset(options)
    searched = [name for name, experiment in settings.experiments.items() if experiment.grid]
    if options.dataset not in searched:
        raise UserError(
            f"{options.config}: has no grid on {options.dataset!r}; grids: {listed(searched) or 'none'}"
        )
    return settings


def synthesize(options: argparse.Namespace) -> None:
    """Draw and encode synthetic videos in place of KTH or Something-Something."""
    from convttlstm.data.kinds import data_kind

    dataset = _dataset(options)
    written = data_kind(dataset.kind).synthesize(dataset, options.output)
    if not written:
        raise UserError(f"{options.config}: {options.dataset} has no synthetic stand-in")
    print(f"wrote {', '.join(map(str, written))}")


def prepare(options: argparse.Namespace) -> None:
    """Prepare a data set's train, validation and test splits."""
    from convttlstm.data.kinds import Preparation, data_kind

    dataset = _dataset(options)
    raw = options.raw or Path(dataset.raw_folder)
    places = raw, options.output, options.embedded, options.checksums
    data_kind(dataset.kind).prepare(dataset, Preparation(options.dataset, *places, options.processes))
    print(f"wrote {options.output}")


def compare(options: argparse.Namespace) -> None:
    """Compare two folders of results, of other scales, commits or devices."""
    from convttlstm.sharing.compare import compare

    found = compare(options.a, options.b)
    if options.output:
        found.write(options.output)
        print(f"wrote {options.output}")
    else:
        print(found.to_text())


def verify(options: argparse.Namespace) -> None:
    """Verify prepared data, or a bundle, by checksum; nothing is unpacked."""
    if options.path.is_dir():
        from convttlstm.data.verify import verify_data

        print(verify_data(options.path))
    else:
        from convttlstm.sharing.bundle import verify_bundle

        print(verify_bundle(options.path))


def train(options: argparse.Namespace) -> None:
    """Train a run, or resume it where it stopped."""
    from convttlstm.training.loop import train
    from convttlstm.training.publishing import reuse

    run = _run(options)
    if not run.trained:
        raise UserError(f"{run.id}: has no weights to train; evaluate it without training")
    if not (is_selected(run.id) and reuse(run, options.output, options.data)):
        with _stopping():
            train(run, options.data, options.output)


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """Exit when training was interrupted; if the job was requeued, wait until Slurm ends it."""
    from convttlstm.training.interruption import EXIT_INTERRUPTED, Interrupted

    try:
        yield
    except Interrupted as stop:
        print(stop, file=sys.stderr, flush=True)
        if stop.reason.restarts and slurm.requeue():
            print("the job is back in Slurm's queue, which ends it now", file=sys.stderr, flush=True)
            time.sleep(600)
        sys.exit(EXIT_INTERRUPTED)


def try_rung(options: argparse.Namespace) -> None:
    """Train one run of a round of successive halving."""
    from convttlstm.training.halving import train_rung

    settings, place = _searched(options), (options.role, options.rung, options.place)
    with _stopping():
        train_rung(
            settings,
            options.config.stem,
            options.dataset,
            place,
            options.data,
            options.runs,
            options.ranking,
            options.output,
        )
    print(f"wrote {options.output}")


def select(options: argparse.Namespace) -> None:
    """Rank the runs of a grid by validation loss."""
    from convttlstm.evaluation.selection import select

    select(_searched(options), options.dataset, options.runs, options.output, options.tried)
    print(f"wrote {options.output}")


def evaluate(options: argparse.Namespace) -> None:
    """Evaluate a run on the test split."""
    from convttlstm.evaluation.protocol import evaluate_run

    evaluate_run(_run(options), options.data, options.output, options.lpips)
    print(f"wrote {options.output / 'metrics.json'}")


def predict(options: argparse.Namespace) -> None:
    """Predict the next frames of your own video, or of a generated test sequence, with a finished run."""
    from convttlstm.forecast import check_suffix, write_forecast

    check_suffix(options.output)
    from convttlstm.evaluation.predict import predict

    forecast = predict(options.run, options.video, options.horizon, options.start)
    write_forecast(forecast.run, forecast.truth, forecast.prediction, options.output)
    print(f"wrote {options.output}")


def import_weights(options: argparse.Namespace) -> None:
    """Import the authors' released weights for evaluation.

    If the model was trained with a sigmoid at its output, an option of the authors' scripts, set
    `output: sigmoid` for the model; the file does not record it.
    """
    from convttlstm.sharing.exchange import import_weights

    settings = load_settings(options.config)
    run = resolve_run(settings, options.config.stem, options.dataset, options.run)
    import_weights(options.checkpoint, options.sha256, run, options.output)
    if run.model_arguments().get("output") == "linear":
        print(
            f"{run.id}: has no sigmoid at its output. The file does not record whether it was trained with "
            f"one; if so, set systems.{run.system}.model.output: sigmoid and import it again"
        )
    print(f"wrote {options.output / 'best.safetensors'}; evaluate it with `convttlstm evaluate`")


def export_weights(options: argparse.Namespace) -> None:
    """Write a finished run's weights with a model card."""
    from convttlstm.sharing.exchange import export_weights

    export_weights(options.run, options.output)
    print(f"wrote {options.output}")


def bundle(options: argparse.Namespace) -> None:
    """Pack a finished reproduction into one archive with a description (RO-Crate)."""
    from convttlstm.sharing.bundle import bundle

    results = options.results or Path("results", options.config.stem)
    print("wrote", bundle(options.config, results, options.output))


def complexity(options: argparse.Namespace) -> None:
    """Count parameters and multiplications of every model."""
    from convttlstm.evaluation.complexity import write_complexity, write_orders

    scales = {path.stem: _settings(path, options.model) for path in options.config}
    write_complexity(scales, options.output)
    print(f"wrote {options.output}")
    if options.orders:
        write_orders(options.orders)
        print(f"wrote {options.orders}")


def report(options: argparse.Namespace) -> None:
    """Make a table, a figure or the page from finished runs."""
    from convttlstm.reporting import find_report
    from convttlstm.reporting.report import write_report
    from convttlstm.results import Scale

    scale = Scale.load(options.config, options.results, options.model)
    folder = options.output or scale.folder
    for path in write_report(find_report(options.what), scale, options.dataset, folder):
        print(f"wrote {path}")


def estimate(options: argparse.Namespace) -> None:
    """Estimate the jobs, hours and storage of a scale, by stage."""
    from convttlstm.evaluation.complexity import ModelCounts
    from convttlstm.planning.estimate import estimate, to_text

    settings = load_settings(options.config)
    counts = ModelCounts(settings, load_settings(options.config.with_name(PAPER)))
    found = estimate(settings, options.config.stem, options.times, counts, options.minutes)
    print(to_text(found, options.times, options.minutes))


def status(options: argparse.Namespace) -> None:
    """Show the progress of a scale's runs; changes nothing."""
    from convttlstm.planning.status import status, to_text
    from convttlstm.slurm import jobs_of

    scale = options.config.stem
    results = options.results or Path("results", scale)
    queue = jobs_of(Path.cwd())  # where Snakemake runs
    print(to_text(status(load_settings(options.config), scale, results, queue), queue))


def settings_digests(options: argparse.Namespace) -> None:
    """Write digests of the settings that each stage of a scale depends on."""
    write_json(options.output, digests(load_settings(options.config), options.config.stem))
    print(f"wrote {options.output}")


def archive(options: argparse.Namespace) -> None:
    """Move runs' folders away, so that they are trained again."""
    from convttlstm.training.locks import archive

    for folder in options.runs:
        print(f"{folder}: now {archive(folder)}; run snakemake to train the run again")


def schema(options: argparse.Namespace) -> None:
    """Write the JSON schema of the settings."""
    write_text(options.output, json_schema())
    print(f"wrote {options.output}")

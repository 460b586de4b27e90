"""What each subcommand does; its docstring is its help. Heavy imports wait until they are needed."""

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
from convttlstm.files import UserError, write_json, write_text

# Raw data that can be fetched, and the kind of data set that is made of them.
RAW_DATA = {"mnist": "moving_mnist", "kth": "kth", "something": "something"}


def _run(options: argparse.Namespace) -> Run:
    settings = _settings(options.config, options.model)
    winners = read_winners(options.selection) if options.selection else None
    return resolve_run(settings, options.config.stem, options.dataset, options.run, winners)


def _settings(config: Path, model: str | None) -> Settings:
    settings = load_settings(config)
    return with_model(settings, model) if model else settings


def fetch(options: argparse.Namespace) -> None:
    """Download and verify MNIST, KTH or LPIPS's AlexNet weights; check Something-Something's clips."""
    if options.what == "lpips":
        from convttlstm.data.lpips_weights import fetch_alexnet

        fetch_alexnet(options.output)
    else:
        from convttlstm.data.kinds import data_kind

        data_kind(RAW_DATA[options.what]).fetch(options.output, options.lock, options.labels)
    print(f"wrote {options.output}")


def _dataset(options: argparse.Namespace) -> Dataset:
    settings = load_settings(options.config)
    if options.dataset not in settings.datasets:
        raise UserError(f"{options.config}: no data set {options.dataset!r}")
    return settings.datasets[options.dataset]


def synthesize(options: argparse.Namespace) -> None:
    """Draw and encode a stand-in for KTH or Something-Something."""
    from convttlstm.data.kinds import data_kind

    dataset = _dataset(options)
    written = data_kind(dataset.kind).synthesize(dataset, options.output)
    if not written:
        raise UserError(f"{options.config}: there is no stand-in for {options.dataset}")
    print(f"wrote {', '.join(map(str, written))}")


def prepare(options: argparse.Namespace) -> None:
    """Make a data set's train, validation and test splits."""
    from convttlstm.data.kinds import Preparation, data_kind

    dataset = _dataset(options)
    raw = options.raw or Path(dataset.raw_folder)
    places = raw, options.output, options.embedded, options.checksums
    data_kind(dataset.kind).prepare(dataset, Preparation(options.dataset, *places, options.processes))
    print(f"wrote {options.output}")


def compare(options: argparse.Namespace) -> None:
    """Set two folders of results beside each other: scales, commits, devices."""
    from convttlstm.sharing.compare import compare

    found = compare(options.a, options.b)
    if options.output:
        found.write(options.output)
        print(f"wrote {options.output}")
    else:
        print(found.to_text())


def verify(options: argparse.Namespace) -> None:
    """Check prepared data, or a bundle, by checksum; nothing is unpacked."""
    if options.path.is_dir():
        from convttlstm.data.verify import verify_data

        print(verify_data(options.path))
    else:
        from convttlstm.sharing.bundle import verify_bundle

        print(verify_bundle(options.path))


def train(options: argparse.Namespace) -> None:
    """Train a run, or go on with it where it stopped."""
    from convttlstm.training.loop import train
    from convttlstm.training.publishing import adopt

    run = _run(options)
    if not run.trained:
        raise UserError(f"{run.id} has no weights; evaluate it without training")
    if not (is_selected(run.id) and adopt(run, options.output)):
        with _stopping():
            train(run, options.data, options.output)


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """End this process when training was stopped; if Slurm is to start it again, Slurm ends it."""
    from convttlstm.training.interruption import EXIT_INTERRUPTED, Interrupted

    try:
        yield
    except Interrupted as stop:
        print(stop, file=sys.stderr, flush=True)
        if stop.reason.restarts and slurm.requeue():
            print("the job is back in Slurm's queue, which ends it now", file=sys.stderr, flush=True)
            time.sleep(600)
        sys.exit(EXIT_INTERRUPTED)


def try_place(options: argparse.Namespace) -> None:
    """Train the run that takes a place in a round of successive halving."""
    from convttlstm.training.halving import train_rung

    settings, place = load_settings(options.config), (options.role, options.rung, options.place)
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

    _dataset(options)
    select(load_settings(options.config), options.dataset, options.runs, options.output, options.tried)
    print(f"wrote {options.output}")


def evaluate(options: argparse.Namespace) -> None:
    """Evaluate a run on the test split."""
    from convttlstm.evaluation.protocol import evaluate_run

    evaluate_run(_run(options), options.data, options.output, options.lpips)
    print(f"wrote {options.output / 'metrics.json'}")


def predict(options: argparse.Namespace) -> None:
    """Predict the next frames of a video of your own, or of a drawn test sequence, with a finished run."""
    from convttlstm.forecast import check_suffix, write_forecast

    check_suffix(options.output)
    from convttlstm.evaluation.predict import predict

    forecast = predict(options.run, options.video, options.horizon, options.start)
    write_forecast(forecast.run, forecast.truth, forecast.prediction, options.output)
    print(f"wrote {options.output}")


def import_weights(options: argparse.Namespace) -> None:
    """Take the authors' released weights, to be evaluated.

    Frames of models that were trained with a sigmoid at the output, an option of the authors' scripts, want
    the model's setting `output: sigmoid`: the file of weights does not tell.
    """
    from convttlstm.sharing.exchange import import_weights

    settings = load_settings(options.config)
    run = resolve_run(settings, options.config.stem, options.dataset, options.run)
    import_weights(options.checkpoint, options.sha256, run, options.output)
    if run.model_arguments().get("output") == "linear":
        print(
            f"{run.id}: evaluated without a sigmoid at its output; if it was trained with one, which the "
            f"file does not tell, set systems.{run.system}.model.output: sigmoid and import it again"
        )
    print(f"wrote {options.output / 'best.safetensors'}; `convttlstm evaluate` evaluates it")


def export_weights(options: argparse.Namespace) -> None:
    """Write a finished run's weights with a model card."""
    from convttlstm.sharing.exchange import export_weights

    export_weights(options.run, options.output)
    print(f"wrote {options.output}")


def bundle(options: argparse.Namespace) -> None:
    """Pack a finished reproduction into one archive that describes itself."""
    from convttlstm.sharing.bundle import bundle

    results = options.results or Path("results", options.config.stem)
    print("wrote", bundle(options.config, results, options.output))


def complexity(options: argparse.Namespace) -> None:
    """Count parameters and multiplications of every system."""
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
    found = estimate(settings, options.config.stem, options.times, ModelCounts(settings), options.minutes)
    print(to_text(found, options.times, options.minutes))


def status(options: argparse.Namespace) -> None:
    """Show the progress of a scale's runs; no job is touched."""
    from convttlstm.planning.status import status, to_text
    from convttlstm.slurm import jobs_of

    scale = options.config.stem
    results = options.results or Path("results", scale)
    queue = jobs_of(Path.cwd())  # where Snakemake runs
    print(to_text(status(load_settings(options.config), scale, results, queue), queue))


def settings_digests(options: argparse.Namespace) -> None:
    """Write digests of what decides each result of a scale."""
    write_json(options.output, digests(load_settings(options.config), options.config.stem))
    print(f"wrote {options.output}")


def forget(options: argparse.Namespace) -> None:
    """Set finished runs aside, so that they are trained anew."""
    from convttlstm.training.locks import forget

    for folder in options.runs:
        print(f"{folder}: now {forget(folder)}; the usual command trains the run anew")


def schema(options: argparse.Namespace) -> None:
    """Write the JSON schema of the settings."""
    write_text(options.output, json_schema())
    print(f"wrote {options.output}")

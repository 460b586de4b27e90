"""The training loop: resumes bit for bit, stops cleanly, publishes what it finished by rename.

A run's folder holds, while it trains, last.ckpt and the one before, and history.partial.csv; at the
end best.safetensors, history.csv and provenance.json. Killed at any moment and started again with
the same command, it ends with the same weights.
"""

import contextlib
import math
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from convttlstm import provenance, slurm
from convttlstm.config import Run, write_run
from convttlstm.files import UserError, atomic_path, sha256_of, write_bytes, write_json, write_text
from convttlstm.models import create_model
from convttlstm.repeatability import conditions, differences, set_arithmetic
from convttlstm.training.checkpoints import (
    LAST,
    load_checkpoint,
    save_checkpoint,
    set_aside,
)
from convttlstm.training.feeds import open_feed
from convttlstm.training.locks import run_lock
from convttlstm.training.recipes import RECIPES

EXIT_INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: the same command goes on

LIMIT, DUE = "the job's time limit", "checkpoint_minutes"
# Why a run saves: a checkpoint is due, or it must stop. After the last two Slurm starts the job again.
REASONS = ["", DUE, "SIGINT", "SIGTERM", "SIGUSR1", LIMIT]
SAVING_SECONDS = 120.0  # kept of a Slurm job's time; of a short job's a tenth


class Interrupted(Exception):
    """Something asked the run to stop, and it has saved.

    Attributes:
        later: whether Slurm is to start the job again.
    """

    def __init__(self, message: str, later: bool) -> None:
        super().__init__(message)
        self.later = later


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: finished epochs.
        step: finished steps of the epoch under way.
        loss_sum: sum of those steps' losses, each a mean over all processes.
        seconds: time spent on them.
        best_loss: lowest validation loss.
        best_epoch: the epoch that reached it, counted from 1.
        history: a line for each finished epoch.
        interruptions: how often the run was resumed.
        conditions: what decides the bits; see `repeatability`.
        bit_exact: whether the same weights can be had again.
    """

    conditions: dict[str, Any]
    bit_exact: bool
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    interruptions: int = 0


def train(run: Run, data: Path, folder: Path, until: int | None = None) -> None:
    """Train a run to its end, or go on with it.

    Args:
        run: its resolved settings.
        data: the prepared data set's folder.
        folder: the run's folder.
        until: stop after this epoch, without publishing what is not finished.

    Raises:
        UserError: data or checkpoints cannot be used, the loss is no longer finite, or a file cannot
            be written.
        Interrupted: SIGTERM, SIGUSR1 or SIGINT came, or a Slurm job's time runs out; the run has been saved.
    """
    warnings.filterwarnings("ignore", message="The `srun` command is available")  # but need not be used
    fabric = Fabric(
        accelerator=run.compute.accelerator,
        devices=run.compute.devices,
        num_nodes=run.compute.nodes,
        strategy="ddp" if run.compute.devices * run.compute.nodes > 1 else "auto",
        precision="32-true" if run.training.precision == "tf32" else run.training.precision,
    )
    set_arithmetic(run.training.precision == "tf32", run.compute.deterministic)
    fabric.launch()
    torch.set_num_threads(run.compute.threads)
    with run_lock(folder) if fabric.is_global_zero else contextlib.nullcontext():
        fabric.barrier()  # the others read no checkpoint while an earlier process still writes
        trainer = Trainer(run, data, folder, fabric)
        trainer.resume()
        with stop_requests() as asked:
            trainer.run_epochs(asked, until or run.training.epochs)
        if trainer.progress.epoch == run.training.epochs:
            trainer.publish()


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], str]]:
    """Yield a function that says which of REASONS asks for an end: a signal, not died of, or the time."""
    received: list[str] = []
    left = slurm.seconds_left()
    deadline = time.monotonic() + left - min(SAVING_SECONDS, left / 10) if left else math.inf

    def note(number: int, frame: Any) -> None:
        received.append(signal.Signals(number).name)

    def asked() -> str:
        if not received and time.monotonic() > deadline:
            received.append(LIMIT)
        return received[0] if received else ""

    numbers = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def adopt(run: Run, folder: Path) -> bool:
    """Give a run the weights of the grid's run of the same settings and seed, if that is finished.

    Args:
        run: a selected run, which is a run of the grid under another name.
        folder: its folder, beside the other's.

    Returns:
        Whether there was such a run.
    """
    for weights in sorted(folder.parent.glob(f"{run.system}-*/best.safetensors")):
        with contextlib.suppress(SafetensorError), safe_open(weights, framework="pt") as file:
            if weights.parent != folder and file.metadata().get("digest") == run.digest():
                for name in ("history.csv", "provenance.json", "best.safetensors"):
                    write_bytes(folder / name, (weights.parent / name).read_bytes())
                write_run(folder, run)
                print(f"{run.id}: is {weights.parent.name}, which is trained; its files are copied")
                return True
    return False


class Trainer:
    """One run under way on this process, or on this process's share of several."""

    def __init__(self, run: Run, data: Path, folder: Path, fabric: Fabric) -> None:
        self.run, self.folder, self.fabric = run, folder, fabric
        self.feed = open_feed(run, data, fabric)
        torch.manual_seed(run.seed)
        model = create_model(run.model.name, run.dataset.channels, **run.model_arguments())
        if run.compute.compile and not hasattr(model, "stack"):
            self.say(f"{run.id}: compute.compile serves the recurrent stack only; trained uncompiled")
        elif run.compute.compile:
            model.stack.compile_cells()  # type: ignore[operator, union-attr]
        self.recipe = RECIPES[run.training.recipe](run, fabric, model)
        self.model = self.recipe.model
        self.best: dict[str, Tensor] = {}
        now = conditions(run, fabric.device.type, fabric.world_size)
        self.progress = Progress(now, bit_exact=now["deterministic"])
        self.saved_at = time.monotonic()

    def say(self, message: str) -> None:
        """Print a line once, whatever the number of processes, above a progress bar if there is one."""
        if self.fabric.is_global_zero:
            tqdm.write(message)
            sys.stdout.flush()

    def resume(self) -> None:
        """Go on from the newest readable checkpoint of the same settings and data."""
        saved = load_checkpoint(self.folder)
        if saved is not None and (saved["identity"], saved["data"]) != self.identity:
            self._set_aside(saved)
            saved = None
        if self.fabric.is_global_zero:
            write_run(self.folder, self.run)
        if saved is None:
            return
        self.model.load_state_dict(saved["model"])
        self.recipe.load_state_dict(saved["recipe"])
        self.best = saved["best"]
        self.progress = Progress(**saved["progress"])
        if self.progress.epoch < self.run.training.epochs:
            self.progress.interruptions += 1
            self.say(f"{self.run.id}: goes on after epoch {self.progress.epoch}, step {self.progress.step}")
        now = conditions(self.run, self.fabric.device.type, self.fabric.world_size)
        if changed := differences(self.progress.conditions, now):
            self.progress.bit_exact = False
            self.progress.conditions = now
            self.say(
                f"{self.run.id}: {', '.join(changed)}; "
                "the result is no longer bit-identical to an uninterrupted run"
            )

    @property
    def identity(self) -> tuple[str, dict[str, str]]:
        """What a checkpoint must share with this run to be its own."""
        return self.run.identity(), self.feed.sources

    def _set_aside(self, saved: dict[str, Any]) -> None:
        self.fabric.barrier()
        if self.fabric.is_global_zero:
            aside = set_aside(self.folder, saved)
            self.say(
                f"{self.folder}: the checkpoint belongs to other settings or data; kept as {aside.name}, "
                "training starts anew"
            )
        self.fabric.barrier()

    def run_epochs(self, asked: Callable[[], str], until: int) -> None:
        """Train the epochs that are left up to `until`, or until `asked` gives a reason to stop."""
        while self.progress.epoch < until:
            self._train_epoch(asked)
            self._close_epoch(asked)

    def _train_epoch(self, asked: Callable[[], str]) -> None:
        training, progress = self.run.training, self.progress
        steps = training.samples_per_epoch // training.batch_size
        self.model.train()
        bar = tqdm(
            total=steps,
            initial=progress.step,
            desc=f"{self.run.id} {progress.epoch + 1}/{training.epochs}",
            disable=not (sys.stderr.isatty() and self.fabric.is_global_zero),
            leave=False,
        )
        loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=self.fabric.device)
        before, started = progress.seconds, time.monotonic()
        # Closed at once when something is raised, so that no process that decodes clips stays.
        with bar, contextlib.closing(self.feed.epoch(progress.epoch + 1, progress.step)) as batches:
            for batch in batches:
                loss_sum += self.recipe.step(self.model, batch)
                progress.step += 1
                progress.seconds = before + time.monotonic() - started
                bar.update()
                due = time.monotonic() - self.saved_at > 60 * self.run.compute.checkpoint_minutes
                reason = self._agreed(asked() or (DUE if due else ""))
                if reason or progress.step == steps:
                    progress.loss_sum = self._sum(loss_sum) / self.fabric.world_size
                    self._check_finite(progress.loss_sum)
                if reason == DUE:
                    self.save()
                elif reason:
                    self._stop(reason)

    def _agreed(self, reason: str) -> str:
        """Return the same reason on all processes: one that stopped alone would leave the others waiting."""
        if self.fabric.world_size == 1:
            return reason
        number = torch.tensor(REASONS.index(reason), device=self.fabric.device)
        return REASONS[int(self.fabric.all_reduce(number, reduce_op="max"))]  # type: ignore[arg-type]

    def _stop(self, reason: str) -> None:
        self.save()
        progress, training = self.progress, self.run.training
        raise Interrupted(
            f"{self.run.id}: stopped by {reason} after {progress.step} of "
            f"{training.samples_per_epoch // training.batch_size} steps of epoch {progress.epoch + 1}, "
            "all saved; the same command goes on from there",
            later=REASONS.index(reason) >= REASONS.index("SIGUSR1"),
        )

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"{self.run.id}: the loss is {loss} in epoch {self.progress.epoch + 1}; "
                f"{LAST} is from before; lower training.learning_rate or training.gradient_clip"
            )

    def _close_epoch(self, asked: Callable[[], str]) -> None:
        progress, training = self.progress, self.run.training
        steps = training.samples_per_epoch // training.batch_size
        train_loss = progress.loss_sum / steps
        validation_loss = self._validation_loss(asked)
        self._check_finite(validation_loss)
        progress.epoch += 1
        row = {
            "epoch": progress.epoch,
            "train_loss": train_loss,
            "validation_loss": validation_loss,
        }
        row |= self.recipe.report()
        row |= {"seconds": progress.seconds, "samples": steps * training.batch_size}
        progress.history.append(row)
        better = validation_loss < progress.best_loss
        if better:
            progress.best_loss, progress.best_epoch = validation_loss, progress.epoch
            self.best = {
                name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, value in self.model.state_dict().items()
            }
        self.recipe.finish_epoch(validation_loss)
        progress.step, progress.loss_sum, progress.seconds = 0, 0.0, 0.0
        self.save()
        self.say(
            f"{self.run.id} epoch {progress.epoch}/{training.epochs}: train {train_loss:.5f}, validation "
            f"{validation_loss:.5f}{' (best)' if better else ''}, "
            f"sampling ratio {row['sampling_ratio']:.3f}, "
            f"{row['samples'] / row['seconds']:.1f} samples/s"
        )

    @torch.no_grad()
    def _validation_loss(self, asked: Callable[[], str]) -> float:
        self.model.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        with contextlib.closing(self.feed.validation()) as batches:
            for batch in batches:
                total += self.recipe.validate(self.model, batch) * len(batch.samples)
                # Of several processes each may have another number of batches: these stop afterwards.
                if self.fabric.world_size == 1 and (reason := asked()):
                    self._stop(reason)
        return self._sum(total) / self.feed.validated

    def _sum(self, value: Tensor) -> float:
        """Return the sum over all processes."""
        copy = value.double().clone()  # all_reduce works in place
        return float(self.fabric.all_reduce(copy, reduce_op="sum"))  # type: ignore[arg-type]

    def save(self) -> None:
        """Write the checkpoint, and the growing history beside it."""
        if self.fabric.is_global_zero:
            identity, sources = self.identity
            content = {
                "identity": identity,
                "data": sources,
                "model": self.model.state_dict(),
                "recipe": self.recipe.state_dict(),
                "best": self.best,
                "progress": asdict(self.progress),
            }
            save_checkpoint(self.folder, content)
            self._write_history("history.partial.csv")
        self.saved_at = time.monotonic()

    def _write_history(self, name: str) -> None:
        write_text(self.folder / name, pd.DataFrame(self.progress.history).to_csv(index=False))

    def publish(self) -> None:
        """Give the finished run's files their final names."""
        if not self.fabric.is_global_zero:
            return
        self._write_history("history.csv")
        (self.folder / "history.partial.csv").unlink(missing_ok=True)
        with atomic_path(self.folder / "best.safetensors") as temporary:
            # One entry only: safetensors writes several in random order.
            save_file(self.best, temporary, {"digest": self.run.digest()})
            write_json(self.folder / "provenance.json", self._provenance(sha256_of(temporary)))
        self.say(
            f"{self.run.id}: finished; best validation loss {self.progress.best_loss:.5f} in epoch "
            f"{self.progress.best_epoch}; weights in {self.folder / 'best.safetensors'}"
        )

    def _provenance(self, weights_sha256: str) -> dict[str, Any]:
        seconds = sum(row["seconds"] for row in self.progress.history)
        samples = sum(row["samples"] for row in self.progress.history)
        return {
            "run": self.run.id,
            **provenance.origin(),
            "sources": provenance.sources(),
            "weights_sha256": weights_sha256,
            **self.progress.conditions,
            "data": self.feed.sources,
            "parameters": sum(value.numel() for value in self.model.parameters()),
            "epochs": self.progress.epoch,
            "best_epoch": self.progress.best_epoch,
            "minutes_per_10000_samples": seconds / 60 * 10_000 / samples,
            "wall_seconds": seconds,
            "interruptions": self.progress.interruptions,
            "bit_exact": self.progress.bit_exact,
        }

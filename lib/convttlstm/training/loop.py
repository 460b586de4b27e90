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
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from convttlstm import provenance
from convttlstm.config import Run
from convttlstm.files import UserError, atomic_path, write_json, write_text
from convttlstm.models import create_model
from convttlstm.training.checkpoints import (
    LAST,
    load_checkpoint,
    run_lock,
    save_checkpoint,
    set_aside,
)
from convttlstm.training.feeds import open_feed
from convttlstm.training.recipes import RECIPES

EXIT_INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: the same command goes on


class Interrupted(Exception):
    """A signal asked the run to stop, and it has saved."""


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: finished epochs.
        step: finished steps of the epoch under way.
        loss_sum: sum of those steps' losses.
        seconds: time spent on them.
        best_loss: lowest validation loss.
        best_epoch: the epoch that reached it, counted from 1.
        history: a line for each finished epoch.
        interruptions: how often the run was resumed.
        threads: CPU threads used so far.
        bit_exact: whether no resume has changed what decides the bits.
    """

    threads: int
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    interruptions: int = 0
    bit_exact: bool = True


def train(run: Run, data: Path, folder: Path) -> None:
    """Train a run to its end, or go on with it.

    Args:
        run: its resolved settings.
        data: the prepared data set's folder.
        folder: the run's folder.

    Raises:
        UserError: data or checkpoints cannot be used, the loss is no longer finite, or a file cannot
            be written.
        Interrupted: SIGTERM, SIGUSR1 or SIGINT came; the run has been saved.
    """
    fabric = Fabric(
        accelerator=run.compute.accelerator,
        devices=run.compute.devices,
        strategy="ddp" if run.compute.devices > 1 else "auto",
        precision=run.training.precision,
    )
    fabric.launch()
    torch.set_num_threads(run.compute.threads)
    with run_lock(folder) if fabric.is_global_zero else contextlib.nullcontext():
        trainer = Trainer(run, data, folder, fabric)
        trainer.resume()
        with stop_signals() as received:
            trainer.run_epochs(received)
        trainer.publish()


@contextlib.contextmanager
def stop_signals() -> Iterator[list[str]]:
    """Collect the names of the signals that ask for an end, instead of dying of them."""
    received: list[str] = []

    def note(number: int, frame: Any) -> None:
        received.append(signal.Signals(number).name)

    numbers = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
            # One variant for each shape of layer, with and without gradients: more than torch's eight.
            torch._dynamo.config.recompile_limit = 64
            for cell in model.stack.cells():  # type: ignore[operator, union-attr]
                cell.compile()
        self.recipe = RECIPES[run.training.recipe](run, fabric, model)
        self.model = self.recipe.model
        self.best: dict[str, Tensor] = {}
        self.progress = Progress(threads=run.compute.threads)
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
            write_text(self.folder / "config.json", self.run.model_dump_json(indent=2) + "\n")
        if saved is None:
            return
        self.model.load_state_dict(saved["model"])
        self.recipe.load_state_dict(saved["recipe"])
        self.best = saved["best"]
        self.progress = Progress(**saved["progress"])
        if self.progress.epoch < self.run.training.epochs:
            self.progress.interruptions += 1
            self.say(f"{self.run.id}: goes on after epoch {self.progress.epoch}, step {self.progress.step}")
        if self.progress.threads != self.run.compute.threads:
            self.progress.bit_exact = False
            self.say(
                f"{self.run.id}: {self.run.compute.threads} threads now, {self.progress.threads} before; "
                "the result is no longer bit-identical to an uninterrupted run"
            )
            self.progress.threads = self.run.compute.threads

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

    def run_epochs(self, received: list[str]) -> None:
        """Train the epochs that are left; `received` names the signals that have come."""
        while self.progress.epoch < self.run.training.epochs:
            self._train_epoch(received)
            self._close_epoch()

    def _train_epoch(self, received: list[str]) -> None:
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
                if received or due or progress.step == steps:
                    progress.loss_sum = loss_sum.item()
                    self._check_finite(progress.loss_sum)
                if received or due:
                    self.save()
                if received:
                    raise Interrupted(
                        f"{self.run.id}: stopped by {received[0]} after {progress.step} of {steps} steps of "
                        f"epoch {progress.epoch + 1}, all saved; the same command goes on from there"
                    )

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"{self.run.id}: the loss is {loss} in epoch {self.progress.epoch + 1}; "
                f"{LAST} is from before; lower training.learning_rate or training.gradient_clip"
            )

    def _close_epoch(self) -> None:
        progress, training = self.progress, self.run.training
        steps = training.samples_per_epoch // training.batch_size
        train_loss = (
            self._sum(torch.tensor(progress.loss_sum, dtype=torch.float64)) / steps / self.fabric.world_size
        )
        validation_loss = self._validation_loss()
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
    def _validation_loss(self) -> float:
        self.model.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        with contextlib.closing(self.feed.validation()) as batches:
            for batch in batches:
                total += self.recipe.validate(self.model, batch) * len(batch.samples)
        return self._sum(total) / self.feed.validated

    def _sum(self, value: Tensor) -> float:
        """Return the sum over all processes."""
        return float(self.fabric.all_reduce(value.double(), reduce_op="sum"))  # type: ignore[arg-type]

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
        write_json(self.folder / "provenance.json", self._provenance())
        with atomic_path(self.folder / "best.safetensors") as temporary:
            # One entry only: safetensors writes several in random order.
            save_file(self.best, temporary, {"digest": self.run.digest()})
        self.say(
            f"{self.run.id}: finished; best validation loss {self.progress.best_loss:.5f} in epoch "
            f"{self.progress.best_epoch}; weights in {self.folder / 'best.safetensors'}"
        )

    def _provenance(self) -> dict[str, Any]:
        seconds = sum(row["seconds"] for row in self.progress.history)
        samples = sum(row["samples"] for row in self.progress.history)
        return {
            "run": self.run.id,
            **provenance.origin(),
            "device": provenance.device_name(self.fabric.device.type),
            "devices": self.fabric.world_size,
            "threads": self.progress.threads,
            "precision": self.run.training.precision,
            "data": self.feed.sources,
            "parameters": sum(value.numel() for value in self.model.parameters()),
            "epochs": self.progress.epoch,
            "best_epoch": self.progress.best_epoch,
            "minutes_per_10000_samples": seconds / 60 * 10_000 / samples,
            "wall_seconds": seconds,
            "interruptions": self.progress.interruptions,
            "bit_exact": self.progress.bit_exact,
        }

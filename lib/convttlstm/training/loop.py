"""The training loop: resumes bit for bit, stops cleanly, and publishes finished files by rename.

During training a run's folder holds last.ckpt, previous.ckpt and history.partial.csv; at the end
best.safetensors, history.csv and provenance.json. A run that is killed at any moment and started again with
the same command ends with the same weights.
"""

import contextlib
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn
from tqdm import tqdm

from convttlstm import provenance
from convttlstm.config import Run, write_run
from convttlstm.files import UserError, listed
from convttlstm.models import create_model
from convttlstm.repeatability import conditions, device_kind, differences, set_arithmetic
from convttlstm.training.checkpoints import (
    LAST,
    Progress,
    load_checkpoint,
    remove_unfinished,
    save_checkpoint,
    set_aside,
)
from convttlstm.training.history import PARTIAL, write_history
from convttlstm.training.interruption import Interrupted, Reason, stop_requests
from convttlstm.training.loaders import open_loader
from convttlstm.training.locks import run_lock
from convttlstm.training.publishing import WEIGHTS, publish
from convttlstm.training.recipes import RECIPES, Batch


def train(run: Run, data: Path, folder: Path, until: int | None = None) -> None:
    """Train a run, or resume it, up to the epoch `until` or its last one; publish it if that was its last.

    Raises:
        UserError: data or checkpoints cannot be used, the loss is not finite, or a file cannot be written.
        Interrupted: SIGTERM, SIGUSR1 or SIGINT arrived, or a Slurm job's time runs out; the run was saved.
    """
    fabric = launch(run)
    with run_lock(folder) if fabric.is_global_zero else contextlib.nullcontext():
        if fabric.is_global_zero:
            remove_unfinished(folder)
        fabric.barrier()  # other processes must not read a checkpoint that an earlier one still writes
        trainer = Trainer(run, data, folder, fabric)
        trainer.resume()
        with stop_requests() as stop_reason:
            trainer.run_epochs(stop_reason, until or run.training.epochs)
        if trainer.progress.epoch == run.training.epochs:
            trainer.publish()


def launch(run: Run) -> Fabric:
    """Start the processes that train a run together, and set their arithmetic."""
    warnings.filterwarnings("ignore", message="The `srun` command is available")  # srun is not needed
    alone = run.compute.devices * run.compute.nodes == 1
    fabric = Fabric(
        accelerator=device_kind(run.compute.accelerator),
        devices=run.compute.devices,
        num_nodes=run.compute.nodes,
        strategy="auto" if alone else "ddp",
        precision="32-true" if run.training.precision == "tf32" else run.training.precision,
        # The enclosing job may have several tasks that do not belong to this run.
        plugins=LightningEnvironment() if alone else None,
    )
    set_arithmetic(run.training.precision == "tf32", run.compute.deterministic)
    fabric.launch()
    torch.set_num_threads(run.compute.threads)
    return fabric


class Trainer:
    """The training of one run in this process, which may be one of several."""

    def __init__(self, run: Run, data: Path, folder: Path, fabric: Fabric) -> None:
        self.run, self.folder, self.fabric = run, folder, fabric
        self.steps = run.training.samples_per_epoch // run.training.batch_size
        self.loader = open_loader(run, data, fabric)
        # A checkpoint of this run has the same identity.
        self.identity = {"identity": run.deciding(), "data": self.loader.sources}
        self.recipe = RECIPES[run.training.recipe](run, fabric, self._fresh_model())
        self.model = self.recipe.model
        self.best: dict[str, Tensor] = {}
        now = conditions(run, fabric.device.type, fabric.world_size)
        self.progress = Progress(now, bit_exact=now["deterministic"])
        self.saved_at = time.monotonic()

    def _fresh_model(self) -> nn.Module:
        run = self.run
        torch.manual_seed(run.seed)
        model = create_model(run.model.name, **run.model_arguments())
        if run.compute.compile and not hasattr(model, "stack"):
            self.say(f"{run.id}: compute.compile works for the recurrent models only; training without it")
        elif run.compute.compile:
            model.stack.compile_cells()  # type: ignore[operator, union-attr]
        return model

    def say(self, message: str) -> None:
        """Print a line from the first process only, above the progress bar if there is one."""
        if self.fabric.is_global_zero:
            tqdm.write(message)
            sys.stdout.flush()

    def resume(self) -> None:
        """Resume from the newest readable checkpoint if its settings and data are this run's."""
        load_checkpoint(self.folder, self._restore)
        if warning := self.recipe.warning():
            self.say(f"{self.run.id}: {warning}")
        if self.fabric.is_global_zero:
            write_run(self.folder, self.run)
            if 0 < self.progress.epoch < self.run.training.epochs:  # a killed process may not have written it
                write_history(self.folder / PARTIAL, self.progress.history)

    def _set_aside(self, saved: dict[str, Any], changes: Sequence[str]) -> None:
        self.fabric.barrier()
        if self.fabric.is_global_zero:
            aside = set_aside(self.folder, saved)
            (self.folder / PARTIAL).unlink(missing_ok=True)
            self.say(
                f"{self.folder}: the checkpoint has other settings or data ({listed(changes)}); "
                f"kept as {aside.name}, training starts again"
            )
        self.fabric.barrier()

    def _changes_since(self, saved: dict[str, Any]) -> list[str]:
        """Return the settings and data that decide the weights and differ from a checkpoint's."""
        earlier, data = saved["identity"], self.loader.sources
        changes = self.run.changes_since(earlier if isinstance(earlier, dict) else json.loads(earlier))
        return changes + [f"{split} data" for split in data if saved["data"].get(split) != data[split]]

    def _restore(self, saved: dict[str, Any]) -> None:
        if changes := self._changes_since(saved):
            self._set_aside(saved, changes)
            return
        progress = Progress(**saved["progress"])
        if progress.epoch > self.run.training.epochs:
            raise UserError(
                f"{self.folder}: has {progress.epoch} epochs already, but training.epochs is "
                f"{self.run.training.epochs}; set it to {progress.epoch}, or archive the run with "
                "`convttlstm archive`"
            )
        self.model.load_state_dict(saved["model"])
        self.recipe.load_state_dict(saved["recipe"])
        self.best = saved["best"]
        now, self.progress = self.progress.conditions, progress
        if self.progress.epoch == self.run.training.epochs:
            return
        self.progress.interruptions += 1
        self.say(f"{self.run.id}: resumes after epoch {self.progress.epoch}, step {self.progress.step}")
        if changed := differences(self.progress.conditions, now):
            self.progress.bit_exact = False
            self.progress.conditions = now
            self.say(
                f"{self.run.id}: {', '.join(changed)}; "
                "the result is no longer bit-identical to an uninterrupted run"
            )

    def run_epochs(self, stop_reason: Callable[[], Reason], until: int) -> None:
        """Train the remaining epochs up to `until`, or until `stop_reason` returns a reason to stop."""
        # A finished run may only be published again; earlier versions did not record what trained it.
        if self.progress.epoch < until or not self.progress.made_by:
            self.progress.made_by = provenance.origin() | {"sources": provenance.sources()}
        while self.progress.epoch < until:
            self._train_epoch(stop_reason)
            self._close_epoch(self._validation_loss(stop_reason))

    def _train_epoch(self, stop_reason: Callable[[], Reason]) -> None:
        progress = self.progress
        self.model.train()
        loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=self.fabric.device)
        started = time.monotonic() - progress.seconds
        # Closed at once on an error, so that no worker process stays behind.
        with (
            contextlib.closing(self.loader.epoch(progress.epoch + 1, progress.step)) as batches,
            self._bar(batches) as bar,
        ):
            for batch in bar:
                loss_sum += self.recipe.step(batch)
                progress.step += 1
                progress.seconds = time.monotonic() - started
                reason = self._reason_to_save(stop_reason)
                if reason or progress.step == self.steps:
                    progress.loss_sum = self._sum(loss_sum) / self.fabric.world_size
                    self._check_finite(progress.loss_sum)
                if reason:
                    self._save_for(reason)

    def _bar(self, batches: Iterable[Batch]) -> tqdm:
        progress = self.progress
        return tqdm(
            batches,
            total=self.steps,
            initial=progress.step,
            desc=f"{self.run.id} {progress.epoch + 1}/{self.run.training.epochs}",
            disable=not (sys.stderr.isatty() and self.fabric.is_global_zero),
            leave=False,
        )

    def _reason_to_save(self, stop_reason: Callable[[], Reason]) -> Reason:
        # All processes must agree: the others would wait for one that stopped alone.
        reason = stop_reason()
        if not reason and time.monotonic() - self.saved_at > 60 * self.run.compute.checkpoint_minutes:
            reason = Reason.DUE
        if self.fabric.world_size > 1:
            number = torch.tensor(int(reason), device=self.fabric.device)
            reason = Reason(int(self.fabric.all_reduce(number, reduce_op="max")))  # type: ignore[arg-type]
        return reason

    def _save_for(self, reason: Reason) -> None:
        self.save()
        if reason.stops:
            # The launcher kills all processes once one ends; the first must have saved by then.
            self.fabric.barrier()
            raise Interrupted(
                f"{self.run.id}: stopped by {reason} after {self.progress.step} of {self.steps} steps of "
                f"epoch {self.progress.epoch + 1}, all saved; run the same command again to resume",
                reason,
            )

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            saved = f"{LAST} was saved before that; " if (self.folder / LAST).exists() else ""
            raise UserError(
                f"{self.run.id}: the loss is {loss} in epoch {self.progress.epoch + 1}; {saved}"
                "lower training.learning_rate or training.gradient_clip"
            )

    @torch.no_grad()
    def _validation_loss(self, stop_reason: Callable[[], Reason]) -> float:
        self.model.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        with contextlib.closing(self.loader.validation()) as batches:
            for batch in batches:
                total += self.recipe.validate(batch) * len(batch.samples)
                # Several processes may have different numbers of batches, so they stop after validation.
                if self.fabric.world_size == 1 and (reason := stop_reason()):
                    self._save_for(reason)
        return self._sum(total) / self.loader.validated

    def _sum(self, value: Tensor) -> float:
        """Return the sum over all processes."""
        copy = value.double().clone()  # all_reduce works in place
        return float(self.fabric.all_reduce(copy, reduce_op="sum"))  # type: ignore[arg-type]

    def _close_epoch(self, validation_loss: float) -> None:
        self._check_finite(validation_loss)
        progress, training = self.progress, self.run.training
        progress.epoch += 1
        progress.finished = datetime.now(UTC).date().isoformat()
        train_loss, samples = progress.loss_sum / self.steps, self.steps * training.batch_size
        report, speed = self.recipe.report(), samples / progress.seconds
        losses = {"train_loss": train_loss, "validation_loss": validation_loss}
        cost = {"seconds": progress.seconds, "samples": samples}
        progress.history.append({"epoch": progress.epoch, **losses, **report, **cost})
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
        reported = "".join(f"{name.replace('_', ' ')} {value:.4g}, " for name, value in report.items())
        self.say(
            f"{self.run.id} epoch {progress.epoch}/{training.epochs}: train {train_loss:.5f}, validation "
            f"{validation_loss:.5f}{' (best)' if better else ''}, {reported}{speed:.1f} samples/s"
        )

    def save(self) -> None:
        """Write the checkpoint and the history so far."""
        if self.fabric.is_global_zero:
            content = self.identity | {
                "model": self.model.state_dict(),
                "recipe": self.recipe.state_dict(),
                "best": self.best,
                "progress": asdict(self.progress),
            }
            save_checkpoint(self.folder, content)
            write_history(self.folder / PARTIAL, self.progress.history)
        self.saved_at = time.monotonic()

    def publish(self) -> None:
        """Write the finished run's weights, history and provenance."""
        if self.fabric.is_global_zero:
            parameters = sum(value.numel() for value in self.model.parameters())
            publish(self.run, self.folder, self.best, self.progress, self.loader.sources, parameters)
            self.say(
                f"{self.run.id}: finished; best validation loss {self.progress.best_loss:.5f} in epoch "
                f"{self.progress.best_epoch}; weights in {self.folder / WEIGHTS}"
            )

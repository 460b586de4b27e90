"""The provenance of each row, from its run's folder."""

from convttlstm.files import listed
from convttlstm.provenance import changed_sources
from convttlstm.reporting.cells import sequences_in_words, short_commit
from convttlstm.results import Recognition, Result


def facts_of(result: Result | Recognition) -> dict[str, str]:
    """Return a run's provenance: name and value of each fact."""
    if isinstance(result, Result):
        evaluated = {
            "Test sequences": sequences_in_words(result.metrics.sequences),
            "LPIPS weights": result.metrics.lpips_weights or "none: LPIPS was not computed",
        }
    else:
        evaluated = {"Test clips": f"{result.metrics.clips:,}"}
    facts = {"Run": result.config.id, "Folder": f"runs/{result.config.dataset_name}/{result.config.id}/"}
    return facts | _training(result) | _evaluation(result) | evaluated


def _training(result: Result | Recognition) -> dict[str, str]:
    provenance, parameters = result.provenance, f"{result.metrics.parameters:,}"
    if provenance is None:
        return {"Parameters": parameters, "Trained by": "not trained: a naive prediction"}
    facts = {
        "Trained by": provenance.command,
        "Commit": short_commit(provenance.commit, provenance.uncommitted_changes),
        "Source digest": provenance.source_digest,
        "Changed since": listed(changed_sources(provenance.sources)) or "none of the files that it ran",
        "Weights' SHA-256": provenance.weights_sha256,
    }
    facts |= {f"Data, {split}": checksum for split, checksum in provenance.data.items()}
    return facts | {
        "Seed": str(result.config.seed),
        "Epochs": str(provenance.epochs),
        "Parameters": parameters,
        "Device": f"{provenance.devices} x {provenance.device}",
        "Driver": provenance.driver or "none",
        "Threads": str(provenance.threads),
        "Precision": provenance.precision,
        "Versions": _pairs(provenance.versions),
        "Minutes for 10,000 samples": f"{provenance.minutes_per_10000_samples:.2f}",
        "Finished": provenance.finished or "not recorded",
        "Interruptions": str(provenance.interruptions),
        "Repeatable bit for bit": "yes, under the same conditions" if provenance.bit_exact else "no",
    }


def _evaluation(result: Result | Recognition) -> dict[str, str]:
    evaluated = result.metrics.evaluated_by
    return {
        "Evaluated by": evaluated.command,
        "at commit": short_commit(evaluated.commit, evaluated.uncommitted_changes),
        "on": evaluated.device,
        "with": _pairs(evaluated.versions),
    }


def _pairs(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())

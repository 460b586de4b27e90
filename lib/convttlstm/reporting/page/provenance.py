"""Where each row comes from: what a run's folder says of itself, to be opened from wherever it is shown."""

import html
from collections.abc import Sequence

from convttlstm.provenance import changed_sources
from convttlstm.reporting.markup import origin_id, origin_link
from convttlstm.reporting.recognition import Recognition
from convttlstm.reporting.results import Result
from convttlstm.reporting.table2 import sequences_in_words, short_commit


def folder_of(result: Result | Recognition) -> str:
    """Return the run's folder below runs/, as claims.csv names it."""
    return f"{result.config.dataset_name}/{result.config.id}"


def run_details(result: Result | Recognition) -> str:
    """Return a closed <details> with all that is known of how a run came about."""
    if isinstance(result, Result):
        judged = {
            "Test sequences": sequences_in_words(result.metrics.sequences),
            "LPIPS weights": result.metrics.lpips_weights or "none: LPIPS was not computed",
        }
    else:
        judged = {"Test clips": f"{result.metrics.clips:,}"}
    folder = folder_of(result)
    facts = {"Run": result.config.id, "Folder": f"runs/{folder}/"}
    facts |= _training(result) | _evaluation(result) | judged
    rows = [f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in facts.items()]
    # A link to the list within, not to the <details>, opens it.
    opening = f'<details class="run"><summary>{html.escape(result.name)}</summary>'
    return "\n".join([f'{opening}<dl id="{origin_id(folder)}">', *rows, "</dl></details>"])


def _training(result: Result | Recognition) -> dict[str, str]:
    provenance, parameters = result.provenance, f"{result.metrics.parameters:,}"
    if provenance is None:
        return {"Parameters": parameters, "Trained by": "nothing: this prediction needs no training"}
    facts = {
        "Trained by": provenance.command,
        "Commit": short_commit(provenance.commit, provenance.uncommitted_changes),
        "Source digest": provenance.source_digest,
        "Changed since": ", ".join(changed_sources(provenance.sources)) or "none of the files it ran",
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


def made_from(results: Sequence[Result | Recognition]) -> str:
    """Return a link to where these runs come from."""
    count = f"{len(results)} runs" if len(results) > 1 else "one run"
    return origin_link(f"made from {count}", [folder_of(result) for result in results])

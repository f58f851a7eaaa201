"""Reports of edits as plain values for a JSON file, and warnings for the user."""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from ..editing.result import EditResult
from ..inversion.trace import Trace
from ..settings import EditSettings


def edit_report(
    result: EditResult, inputs: Sequence[str], prompts: Sequence[str], outputs: Sequence[str]
) -> list[dict[str, Any]]:
    """One entry per edit: inputs, outputs, and the losses at every step.

    Args:
        result: of N edits.
        inputs, prompts, outputs: N names each.

    Returns:
        N dictionaries. `start` and `kept` are the unweighted losses of the first step and of the step
        whose image is returned. `frame` is the box of the generator's frame, `changed` the share of the
        photo's pixels in the edit mask. `refinement` and `tuning` have the steps, seconds, `start` and
        `kept` of these phases; they are missing if the phase was not run.
    """
    changed = (result.edit_mask > 0).float().mean(dim=(1, 2, 3)).tolist()
    entries = []
    names = zip(inputs, prompts, outputs, strict=True)
    for sample, (source, prompt, output) in enumerate(names):
        kept = int(result.trace.kept_step[sample])
        entries.append(
            {
                "input": source,
                "prompt": prompt,
                "output": output,
                "width": result.images.shape[3],
                "height": result.images.shape[2],
                "frame": list(result.frames[sample].box),
                "changed": changed[sample],
                "stopped": result.stopped,
                "kept_step": kept,
                "start": _losses(result.trace, 0, sample),
                "kept": _losses(result.trace, kept, sample) if kept >= 0 else None,
                "trace": {
                    name: [_number(value) for value in values[:, sample]]
                    for name, values in _curves(result.trace).items()
                },
                "seconds": [round(value, 4) for value in result.trace.seconds.tolist()],
                **{name: _fit(trace, sample) for name, trace in result.trace.preparations()},
            }
        )
    return entries


def run_report(
    edits: Sequence[dict[str, Any]],
    settings: EditSettings,
    models: str,
    device: str,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """All that is needed to repeat the edits, and the entries of `edit_report`."""
    return {
        "fice": package_version(),
        "torch": str(torch.__version__),
        "models": models,
        "device": device,
        "settings": settings.as_dict(),
        "warnings": list(warnings),
        "edits": list(edits),
    }


def with_names(line: str, names: Sequence[str]) -> str:
    """A warning of `edit` with "image N" replaced by the file's name.

    `edit` numbers the images of a batch from 1. "picture N" is replaced too.

    Args:
        line: the warning.
        names: of the image of each edit.
    """

    def name(match: re.Match[str]) -> str:
        number = int(match[1])
        return names[number - 1] if 1 <= number <= len(names) else match[0]

    return re.sub(r"\b(?:image|picture) (\d+)\b", name, line)


def package_version() -> str:
    """The version of the installed package; "not installed" if it runs from a folder, as in ComfyUI."""
    try:
        return version("comfyui-fice")
    except PackageNotFoundError:
        return "not installed"


def _curves(trace: Trace) -> dict[str, torch.Tensor]:
    return {**trace.terms, "total": trace.total}


def _fit(trace: Trace, sample: int) -> dict[str, Any]:
    """The entry of a phase that ran before the edit."""
    kept = int(trace.kept_step[sample])
    return {
        "steps": int(trace.total[:, sample].isfinite().sum()),
        "seconds": round(float(trace.seconds[-1]), 4) if trace.steps else 0.0,
        "kept_step": kept,
        "start": _losses(trace, 0, sample),
        "kept": _losses(trace, kept, sample) if kept >= 0 else None,
    }


def _losses(trace: Trace, step: int, sample: int) -> dict[str, float | None]:
    if step >= trace.steps:  # interrupted before the end of the first step
        return {}
    return {name: _number(values[step, sample]) for name, values in _curves(trace).items()}


def _number(value: torch.Tensor) -> float | None:
    """The value with six digits, enough to compare runs; None for NaN, which JSON does not have."""
    return float(f"{value.item():.6g}") if bool(value.isfinite()) else None

"""What an edit did, as plain values for a JSON file."""

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
    """One entry an edit: what went in, what came out, and the losses at every step.

    Args:
        result: of N edits.
        inputs, prompts, outputs: N names each.

    Returns:
        N dictionaries. `start` and `kept` are the unweighted losses of the first step and of the
        step whose picture is returned; `frame` is the box that the generator saw, `changed` the share of
        the photo that the edit touched. `refinement` and `tuning` hold the steps, the seconds and
        these two of what was fitted to the photo before; they are missing if nothing was.
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
    """Everything needed to repeat the edits, and the edits (see `edit_report`)."""
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
    """A warning of `edit`, which knows pictures by their place in the batch, for the user.

    Args:
        names: of the picture of each edit.
    """

    def name(match: re.Match[str]) -> str:
        number = int(match[1])
        return names[number - 1] if 1 <= number <= len(names) else match[0]

    return re.sub(r"\bpicture (\d+)\b", name, line)


def package_version() -> str:
    """Of the installed package; "not installed" when it runs from a folder, as in ComfyUI."""
    try:
        return version("comfyui-fice")
    except PackageNotFoundError:
        return "not installed"


def _curves(trace: Trace) -> dict[str, torch.Tensor]:
    return {**trace.terms, "total": trace.total}


def _fit(trace: Trace, sample: int) -> dict[str, Any]:
    kept = int(trace.kept_step[sample])
    return {
        "steps": int(trace.total[:, sample].isfinite().sum()),
        "seconds": round(float(trace.seconds[-1]), 4) if trace.steps else 0.0,
        "kept_step": kept,
        "start": _losses(trace, 0, sample),
        "kept": _losses(trace, kept, sample) if kept >= 0 else None,
    }


def _losses(trace: Trace, step: int, sample: int) -> dict[str, float | None]:
    if step >= trace.steps:  # interrupted before the first step was done
        return {}
    return {name: _number(values[step, sample]) for name, values in _curves(trace).items()}


def _number(value: torch.Tensor) -> float | None:
    """JSON knows no NaN; six digits are enough to compare runs."""
    return float(f"{value.item():.6g}") if bool(value.isfinite()) else None

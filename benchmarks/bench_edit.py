"""Time the command, the loading of the demonstration set, and whole edits.

    python benchmarks/bench_edit.py                     # all but "full" and "full-start"
    python benchmarks/bench_edit.py help load           # two of the measurements
    python benchmarks/bench_edit.py full --device cuda  # an edit by networks of the published sizes
    python benchmarks/bench_edit.py full-start          # the search for a start with these

Each measurement runs in a new process, because imports leave traces. `fice bench` measures single steps
and memory.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def measure_help(device: str) -> dict[str, float]:
    """Seconds for `fice --help` as a whole process; the best of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        command = [sys.executable, "-m", "fice_core", "--help"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return {"fice --help (s)": min(times)}


def measure_load(device: str) -> dict[str, float]:
    """Seconds to load the demonstration set in a running Python, with and without the imports."""
    start = time.perf_counter()
    import torch  # noqa: F401

    imported = time.perf_counter()
    from fice_core import load_models

    load_models("demo", device)
    first = time.perf_counter()
    load_models("demo", device)
    return {
        "import torch (s)": imported - start,
        "load the demonstration set, first time (s)": first - imported,
        "load the demonstration set, again (s)": time.perf_counter() - first,
    }


def measure_demo(device: str) -> dict[str, float]:
    """Seconds for `fice demo`, six edits, as a whole process."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        options = ["--output", folder, "--device", device]
        command = [sys.executable, "-m", "fice_core", "demo", *options]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return {"fice demo (s)": time.perf_counter() - start}


def measure_edit(device: str) -> dict[str, float]:
    """Seconds for default edits of one demonstration figure, after loading."""
    from fice_core import load_models
    from fice_core.demo import figures

    samples = figures()
    return edits(load_models("demo", device), samples.images[:1], samples.prompts[0])


def measure_full(device: str) -> dict[str, float]:
    """The same with random networks of the published sizes: all steps, the encoder in memory."""
    models, photo = full_size(device)
    return edits(models, photo, "a red striped shirt", plateau_patience=None, **ANYBODY)


def measure_start(device: str) -> dict[str, float]:
    """What the first edit with a seed takes longer than later ones: a demonstration figure, one step."""
    from fice_core import load_models
    from fice_core.demo import figures

    samples = figures()
    return starts(load_models("demo", device), samples.images[:1], samples.prompts[0])


def measure_full_start(device: str) -> dict[str, float]:
    """The same with random networks of the published sizes."""
    models, photo = full_size(device)
    return starts(models, photo, "a red striped shirt", **ANYBODY)


# Noise shows no person to search for.
ANYBODY = {"framing": "whole", "backdrop": "keep"}


def full_size(device: str) -> tuple[Any, Any]:
    """Random networks of the published sizes, the encoder in memory, and a photo of noise."""
    import torch

    from fice_core.profiling.full_size import configurations, random_models

    models = random_models(configurations(), device)
    encoder = models.encoder()  # filling one at random takes longer than reading a file
    photo = torch.rand(1, 3, *models.generator.resolution, generator=torch.Generator())
    return replace(models, load_encoder=lambda: encoder), photo


def edits(models: Any, photo: Any, prompt: str, **other: Any) -> dict[str, float]:
    """Seconds for the first default edit, and for the fastest of three more."""
    from fice_core import EditSettings, edit

    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        result = edit(models, photo, prompt, replace(EditSettings(), **other))
        result.images.cpu()
        seconds.append(time.perf_counter() - start)
    return {
        "first default edit (s)": seconds[0],
        "later default edit (s)": min(seconds[1:]),
        "steps taken": result.steps,
        "seconds a step": float(result.trace.seconds[-1]) / result.steps,
    }


def starts(models: Any, photo: Any, prompt: str, **other: Any) -> dict[str, float]:
    """Seconds, and CPU seconds of this process, of edits of one step."""
    from fice_core import EditSettings, edit
    from fice_core.inversion import looks

    def timed(settings: EditSettings) -> dict[str, float]:
        looks._MEMORY.clear()  # as in a new process
        start, cpu = time.perf_counter(), time.process_time()
        edit(models, photo, prompt, replace(settings, steps=1, **other)).images.cpu()
        took = {"s": time.perf_counter() - start, "CPU s": time.process_time() - cpu}
        print(settings.start_candidates, took, file=sys.stderr, flush=True)
        return took

    default, draft = EditSettings(), EditSettings.draft()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[looks.FOLDER] = folder
        timed(replace(default, start_candidates=0))  # the first call of every network is slower
        found = {
            "no search": timed(replace(default, start_candidates=0)),
            "a new seed, draft": timed(draft),
            "the same seed again, draft": timed(draft),
            "a new seed": timed(default),
            "the same seed again": timed(default),
        }
    return {f"{name} ({unit})": value for name, two in found.items() for unit, value in two.items()}


MEASUREMENTS: dict[str, Callable[[str], dict[str, float]]] = {
    "help": measure_help,
    "load": measure_load,
    "edit": measure_edit,
    "demo": measure_demo,
    "start": measure_start,
    "full": measure_full,
    "full-start": measure_full_start,
}
USUAL = [name for name in MEASUREMENTS if not name.startswith("full")]


def in_fresh_process(name: str, device: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", name, "--device", device]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def machine() -> str:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.processor() or platform.machine()}, {cores} cores, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help=", ".join(MEASUREMENTS))
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...; default: cpu")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(MEASUREMENTS[options.one](options.device)))
        return
    unknown = set(options.what) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    print(machine())
    for name in options.what or USUAL:
        report(in_fresh_process(name, options.device))


def report(found: dict[str, Any]) -> None:
    for name, value in found.items():
        print(f"  {name:<52} {value:8.2f}")


if __name__ == "__main__":
    main()

"""How long the command, the demonstration set and an edit take, and what memory full-size networks need.

    python benchmarks/bench_edit.py                      # all of it; about five minutes on 2 CPU cores
    python benchmarks/bench_edit.py help load edit       # some of it
    python benchmarks/bench_edit.py memory --parity DIR  # with the output of tests/parity/make_checkpoints.py

Every measurement runs in a fresh process, because imports and memory leave traces.
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FULL_SIZE = ("generator", "e4e", "densepose", "segmenter", "clip_rn50x4")
STEPS_FULL_SIZE = 4  # from the third on, memory does not grow


def measure_help() -> dict[str, float]:
    """Seconds of `fice --help` as a whole process; the best of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        command = [sys.executable, "-m", "fice_core", "--help"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return {"fice --help (s)": min(times)}


def measure_load() -> dict[str, float]:
    """Seconds from a running Python to the loaded demonstration set, with and without the imports."""
    start = time.perf_counter()
    import torch  # noqa: F401

    imported = time.perf_counter()
    from fice_core import load_models

    load_models("demo")
    first = time.perf_counter()
    load_models("demo")
    return {
        "import torch (s)": imported - start,
        "load the demonstration set, first time (s)": first - imported,
        "load the demonstration set, again (s)": time.perf_counter() - first,
    }


def measure_edit() -> dict[str, float]:
    """Seconds of a default edit of one demonstration figure, after loading."""
    from fice_core import edit, load_models
    from fice_core.demo import figures

    models, samples = load_models("demo"), figures()
    start = time.perf_counter()
    result = edit(models, samples.images[:1], samples.prompts[0])
    seconds = time.perf_counter() - start
    return {
        "default edit of one figure (s)": seconds,
        "steps taken": result.steps,
        "seconds a step": float(result.trace.seconds[-1]) / result.steps,
    }


def measure_memory(folder: str, preset: str) -> dict[str, float]:
    """Memory of an edit with the full-size networks, 256 x 256, batch 1.

    What is over the weights includes Python and its libraries.
    """
    from dataclasses import replace

    import torch

    from fice_core import EditSettings, edit, load_models
    from fice_core.benchmark.memory import PeakMemory

    models = load_models(folder)
    weights = sum(
        tensor.numel() * tensor.element_size()
        for network in vars(models).values()
        for tensor in network.state_dict().values()
    )
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    settings = EditSettings.paper() if preset == "paper" else EditSettings()
    with PeakMemory(models.device) as memory:
        result = edit(
            models,
            image,
            "a red striped shirt",
            replace(settings, steps=STEPS_FULL_SIZE, framing="whole"),
        )
    loaded, peak = memory.before or 0, memory.peak or 0
    times = result.trace.seconds
    return {
        f"full size, {preset}: weights (GB)": weights / 1e9,
        f"full size, {preset}: resident before the edit (GB)": loaded / 1e9,
        f"full size, {preset}: peak during the edit (GB)": peak / 1e9,
        f"full size, {preset}: peak over the weights (GB)": (peak - weights) / 1e9,
        f"full size, {preset}: of which the edit (GB)": (peak - loaded) / 1e9,
        f"full size, {preset}: seconds a step": float(times[-1] - times[0]) / (len(times) - 1),
    }


MEASUREMENTS: dict[str, Callable[..., dict[str, float]]] = {
    "help": measure_help,
    "load": measure_load,
    "edit": measure_edit,
    "memory": measure_memory,
}


def make_checkpoints(folder: str) -> None:
    """The full-size checkpoints of the parity tests: official layouts, deterministic contents."""
    parity = ROOT / "tests" / "parity"
    command = [sys.executable, str(parity / "make_checkpoints.py"), "--seed", "0", "--out", folder]
    command += ["--layouts", str(parity / "layouts"), "--only", ",".join(FULL_SIZE)]
    subprocess.run(command, check=True, capture_output=True)


def in_fresh_process(name: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", name, *arguments]
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
    parser.add_argument(
        "--parity", help="folder with the full-size checkpoints; made when not given"
    )
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, *arguments = options.one
        print(json.dumps(MEASUREMENTS[name](*arguments)))
        return
    unknown = set(options.what) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    print(machine())
    for name in options.what or MEASUREMENTS:
        if name != "memory":
            report(in_fresh_process(name))
            continue
        with tempfile.TemporaryDirectory() as folder:
            if not options.parity:
                make_checkpoints(folder)
            for preset in ("default", "paper"):
                report(in_fresh_process(name, options.parity or folder, preset))


def report(found: dict[str, Any]) -> None:
    for name, value in found.items():
        print(f"  {name:<52} {value:8.2f}")


if __name__ == "__main__":
    main()

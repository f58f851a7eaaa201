"""How long the command, the demonstration set and an edit take.

    python benchmarks/bench_edit.py            # all of it; a minute on 2 CPU cores
    python benchmarks/bench_edit.py help load  # some of it

Every measurement runs in a fresh process, because imports leave traces. Steps and memory of networks of
any size are measured by `fice bench`.
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


def measure_demo() -> dict[str, float]:
    """Seconds of `fice demo`, six edits, as a whole process."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "fice_core", "demo", "--output", folder]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return {"fice demo (s)": time.perf_counter() - start}


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


MEASUREMENTS: dict[str, Callable[[], dict[str, float]]] = {
    "help": measure_help,
    "load": measure_load,
    "edit": measure_edit,
    "demo": measure_demo,
}


def in_fresh_process(name: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", name]
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
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(MEASUREMENTS[options.one]()))
        return
    unknown = set(options.what) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    print(machine())
    for name in options.what or MEASUREMENTS:
        report(in_fresh_process(name))


def report(found: dict[str, Any]) -> None:
    for name, value in found.items():
        print(f"  {name:<52} {value:8.2f}")


if __name__ == "__main__":
    main()

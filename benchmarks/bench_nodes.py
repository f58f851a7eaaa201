"""Time the same edit through ComfyUI's server and through the library.

    python benchmarks/bench_nodes.py [repetitions]     # needs a ComfyUI, see tests/comfyui/server.py

Both run in ComfyUI's interpreter with loaded networks, one after the other. Prints the medians.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "comfyui"))

from prompts import quick  # noqa: E402
from server import Server, find_comfyui, interpreter  # noqa: E402

STEPS = 100
LIBRARY = f"""
import json, sys, time
from fice_core import EditSettings, edit, load_models
from fice_core.demo import figure
models = load_models("demo")
photo = figure(101)[0]
times = []
for seed in range(int(sys.argv[1]) + 1):
    start = time.perf_counter()
    settings = EditSettings(steps={STEPS}, seed=seed, plateau_patience=None)
    edit(models, photo, "a blue polka dot t-shirt", settings)
    times.append(time.perf_counter() - start)
print(json.dumps(times[1:]))
"""


def by_prompts(server: Server, repetitions: int) -> list[float]:
    """Seconds from queueing a prompt to its end, for each repetition."""
    times = []
    for seed in range(repetitions + 1):
        prompt = quick(STEPS, seed, "a blue polka dot t-shirt", frames=24)
        prompt["settings"]["inputs"] |= {"start_candidates": 256, "plateau_patience": 0}
        start = time.perf_counter()
        run = server.run(prompt)
        times.append(time.perf_counter() - start)
        assert run.status == "success", run.error
    return times[1:]


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("no ComfyUI: set COMFYUI_PATH")
    done = subprocess.run(
        [interpreter(comfyui), "-c", LIBRARY, str(repetitions)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    library = json.loads(done.stdout)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(comfyui, Path(folder))
        try:
            prompts = by_prompts(server.wait(), repetitions)
        finally:
            server.stop()
    a, b = statistics.median(library), statistics.median(prompts)
    print(f"an edit of {STEPS} steps, median of {repetitions}")
    print(f"library   {a:6.2f} s  {[round(t, 2) for t in library]}")
    print(f"ComfyUI   {b:6.2f} s  {[round(t, 2) for t in prompts]}")
    print(f"overhead  {100 * (b / a - 1):+.1f} %")


if __name__ == "__main__":
    main()

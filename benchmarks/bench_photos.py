"""Measure what a 12-megapixel photo costs outside the inversion: time and memory.

    python benchmarks/bench_photos.py

Each photo has its own process, so each peak of memory is its own. Prints Markdown.
"""

import json
import resource
import subprocess
import sys
import time
from typing import Any

PHOTOS = {
    "12 MP, off centre": ((3000, 4000), [(2300, 900, 1900)], 21),
    "12 MP, partly outside the image": ((3000, 4000), [(-500, 1200, 1700)], 22),
    "12 MP, two people": ((3000, 4000), [(300, 600, 2200), (2500, 1100, 1500)], 23),
    "12 MP, small": ((3000, 4000), [(2500, 1100, 500)], 24),
}

FIRST = next(iter(PHOTOS))


def measure(name: str, stitch: str) -> dict[str, float | str | bool]:
    """Edit one photo in this process; return times, memory and whether the outside is unchanged."""
    import torch

    from fice_core import EditSettings, edit, load_models
    from fice_core.demo.scenes import scene
    from fice_core.editing import pipeline

    models = load_models("demo", device="cpu")
    size, places, seed = PHOTOS[name]
    photo = scene(size, places, seed).image
    warm_up = EditSettings(steps=1, start_candidates=0)
    edit(models, scene((400, 500), [(60, 0, 400)], 1).image, "a shirt", warm_up)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inside = [0.0, 0.0]

    def step(now: object) -> None:
        inside[1] = time.monotonic()

    def begins(*arguments: Any, **options: Any) -> Any:
        inside[0] = time.monotonic()
        return invert(*arguments, **options)

    invert, pipeline.invert = pipeline.invert, begins
    settings = EditSettings(steps=5, start_candidates=0, stitch=stitch)  # type: ignore[arg-type]
    started = time.monotonic()
    result = edit(models, photo, "a red striped shirt", settings, on_step=step)
    ended = time.monotonic()
    same = (result.images == photo) | (result.edit_mask > 0)
    return {
        "photo": name,
        "stitch": stitch,
        "before": inside[0] - started,
        "inversion": inside[1] - inside[0],
        "after": ended - inside[1],
        "equal": bool(same.all()) and result.images.shape == photo.shape,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "drawing": before / 1e6,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Measure every photo and print the table."""
    print(
        "| photo | stitch | before, s | after, s | outside the inversion, s | peak, GB | outside equal |"
    )
    print("|---|---|---:|---:|---:|---:|---|")
    for name in PHOTOS:
        for stitch in ("mask", "pyramid", "gradient") if name == FIRST else ("mask",):
            code = [sys.executable, __file__, name, stitch]
            done = json.loads(subprocess.run(code, check=True, capture_output=True).stdout)
            print(
                f"| {name} | {stitch} | {done['before']:.2f} | {done['after']:.2f} | "
                f"{done['before'] + done['after']:.2f} | {done['peak']:.2f} | "
                f"{'yes' if done['equal'] else 'NO'} |",
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()

"""Edit a photograph with models in their published forms and sizes: one command, its time and memory.

    python benchmarks/bench_true_files.py                   # the default of such models
    python benchmarks/bench_true_files.py --preset draft    # options of `fice edit`

Writes StyleGAN-Human's 512 x 256 pickle, SegFormer-B2, CLIP ViT-B/32 (transformers' layout) and DensePose
(TorchScript), with random weights and no encoder, into a temporary folder (1.2 GB). So the image says
nothing; what is shown is that the files are read, what an edit takes, and that it ends. The photograph
is scikit-image's.
"""

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

BOX = "100,0,356,512"  # of the person in the photograph, half as wide as high
BEFORE, AFTER = "reading, loading, framing", "stitching, writing"


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        edit(sys.argv[2:])
        return
    import skimage.data
    from published_files import PUBLISHED, write_published

    from fice_core.images import write_image
    from fice_core.profiling.machine import describe

    print(describe("cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").mkdir()
        write_published(folder / "models", PUBLISHED)
        write_image(folder / "photo.png", _image(skimage.data.astronaut()))
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        print(f"files of {size / 1e9:.2f} GB")
        command = ["edit", str(folder / "photo.png"), "--prompt", "a red striped shirt"]
        command += ["-o", str(folder / "out.png"), "--models", str(folder / "models")]
        command += ["--box", BOX, "--device", "cpu", *sys.argv[1:]]
        print("fice " + " ".join(command).replace(name, "..."), flush=True)
        run = [sys.executable, __file__, "--one", *command]
        done = subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True)
    report(json.loads(done.stdout.splitlines()[-1]))


def _image(pixels: Any) -> Any:
    import torch

    return torch.from_numpy(pixels).movedim(-1, 0).float() / 255


def edit(arguments: list[str]) -> None:
    """Run the command in this process, and note the time at its start and after every step."""
    from fice_core.cli import main as fice
    from fice_core.commands import edit_run

    shown = edit_run.show_step
    marks: list[tuple[str, float, float]] = []

    def mark(phase: str) -> None:
        marks.append((phase, time.perf_counter(), time.process_time()))

    def show_step(progress: Any, step: Any) -> None:
        mark(step.phase)
        shown(progress, step)

    edit_run.show_step = show_step
    # A process begins at 0 of its own CPU time; the wall clock of the imports is not much more.
    marks.append((BEFORE, time.perf_counter() - time.process_time(), 0.0))
    with contextlib.suppress(SystemExit):  # how the command ends
        fice(arguments)
    mark(AFTER)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"marks": marks, "peak": peak * 1024}))


def report(found: dict[str, Any]) -> None:
    """Print the table: what passed between two marks belongs to the later one."""
    marks = found["marks"]
    rows: dict[str, list[float]] = {BEFORE: [0, 0.0, 0.0]}
    for (phase, wall, cpu), (before, started, used) in zip(marks[1:], marks, strict=False):
        # the first step of the first phase comes after all that precedes it
        name = BEFORE if before == BEFORE else phase
        row = rows.setdefault(name, [0, 0.0, 0.0])
        rows.setdefault(phase, [0, 0.0, 0.0])[0] += phase != AFTER
        row[1] += wall - started
        row[2] += cpu - used
    total = [0, marks[-1][1] - marks[0][1], marks[-1][2] - marks[0][2]]
    print("| phase | steps | s | CPU s | s/step |\n|---|---:|---:|---:|---:|")
    for name, (steps, wall, cpu) in {**rows, "**all**": total}.items():
        each = f"{wall / steps:.2f}" if steps else ""
        print(f"| {name} | {steps or ''} | {wall:.1f} | {cpu:.1f} | {each} |")
    print(f"peak memory {found['peak'] / 1e9:.2f} GB")


if __name__ == "__main__":
    main()

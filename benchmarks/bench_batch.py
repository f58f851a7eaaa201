"""Check that a kill loses nothing of a batch, and time workers: `fice batch` on drawn figures.

    python benchmarks/bench_batch.py [--photos 200] [--kills 3] [--workers 2] [--ray]

The batch runs with one worker without interruption, with one that is killed with SIGKILL and started
again, and with several. The bytes of the results are compared, and the groups in the journals are
counted. `--ray` adds a run of several workers on a Ray cluster that is started here.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from fice_core.batch.journal import NAME
from fice_core.demo import figure
from fice_core.images.photo import write_image

PROMPTS = ("a red striped shirt", "a blue polka dot t-shirt", "a grey sweater")


def draw(folder: Path, count: int) -> Path:
    """Draw `count` figures of 128 x 128 pixels; return the table of photos and prompts."""
    folder.mkdir()
    rows = ["photo,prompt"]
    for k in range(count):
        write_image(folder / f"{k:04}.png", figure(1000 + k)[0][0])
        rows.append(f"{k:04}.png,{PROMPTS[k % len(PROMPTS)]}")
    table = folder / "jobs.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def start(table: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "fice_core", "batch", str(table), "-o", str(out), *options]
    return subprocess.Popen([*line, "--preset", "paper", "--steps", "2"])


def finish(table: Path, out: Path, *options: str) -> float:
    """Run the batch to its end; return the seconds."""
    begin = time.perf_counter()
    if start(table, out, *options).wait():
        sys.exit("the batch failed")
    return time.perf_counter() - begin


def groups(out: Path) -> list[int]:
    """Return the numbers of the groups in the journal."""
    try:
        lines = (out / NAME).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line)["group"] for line in lines[1:]]


def kill(table: Path, out: Path, at: int) -> None:
    """Start the batch and kill it when `at` groups are done."""
    process = start(table, out)
    while len(groups(out)) < at:
        if process.poll() is not None:
            sys.exit("the batch ended before it was killed: use more photos")
        time.sleep(0.01)
    process.kill()
    process.wait()
    print(f"killed with {len(groups(out))} groups and {len(list(out.glob('*.png')))} results")


def compare(out: Path, reference: Path, count: int) -> None:
    files = sorted(out.glob("*.png"))
    for file in files:
        with Image.open(file) as image:
            image.load()  # raises if the file is cut off
    equal = sum(file.read_bytes() == (reference / file.name).read_bytes() for file in files)
    done = groups(out)
    leftovers = len(list(out.glob("*.part"))) + len(list(out.glob(".*.part")))
    print(
        f"  {len(files)} of {count} results, all whole, {equal} equal to the reference to the byte; "
        f"{len(done)} groups in the journal, {len(done) - len(set(done))} of them twice; "
        f"{leftovers} temporary files left"
    )
    if not (len(files) == equal == count and len(done) == len(set(done)) and leftovers == 0):
        sys.exit("the results differ from the reference")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = draw(folder / "in", options.photos)
        reference = folder / "one"
        print(f"one worker: {finish(table, reference):.0f} s", flush=True)
        compare(reference, reference, options.photos)
        total, out = len(groups(reference)), folder / "killed"
        for number in range(options.kills):
            kill(table, out, total * (number + 1) // (options.kills + 1))
        print(f"then to its end: {finish(table, out):.0f} s", flush=True)
        compare(out, reference, options.photos)
        several = ("--workers", str(options.workers))
        seconds = finish(table, folder / "several", *several)
        print(f"{options.workers} workers: {seconds:.0f} s", flush=True)
        compare(folder / "several", reference, options.photos)
        if options.ray:
            seconds = finish(table, folder / "ray", *several, "--ray", "local")
            print(f"{options.workers} Ray workers: {seconds:.0f} s", flush=True)
            compare(folder / "ray", reference, options.photos)


if __name__ == "__main__":
    main()

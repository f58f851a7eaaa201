"""Reads thousands of hostile checkpoint files and reports those that are not handled well.

    python tools/fuzz_checkpoints.py                    # 5,000 nested, 5,000 other and damaged files
    python tools/fuzz_checkpoints.py --count 100 --seed 7
    python tools/fuzz_checkpoints.py FILE_OR_FOLDER...  # files of your own

Each file is described and loaded. It must be read, or be refused with one printable line that names
it, within the limits of time and memory. A worker process does it; where it hangs or dies, the next
one goes on. Files that were handled badly are kept in a folder that is printed at the end.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "parity")]

SECONDS, MEGABYTES = 3.0, 500  # of computing and of memory that one file may take
_OTHERS = ("tree", "repeated", "settings", "directory", *["damaged"] * 4)  # in these proportions
_PATIENCE = 120.0  # seconds by the clock until a worker is taken for hung


def judge(path: Path) -> tuple[str, str, float]:
    """("read" or "refused", the line that was printed), or ("bad", what is wrong); and seconds."""
    from fice_core import checkpoints
    from fice_core.errors import FiceError

    outcome, lines, slowest = "refused", [], 0.0
    for opening in (checkpoints.describe, checkpoints.load):
        begin = time.process_time()
        try:
            result = opening(path)
            outcome = "read"
            if opening is checkpoints.describe:
                lines = [result.summary, *(f"{k} {v}" for k, v in result.details.items())]
        except FiceError as error:
            lines = [str(error)]
        except BaseException as error:
            return "bad", f"{type(error).__name__}: {str(error)[:200]}", slowest
        slowest = max(slowest, time.process_time() - begin)
        for line in lines:
            if not line.isprintable() or len(line) > 2500:
                return "bad", f"not a line to print: {line[:200]!r}", slowest
        if path.name not in lines[0]:
            return "bad", f"does not name the file: {lines[0]}", slowest
    return outcome, lines[0], slowest


def _work(pipe: Connection) -> None:
    """Judge the files whose paths arrive; send verdict, seconds and the growth of peak memory."""
    import open_clip
    import segment_anything

    import fice_core.checkpoints

    del open_clip, segment_anything, fice_core  # imported now, so that no file is charged for it
    pipe.send(None)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while path := pipe.recv():
        verdict = judge(Path(path))
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024
        pipe.send((*verdict, peak))


class Worker:
    """A process that judges files one after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()  # ready

    def judge(self, path: Path) -> tuple[str, str, float, float]:
        """Verdict, its text, seconds, and megabytes above those at the start."""
        self.pipe.send(str(path))
        try:
            if self.pipe.poll(_PATIENCE):
                verdict, text, seconds, peak = self.pipe.recv()
                if seconds > SECONDS or peak > MEGABYTES:
                    return "bad", f"took {seconds:.1f} s, {peak:.0f} MB; {text}", seconds, peak
                return verdict, text, seconds, peak
            return "bad", f"hangs for more than {_PATIENCE:.0f} s", _PATIENCE, 0.0
        except EOFError:
            return "bad", "kills the process", 0.0, 0.0

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()


def generated(count: int, seed: int, kinds: list[str], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of `count` nested files, and of `count` files of the other kinds."""
    import hostile_files

    if "nested" in kinds:
        for number in range(count):
            yield f"nested-{number}", hostile_files.nested(Random(f"{seed} nested {number}"))
    others = [kind for kind in _OTHERS if kind in kinds]
    sound = sorted(hostile_files.sound_files(folder).items()) if others else []
    for number in range(count if others else 0):
        rng, kind = Random(f"{seed} {number}"), others[number % len(others)]
        if kind == "damaged":
            yield f"{kind}-{number}", hostile_files.damaged(rng, rng.choice(sound)[1])
        else:
            yield f"{kind}-{number}", hostile_files.GENERATORS[kind](rng)


@dataclass
class Tally:
    """What happened to the files of one kind."""

    verdicts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    peak: float = 0.0

    def __str__(self) -> str:
        counts = ", ".join(f"{self.verdicts[name]} {name}" for name in ("read", "refused", "bad"))
        return f"{counts}; slowest {self.slowest:.2f} s, peak {self.peak:.0f} MB"


def main() -> int:
    """Run the command line; the result is the number of files that were handled badly."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=5000, help="files of either half")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--kind", action="append", choices=["nested", *dict.fromkeys(_OTHERS)])
    options.add_argument("--verbose", action="store_true", help="print the line of every file")
    options.add_argument("paths", nargs="*", type=Path, help="files or folders to read instead")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    if given.paths:
        files = [f for p in given.paths for f in ([p] if p.is_file() else sorted(p.rglob("*")))]
        cases = ((f.name, f) for f in files if f.is_file())
    else:
        kinds = given.kind or ["nested", *_OTHERS]
        cases = iter(generated(given.count, given.seed, kinds, folder))
    tallies: dict[str, Tally] = {}
    worker = Worker()
    for number, (name, case) in enumerate(cases, 1):
        path = case if isinstance(case, Path) else folder / name
        if not isinstance(case, Path):
            path.write_bytes(case)
        verdict, text, seconds, peak = worker.judge(path)
        tally = tallies.setdefault("given" if given.paths else name.rpartition("-")[0], Tally())
        tally.verdicts[verdict] += 1
        tally.slowest, tally.peak = max(tally.slowest, seconds), max(tally.peak, peak)
        if verdict == "bad" or given.verbose:
            print(f"{name}: {verdict}: {seconds:.2f} s, {peak:.0f} MB: {text}", flush=True)
        if verdict == "bad":
            worker.end()
            worker = Worker()
        elif not isinstance(case, Path):
            path.unlink()
        if number % 500 == 0:
            print(
                f"{number} files",
                *(f"{k}: {v}" for k, v in tallies.items()),
                sep="\n  ",
                flush=True,
            )
    worker.end()
    for kind, tally in tallies.items():
        print(f"{kind}: {tally}")
    bad = sum(tally.verdicts["bad"] for tally in tallies.values())
    print(f"bad files are in {folder}" if bad and not given.paths else f"{bad} bad files")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())

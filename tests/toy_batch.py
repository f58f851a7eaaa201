"""A batch with toy networks, for tests that run it as a process and kill it.

    python toy_batch.py FOLDER_OF_PHOTOS OUT WORKERS

Like `fice batch`, it imports torch only in its workers.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from fice_core.batch.driver import run
from fice_core.batch.editor import Setup
from fice_core.batch.jobs import Job, all_pairs
from fice_core.batch.journal import Journal
from fice_core.batch.workers import LocalWorker
from fice_core.settings import EditSettings

SETTINGS = EditSettings(
    steps=2,
    framing="whole",
    backdrop="keep",
    start_candidates=0,
    sharp_mask=False,
    match_colour=False,
    match_grain=False,
    match_skin=False,
)


def load(device: str):
    """Toy networks; the wait leaves time to kill the worker."""
    from toys import toy_models

    time.sleep(0.1)
    return toy_models()


def setup() -> Setup:
    return Setup(load, "cpu", SETTINGS, threads=1)


def groups(photos: Path) -> list[list[Job]]:
    return [[job] for job in all_pairs(sorted(map(str, photos.iterdir())), ["a shirt"])]


def main(photos: str, out: str, workers: str) -> None:
    with Journal(Path(out), {"batch": "toy"}) as journal:
        lost = run(groups(Path(photos)), journal, lambda place: LocalWorker(setup()), int(workers))
    sys.exit(len(lost))


if __name__ == "__main__":
    main(*sys.argv[1:])

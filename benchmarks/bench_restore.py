"""Measure how exactly edits are registered, beside OpenCV's ECC and phase correlation, and what is refused.

    pip install opencv-python-headless
    python benchmarks/bench_restore.py --count 200

The edits are synthetic (`restore_edits.py`): people of the gallery in other garments, shifted by up to 5
percent, zoomed by 0.9 to 1.1, some stretched or turned, in another tone, blurred, low-passed, as JPEG, at
another size. An error is the mean distance of points of the photo from where they truly are, in pixels of the
photo. Prints Markdown.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from restore_edits import Edit, edits
from skimage.registration import phase_cross_correlation

from fice_core.bridges.restore import restore
from fice_core.errors import FiceError
from fice_core.registration import Alignment, register
from fice_core.registration.estimation import DOUBTFUL
from fice_core.registration.features import resized

WRONG = 2.0  # pixels: larger errors need a warning


def greys(edit: Edit) -> tuple[np.ndarray, np.ndarray]:
    """Photo and edit, resized to the photo's size, as float32 (H, W)."""
    size = (edit.photo.shape[-2], edit.photo.shape[-1])
    images = (edit.photo, resized(edit.edited[None], size)[0])
    return tuple(cv2.cvtColor(i.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for i in images)  # type: ignore[return-value]


def by_phase(edit: Edit) -> Alignment:
    """Phase correlation of the whole images: a shift."""
    photo, edited = greys(edit)
    down, across = phase_cross_correlation(edited, photo, upsample_factor=20)[0]
    return Alignment(edit.truth.size, edit.truth.edit_size, shift=(float(across), float(down)))


def by_ecc(edit: Edit, masked: bool) -> np.ndarray | None:
    """OpenCV's ECC, from the identity: the affine map (2, 3) between pixels, or None where it gives up."""
    photo, edited = greys(edit)
    outside = (~edit.garment[0]).numpy().astype(np.uint8) if masked else None
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
    # OpenCV warps the input to the template; its mask is the input's. The photo is the input here, so that
    # the mask of the photo's garment fits; the map is inverted below.
    try:
        _, found = cv2.findTransformECC(
            edited, photo, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, criteria, outside, 5
        )
    except cv2.error:
        return None
    try:
        return np.linalg.inv(np.vstack([found, [0, 0, 1]]))[:2]
    except np.linalg.LinAlgError:
        return None


def ecc_error(edit: Edit, found: np.ndarray | None) -> float:
    """Mean distance as `Alignment.distance` measures it, for a map between pixel centres."""
    if found is None:
        return math.inf
    height, width = edit.truth.size
    grid = np.stack(np.meshgrid(np.linspace(0, width, 17), np.linspace(0, height, 17)), -1)
    there = (grid - 0.5) @ found[:, :2].T + found[:, 2] + 0.5
    scale = np.array([width / edit.truth.edit_size[1], height / edit.truth.edit_size[0]])
    return float(np.linalg.norm(there - edit.truth.positions(grid) * scale, axis=-1).mean())


class Row:
    """Errors and seconds of one method."""

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.seconds = 0.0

    def add(self, error: Callable[[], float]) -> None:
        start = time.process_time()
        self.errors.append(error())
        self.seconds += time.process_time() - start

    def line(self, name: str) -> str:
        errors = np.array(self.errors)
        values = [np.median(errors), np.quantile(errors, 0.95, method="higher"), errors.max()]
        shown = " | ".join("no result" if math.isinf(v) else f"{v:.2f}" for v in values)
        within = 100 * float((errors < 0.25).mean())
        wrong = int((errors > WRONG).sum())
        return f"| {name} | {shown} | {within:.0f} % | {wrong} | {self.seconds / len(errors):.1f} |"


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    names = ["registered, no mask", "registered, mask given"]
    names += ["ECC, no mask", "ECC, mask given", "phase correlation"]
    rows = {name: Row() for name in names}
    tally = Tally()
    try:
        _measure(arguments.count, arguments.seed, rows, tally)
    except KeyboardInterrupt:
        print("\ninterrupted: what follows is measured so far")
    print("\n| | median | 95 % | largest | below 0.25 | above 2 | s |\n|---|" + "---:|" * 6)
    for name, row in rows.items():
        print(row.line(name))
    print("\n" + tally.lines())


@dataclass
class Tally:
    """Counts of what happened beside the errors."""

    edits: int = 0
    silent: int = 0  # wrong without a warning
    warned: int = 0  # right with a warning
    equal: int = 0
    others: int = 0
    others_refused: int = 0
    crops_refused: int = 0

    def lines(self) -> str:
        """What the table does not say."""
        return (
            f"{self.edits} edits. Errors above {WRONG:g} pixels without a warning: {self.silent}; warnings "
            f"without such an error: {self.warned}. Equal outside the mask, bit for bit: {self.equal} of "
            f"{self.edits}. Another person refused: {self.others_refused} of {self.others}; a quarter of the "
            f"edit refused: {self.crops_refused} of {self.others}."
        )


def _measure(count: int, seed: int, rows: dict[str, Row], tally: Tally) -> None:
    """Measure every method on each edit; every fourth edit is also a crop, and laid on another person."""
    before = None
    for number, edit in enumerate(edits(count, seed)):
        found: list[float] = []
        methods: list[Callable[[Edit], float]] = [
            lambda e, f=found: _registered(e, None, f),
            lambda e, f=found: _registered(e, e.garment.float(), f),
            lambda e: ecc_error(e, by_ecc(e, masked=False)),
            lambda e: ecc_error(e, by_ecc(e, masked=True)),
            lambda e: by_phase(e).distance(e.truth)[0],
        ]
        for row, method in zip(rows.values(), methods, strict=True):
            row.add(lambda m=method, e=edit: m(e))
        errors = [row.errors[-1] for row in rows.values()]
        for error, confidence in zip(errors[:2], found, strict=True):
            tally.silent += error > WRONG and confidence >= DOUBTFUL
            tally.warned += error <= WRONG and confidence < DOUBTFUL
        tally.equal += _is_equal_outside(edit)
        tally.edits += 1
        if before is not None and number % 4 == 0:
            tally.others += 1
            tally.others_refused += _is_refused(before.photo, edit.edited)
            tally.crops_refused += _is_refused(edit.photo, _crop(edit.edited))
        before = edit
        shown = *(f"{e:.3f}" for e in errors), *(f"{c:.2f}" for c in found)
        print(number, *shown, edit.story, flush=True)


def _registered(edit: Edit, free: torch.Tensor | None, found: list[float]) -> float:
    registration = register(edit.photo, edit.edited, free)
    found.append(registration.confidence)
    return registration.alignment.distance(edit.truth)[0]


def _is_equal_outside(edit: Edit) -> bool:
    """Whether the edit, restored with the mask of the garment, equals the photo outside of it."""
    from fice_core.bridges.restore import RestoreSettings

    settings = RestoreSettings(least_confidence=0)
    result = restore(edit.photo, edit.edited, edit.garment.float(), settings)
    outside = (~edit.garment).expand_as(edit.photo)
    return torch.equal(result.image[outside], edit.photo[outside])


def _is_refused(photo: torch.Tensor, edited: torch.Tensor) -> bool:
    try:
        restore(photo, edited)
    except FiceError:
        return True
    return False


def _crop(image: torch.Tensor) -> torch.Tensor:
    """The upper left quarter."""
    return image[:, : image.shape[1] // 2, : image.shape[2] // 2]


if __name__ == "__main__":
    main()

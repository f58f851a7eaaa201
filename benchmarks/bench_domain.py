"""Measure how images that the models know differ from others (`extraction.domain`).

    python benchmarks/bench_domain.py [--models demo] [--count 64] [--photos FOLDER]

Prints Markdown: the reconstruction error of the person over its contrast, for images of each kind: held-out
figures of the demonstration, people of the gallery, scikit-image's photographs, and those of a folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import skimage.data
import torch
from torch import Tensor

from fice_core.demo import figure, people
from fice_core.demo.gallery import gallery
from fice_core.editing.prepare import PromptFeatures, prepare
from fice_core.errors import FiceError
from fice_core.extraction.domain import reconstruction_error, usual_error
from fice_core.extraction.extractors import segment_regions, synthesize
from fice_core.images.photo import read_photo
from fice_core.models import Models, load_models
from fice_core.ops.autograd import without_grad
from fice_core.settings import EditSettings


def sources(count: int, photos: Path | None) -> Mapping[str, Iterator[Tensor]]:
    """Images (1, 3, H, W) by kind."""
    kinds: dict[str, Iterator[Tensor]] = {
        "held-out figures": (figure(10_000 + k)[0] for k in range(count)),
        "gallery": (people.figure(people.FIRST + k)[0] for k in range(len(gallery()))),
        "scikit-image": (
            torch.from_numpy(getattr(skimage.data, name)()).movedim(-1, 0)[None].float() / 255
            for name in ("astronaut", "coffee", "chelsea", "rocket")
        ),
    }
    if photos is not None:
        paths = sorted(photos.glob("*.jpg"))[:count]
        kinds[photos.name] = (read_photo(path).pixels[None] for path in paths)
    return kinds


def error_of(models: Models, photo: Tensor) -> float:
    """As an edit measures it.

    Raises:
        FiceError: no person is found.
    """
    with without_grad():
        texts = PromptFeatures.of(models.clip, ["a shirt"], "", "")
        settings = EditSettings()
        found = prepare(models, photo, texts, settings, None, None, lambda step: None).targets
        regions = segment_regions(models.segmenter, found.images)
        rebuilt = synthesize(models.generator, found.w_plus, clamp=True)
        person = regions.body + regions.head
        return float(reconstruction_error(found.images, rebuilt, person))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="demo")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--photos", type=Path)
    options = parser.parse_args()
    models = load_models(options.models)
    usual = usual_error(models.generator, models.load_encoder(), models.segmenter)
    print(f"median on the generator's own images: {usual:.3f}\n")
    print("| images | no person | least | median | largest |\n|---|---|---|---|---|")
    for kind, photos in sources(options.count, options.photos).items():
        errors, without = [], 0
        for photo in photos:
            try:
                errors.append(error_of(models, photo))
            except FiceError:
                without += 1
        row = np.quantile(errors, (0, 0.5, 1)) if errors else [np.nan] * 3
        print(f"| {kind} | {without} of {without + len(errors)} | {row[0]:.2f} | {row[1]:.2f} "
              f"| {row[2]:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()

"""How well the code of a photo is found, by the encoder and by the search without one.

    python benchmarks/bench_start.py --count 4

Drawn figures that no network saw in training. PSNR of the generator's image against the photo, the CIELAB
difference over the person, and seconds for each photo.
"""

import argparse
import time
from collections.abc import Callable

import torch

from fice_core.demo.attributes import sample_attributes
from fice_core.demo.renderer import render
from fice_core.extraction.extractors import encode_latent, synthesize
from fice_core.inversion.code_search import search_code
from fice_core.inversion.refinement import refine_latent
from fice_core.models import load_models
from fice_core.ops.color import lab_difference


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--seed", type=int, default=777)
    options = parser.parse_args()
    models = load_models("demo")
    generator, segmenter, encoder = models.generator, models.segmenter, models.encoder()
    figures = render(sample_attributes(options.count, torch.Generator().manual_seed(options.seed)))
    photos = figures.images

    def encoded(steps: int = 0) -> torch.Tensor:
        w_plus = encode_latent(generator, encoder, photos)
        if steps:
            w_plus = refine_latent(generator, segmenter, photos, w_plus, steps).w_plus
        return w_plus

    def searched(steps: int) -> torch.Tensor:
        return search_code(generator, segmenter, photos, steps).w_plus

    encoded()  # the first call of every network is slower
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "the encoder's code": encoded,
        "refined, 60 steps": lambda: encoded(60),
        "searched, 60 steps (draft)": lambda: searched(60),
        "searched, 120 steps (default)": lambda: searched(120),
        "searched, 240 steps": lambda: searched(240),
    }
    print(f"{options.count} figures, {torch.get_num_threads()} thread(s)")
    print("| | PSNR, dB | lowest | CIELAB difference of the person | s/photo |")
    print("|---|---:|---:|---:|---:|")
    for name, find in ways.items():
        start = time.monotonic()
        w_plus = find()
        seconds = (time.monotonic() - start) / len(photos)
        images = synthesize(generator, w_plus, clamp=True)
        psnr = -10 * (images - photos).square().flatten(1).mean(1).log10()
        person = lab_difference(images, photos, figures.body + figures.head > 0.5).mean()
        print(
            f"| {name} | {psnr.mean():.1f} | {psnr.min():.1f} | {person:.2f} | {seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

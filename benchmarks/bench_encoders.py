"""How well encoders of a generator find codes: of its own images and, for the bundled one, of drawn figures.

    python benchmarks/bench_encoders.py e4e.safetensors other.safetensors

Images that no encoder saw in training. PSNR of the reconstruction, error of the code in deviations of w.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from fice_core import checkpoints
from fice_core.demo.attributes import sample_attributes
from fice_core.demo.renderer import render
from fice_core.models import DEMO_WEIGHTS
from fice_core.networks.e4e import Encoder
from fice_core.networks.stylegan2 import Generator
from fice_core.training.distributed import generator_of
from fice_core.training.encoder import Pairs, Recipe, code_statistics
from fice_core.training.losses import psnr

SEED = 909  # of no training


@torch.no_grad()
def reconstructed(generator: Generator, encoder: Encoder, images: Tensor) -> tuple[Tensor, Tensor]:
    codes = torch.cat([encoder(few) for few in images.split(8)])
    return torch.cat([generator.synthesize(few) for few in codes.split(8)]), codes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("encoders", nargs="*", type=Path, default=[])
    parser.add_argument("--generator", type=Path, default=DEMO_WEIGHTS / "generator.safetensors")
    parser.add_argument("--count", type=int, default=64)
    options = parser.parse_args()
    generator = checkpoints.load_generator(options.generator)
    _, spread = code_statistics(generator)
    sets: dict[str, tuple[Tensor, Tensor | None]] = {}
    for name, recipe in {
        "of one w": Recipe(mixed=0, disturbed=0),
        "of mixed and disturbed w": Recipe(),
    }.items():
        draws = [generator_of(SEED, k) for k in range(options.count)]
        codes = Pairs(generator, recipe, spread).codes(draws)
        with torch.no_grad():
            images = torch.cat([generator.synthesize(few) for few in codes.split(8)]).clamp(0, 1)
        sets[f"generated {name}"] = (images, codes)
    if options.generator.parent == DEMO_WEIGHTS:
        rng = torch.Generator().manual_seed(SEED)
        size = generator.resolution[0]
        sets["drawn figures"] = (render(sample_attributes(options.count, rng), size).images, None)
    print("| encoder | images | PSNR, dB | lowest | error of the code |")
    print("|---|---|---:|---:|---:|")
    bundled = [DEMO_WEIGHTS / "encoder.safetensors"] if "drawn figures" in sets else []
    for path in [*bundled, *options.encoders]:
        encoder = checkpoints.load_encoder(path)
        for name, (images, known) in sets.items():
            found, codes = reconstructed(generator, encoder, images)
            quality = psnr(found, images)
            error = (
                "" if known is None else f"{((codes - known) / spread).square().mean().sqrt():.2f}"
            )
            row = f"{quality.mean():.1f} | {quality.min():.1f} | {error}"
            print(f"| {path.stem} | {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()

"""Measure the seam that each way of stitching leaves, on the same generated images.

    python benchmarks/bench_seams.py

Twelve held-out pairs of figure and prompt, measured by `evaluation.metrics.seam_visibility`. Prints
Markdown.
"""

import torch

from fice_core import EditSettings, edit, load_models
from fice_core.demo.renderer import render
from fice_core.evaluation.drawn import cases
from fice_core.evaluation.metrics import seam_visibility
from fice_core.extraction.extractors import segment_regions
from fice_core.ops.autograd import without_grad
from fice_core.ops.patches import stitch
from fice_core.stitching.composite import stitch_head
from fice_core.stitching.laplacian import blend_pyramid
from fice_core.stitching.poisson import blend_gradients


def main() -> None:
    """Edit once, stitch in each way, and print the table."""
    models = load_models("demo", device="cpu")
    todo = cases(12)
    photos = render(todo.figures, models.generator.resolution[0]).images
    result = edit(models, photos, todo.prompts, EditSettings())
    with without_grad():
        head = segment_regions(models.segmenter, photos).head

    def row(name: str, images: torch.Tensor, mask: torch.Tensor) -> None:
        print(
            f"| {name} | {float(seam_visibility(images, (photos, result.generated), mask).mean()):.2f} |"
        )

    print("| stitch | seam |\n|---|---:|")
    row("head, the paper's", stitch_head(result.generated, photos, head), 1 - head)
    row("mask, colour, grain and skin matched (default)", result.images, result.edit_mask)
    for name, blend in (
        ("mask", stitch),
        ("pyramid", blend_pyramid),
        ("gradient", blend_gradients),
    ):
        row(f"{name} alone", blend(result.generated, photos, result.edit_mask), result.edit_mask)


if __name__ == "__main__":
    main()

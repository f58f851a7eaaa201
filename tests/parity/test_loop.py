"""The loop on full-size networks against the authors' program: losses, gradients, 20 steps.

The tolerances are a few times what separates the authors' program from itself under another memory
format, number of threads or batch size: Adam's first steps turn the sign of a gradient near zero
into a whole step, so codes and curves cannot agree better.
"""

from dataclasses import replace

import compact
import pytest
import torch
from torch import Tensor

from fice_core.extraction.extractors import extract_pose, segment_regions
from fice_core.inversion.loop import invert
from fice_core.inversion.objective import Objective, ObjectiveValue
from fice_core.inversion.targets import Targets
from fice_core.settings import EditSettings, LossWeights
from fice_core.stitching.composite import stitch_head

pytestmark = pytest.mark.parity

PAPER = EditSettings.paper()
# Our names of the terms and the reference's, in the order of its curve.
TERMS = {
    "image": "img",
    "pose": "shape",
    "head": "head_shape",
    "latent": "w_delta",
    "clip": "clip",
}


def relative_error(value: Tensor, reference: Tensor) -> float:
    assert value.shape == reference.shape
    return ((value.double() - reference.double()).norm() / reference.double().norm()).item()


@pytest.fixture(scope="module")
def critics(parity_clip, parity_densepose, parity_segmenter) -> dict:
    return {"clip": parity_clip, "densepose": parity_densepose, "segmenter": parity_segmenter}


@pytest.fixture(scope="module")
def targets(golden, critics, parity_images) -> Targets:
    regions = segment_regions(critics["segmenter"], parity_images)
    return Targets(
        images=parity_images,
        w_plus=golden["w_init"],
        text_features=golden["text_features"].expand(2, -1),
        parts=extract_pose(critics["densepose"], parity_images),
        head=regions.head,
        keep_mask=1 - regions.body,
    )


def start(generator, targets: Targets, weights: LossWeights, critics) -> ObjectiveValue:
    objective = Objective(generator, replace(PAPER, weights=weights), **critics)
    return objective.evaluate(targets.w_plus, targets)


@pytest.mark.parametrize("term", TERMS)
def test_one_term_and_its_gradient(parity_generator, targets, critics, golden, term):
    off = dict.fromkeys(PAPER.weights.as_dict(), 0.0)
    weights = LossWeights(**{**off, term: getattr(PAPER.weights, term)})
    first = start(parity_generator, targets, weights, critics)
    name = TERMS[term]
    assert first.terms[term].sum().item() == pytest.approx(golden[f"loss0_{name}"].item(), rel=1e-5)
    assert first.total.sum().item() == pytest.approx(golden[f"loss0w_{name}"].item(), rel=1e-5)
    assert relative_error(first.gradient, golden[f"gradw_{name}"]) < 5e-3


def test_total_and_its_gradient(parity_generator, targets, critics, golden):
    first = start(parity_generator, targets, PAPER.weights, critics)
    assert first.total.sum().item() == pytest.approx(golden["loss0_total"].item(), rel=1e-5)
    assert relative_error(first.gradient, golden["grad_total"]) < 1e-3


def test_twenty_steps(parity_generator, targets, critics, golden):
    """21 steps, because the last update of a run is never rendered."""
    pictures: dict[int, Tensor] = {}

    def on_step(step):
        if step.index == 19:
            pictures[step.index] = step.images.clone()

    settings = replace(PAPER, steps=21)
    result = invert(parity_generator, targets, settings, on_step=on_step, **critics)
    curve = torch.stack([result.trace.weighted(term).sum(dim=1) for term in TERMS], dim=1)
    torch.testing.assert_close(
        curve[:20].double(), golden["curve_weighted"].double(), rtol=1e-2, atol=0
    )
    total = result.trace.total.sum(dim=1)[:20].double()
    torch.testing.assert_close(total, golden["curve_total"].double(), rtol=1e-2, atol=0)
    assert relative_error(result.w_plus, golden["w_after20"]) < 5e-3
    # Pictures follow codes that agree to a few thousandths.
    stitched = stitch_head(pictures[19], targets.images, targets.head)
    assert relative_error(compact.subset(pictures[19]), golden["final_gen"]) < 2e-2
    assert relative_error(compact.subset(stitched), golden["final_stitched"]) < 2e-2

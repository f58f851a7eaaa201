"""On a GPU: the same bytes every time, steps as graphs, and no waiting for the device."""

import warnings
from dataclasses import replace

import pytest
import torch

from fice_core.demo import figures
from fice_core.editing.pipeline import edit
from fice_core.inversion.loop import invert
from fice_core.models import load_models
from fice_core.profiling.machine import tf32
from fice_core.profiling.measuring import make_targets
from fice_core.settings import EditSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

SHORT = replace(EditSettings(), steps=16, start_candidates=16, plateau_patience=None)
GRAPH, EAGER = (replace(SHORT, execution=e) for e in ("graph", "eager"))
VIEWS = replace(EAGER, clip_views=2).with_weights(clip_region=1.0, perceptual=1.0)


@pytest.fixture(scope="module")
def models():
    return load_models("demo", "cuda")


@pytest.fixture(scope="module")
def figure():
    return figures()


def edited(models, figure, settings, count=1):
    return edit(models, figure.images[:count], list(figure.prompts[:count]), settings)


def same(one, other):
    return torch.equal(one.images, other.images) and torch.equal(one.w_plus, other.w_plus)


@pytest.mark.parametrize("settings", [GRAPH, EAGER, VIEWS], ids=["graph", "eager", "views"])
def test_the_same_bytes_every_time(models, figure, settings):
    first = edited(models, figure, settings, 2)
    assert all(same(edited(models, figure, settings, 2), first) for _ in range(2))


def test_a_graph_computes_what_single_operations_do(models, figure):
    graph, eager = (edited(models, figure, s, 2) for s in (GRAPH, EAGER))
    assert same(graph, eager)
    assert torch.equal(graph.trace.total, eager.trace.total)


def test_auto_is_a_graph_unless_views_are_drawn(models, figure):
    assert SHORT.uses_graphs_on("cuda")
    assert not replace(SHORT, clip_views=2).uses_graphs_on("cuda")
    assert same(edited(models, figure, SHORT), edited(models, figure, GRAPH))


def test_steps_are_those_of_the_cpu(models, figure):
    settings = replace(SHORT, steps=2, start_candidates=0, mixed_precision=False)
    with tf32(False):
        here = edited(models, figure, settings, 2)
    there = edited(load_models("demo"), figure, settings, 2)
    # What is rounded elsewhere grows with every step.
    for step, tolerance in enumerate((1e-4, 2e-2)):
        torch.testing.assert_close(
            here.trace.total[step], there.trace.total[step], rtol=tolerance, atol=0
        )


def test_images_that_are_finished_do_not_change(models, figure):
    """They go on in the graph, where nobody looks at them."""
    settings = replace(GRAPH, steps=40, plateau_patience=3)
    both = edited(models, figure, settings, 2)
    again = edited(models, figure, replace(settings, execution="eager"), 2)
    assert torch.isnan(both.trace.total).any()
    torch.testing.assert_close(
        both.trace.total, again.trace.total, rtol=1e-3, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("settings", [GRAPH, EAGER], ids=["graph", "eager"])
def test_no_step_waits_for_the_device(models, settings):
    targets = make_targets(models, 2)

    def run(steps):
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                invert(
                    models.generator,
                    targets,
                    replace(settings, steps=steps, start_candidates=0),
                    clip=models.clip,
                    densepose=models.densepose,
                    segmenter=models.segmenter,
                )
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return len(found)

    # every tenth step it is asked which images are finished
    assert run(29) - run(21) == 0
    assert run(31) > run(29)


def test_fitting_code_and_generator_gives_the_same_bytes(models, figure):
    settings = replace(SHORT, steps=2, refine_steps=8, tune_steps=4)
    assert same(*(edited(models, figure, settings) for _ in range(2)))


def test_the_encoder_stays_on_the_device(models):
    assert models.load_encoder() is models.load_encoder()

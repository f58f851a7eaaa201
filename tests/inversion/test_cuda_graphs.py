"""Ways to carry a step out: compiled and recorded, they compute what single operations compute."""

import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toys import toy_models, toy_targets

from fice_core.acceleration.compilation import compiled
from fice_core.errors import FiceError
from fice_core.inversion.cuda_graphs import GraphedObjective
from fice_core.inversion.loop import invert
from fice_core.inversion.objective import CachedTerm, Objective
from fice_core.latents import latent_statistics
from fice_core.models import load_models
from fice_core.networks.stylegan2 import Generator
from fice_core.profiling.measuring import make_targets
from fice_core.settings import EditSettings

SETTINGS = replace(
    EditSettings(), steps=9, start_candidates=0, plateau_patience=None, mixed_precision=False
)


@pytest.fixture(scope="module")
def demo():
    return load_models("demo")


def an_objective(models, settings=SETTINGS):
    known = latent_statistics(models.generator)
    return Objective(
        models.generator, settings, models.clip, models.densepose, models.segmenter, known
    )


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with a C++ compiler")
def test_a_compiled_generator_makes_the_same_image_and_gradient():
    torch.manual_seed(0)
    generator = Generator((8, 8), 8, 8, channel_base=64, channel_max=8)
    generator.requires_grad_(False)
    codes = generator.map(torch.randn(2, generator.z_dim)).clone().requires_grad_()
    found = []
    for synthesize in (generator.synthesize, compiled(generator.synthesize)):
        images = synthesize(codes)
        found.append((images, *torch.autograd.grad(images.square().sum(), codes)))
    for plain, quick in zip(*found, strict=True):
        torch.testing.assert_close(
            quick, plain, rtol=1e-4, atol=1e-4 * float(plain.detach().abs().max())
        )


def test_only_what_is_differentiated_is_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: lambda x: function(x) + 1)
    double = compiled(lambda x: 2 * x)
    plain, wanted = torch.tensor(1.0), torch.tensor(1.0, requires_grad=True)
    assert double(plain) == 2
    assert double(wanted) == 3


def test_a_machine_that_cannot_compile_says_so(monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("No working C++ compiler found\nin a long list of places")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    with pytest.raises(FiceError, match=r"\(No working C\+\+ compiler found\): install") as error:
        compiled(torch.sin)(torch.ones(3, requires_grad=True))
    assert "\n" not in str(error.value)


def test_compiled_edits_end_where_others_do(demo, monkeypatch):
    # The tracing without the compiler, which takes its time: `test_a_compiled_generator...` has that.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    targets = make_targets(demo, 2)
    found = [
        invert(
            demo.generator,
            targets,
            replace(SETTINGS, steps=3, execution=execution),
            clip=demo.clip,
            densepose=demo.densepose,
            segmenter=demo.segmenter,
        )
        for execution in ("eager", "compile")
    ]
    torch.testing.assert_close(found[1].trace.total, found[0].trace.total, rtol=1e-4, atol=0)


def test_recorded_steps_equal_the_ones_carried_out():
    models = toy_models()
    targets = toy_targets(3, models)
    objective = an_objective(models, replace(SETTINGS, head_scale=1.0))
    recordings = []

    def record(function):
        recordings.append(function)
        return function  # without a GPU: the same work again, into the same tensors

    recorded = GraphedObjective(objective, targets, record)
    rng = torch.Generator().manual_seed(0)
    zero = torch.zeros_like(targets.images)
    recent = {name: CachedTerm(torch.zeros(3), zero) for name in objective.every}
    for step in range(12):
        codes = targets.w_plus + 0.1 * torch.randn(targets.w_plus.shape, generator=rng)
        wanted = objective.evaluate(codes, targets, step, recent)
        found = recorded.evaluate(codes, step, recent)
        for one, other in zip(tree_leaves(found), tree_leaves(wanted), strict=True):
            assert torch.equal(one, other)
        recent = {
            name: CachedTerm(*(v.clone() for v in one)) for name, one in wanted.cached.items()
        }
    assert len(recordings) == 3  # head and pose are due, pose alone, or neither


def test_graphs_need_a_device_that_records_them():
    with pytest.raises(FiceError, match="needs a CUDA device, but the networks are on cpu"):
        an_objective(toy_models(), replace(SETTINGS, execution="graph"))
    with pytest.raises(FiceError, match="clip_views is 2, but must be 0 if execution is 'graph'"):
        replace(SETTINGS, execution="graph", clip_views=2)


class NothingFromTheHost(TorchDispatchMode):
    """Fails where a tensor of the host meets the device, as a recording of CUDA's would."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, found)) if isinstance(t, torch.Tensor)]
        assert all(t.device.type == "meta" for t in tensors), func
        return found


@pytest.mark.parametrize(
    ("settings", "records"),
    [
        (SETTINGS.with_weights(clip_region=1, perceptual=1), True),
        (replace(SETTINGS, hold=True), True),
        (replace(EditSettings.paper(), clamp=True), True),
        (replace(SETTINGS, clip_views=1), False),  # which shows that the test can fail
    ],
)
def test_a_step_asks_nothing_of_the_host(settings, records):
    # A meta tensor has no numbers: reading one fails.
    models = load_models("demo")
    targets, known = make_targets(models, 2).to("meta"), latent_statistics(models.generator)
    networks = [each.to("meta") for each in (models.clip, models.densepose, models.segmenter)]
    objective = Objective(
        models.generator.to("meta"), settings, *networks, statistics=known.to("meta")
    )
    with nullcontext() if records else pytest.raises(AssertionError):
        recent = objective.evaluate(targets.w_plus, targets).cached  # what is made once, is made
        for step in (0, 1):
            with NothingFromTheHost():
                objective.evaluate(targets.w_plus, targets, step, recent)

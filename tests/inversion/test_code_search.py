"""The search for a photo's code without an encoder: it finds it, in phases that a caller sees."""

import pytest
import torch

from fice_core.extraction.extractors import encode_latent, synthesize
from fice_core.inversion.code_search import CodeSearch, search_code
from fice_core.inversion.trace import Trace, in_sequence
from fice_core.models import load_models
from fice_core.ops.resize import resize


@pytest.fixture(scope="module")
def models():
    return load_models("demo")


@pytest.fixture(scope="module")
def photos(models):
    """Two images of the generator, far from its mean."""
    z = torch.randn(2, models.generator.z_dim, generator=torch.Generator().manual_seed(5))
    return synthesize(models.generator, models.generator.map(z), clamp=True)


def error(models, photos, w_plus):
    images = synthesize(models.generator, w_plus, clamp=True)
    return (images - photos).square().flatten(1).mean(dim=1)


@pytest.fixture(scope="module")
def found(models, photos):
    seen = []
    result = search_code(models.generator, models.segmenter, photos, 24, on_step=seen.append)
    return result, seen


def test_the_code_is_better_than_the_mean_and_the_encoders(models, photos, found):
    result, _ = found
    mean = models.generator.w_avg.expand(2, models.generator.num_ws, -1)
    now = error(models, photos, result.w_plus)
    assert (now < 0.15 * error(models, photos, mean)).all()
    encoded = encode_latent(models.generator, models.encoder(), photos)
    assert (now < error(models, photos, encoded)).all()


def test_every_step_is_told_in_order(found):
    result, every = found
    seen = every[8:]
    assert {step.phase for step in seen} == {"search"}
    assert [step.index for step in seen] == [*range(24)]
    assert {step.steps for step in seen} == {24}
    assert result.trace.steps == 24
    assert (result.trace.kept_step >= 0).all()
    assert torch.equal(result.trace.seconds, result.trace.seconds.sort().values)
    assert result.trace.total.shape == (24, 2)


def test_the_random_images_before_it_are_shown(models, photos, found):
    """Once for a generator: the one that is most like each photo so far."""
    _, every = found
    seen = every[:8]  # 64 images, eight at once
    assert [(step.phase, step.index, step.steps) for step in seen] == [
        ("start", number, 8) for number in range(8)
    ]
    distances = torch.stack([step.total for step in seen])
    assert (distances.diff(dim=0) <= 0).all() and (distances[-1] < distances[0]).any()
    small = [resize(images, (16, 16)) for images in (seen[-1].images, photos)]
    torch.testing.assert_close((small[0] - small[1]).square().flatten(1).mean(1), distances[-1])
    again = []
    search_code(models.generator, models.segmenter, photos, 2, on_step=again.append)
    assert {step.phase for step in again} == {"search"}


def test_photos_do_not_influence_one_another(models, photos):
    both = search_code(models.generator, models.segmenter, photos, 6)
    alone = search_code(models.generator, models.segmenter, photos[1:], 6, max_batch=1)
    torch.testing.assert_close(both.w_plus[1:], alone.w_plus, rtol=1e-3, atol=1e-3)


def test_the_coarse_part_has_one_w_for_all_layers(models, photos):
    search = CodeSearch(models.generator, models.segmenter, 10)
    rough = search.coarse(photos)
    assert (rough.w_plus - rough.w_plus[:, :1]).abs().max() < 1e-5
    assert rough.w_plus.shape[0] == 2
    fine = search.fine(photos, rough.w_plus, rough.trace)
    assert (fine.w_plus - fine.w_plus[:, :1]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="before the fine"):
        search.coarse(photos)


def test_a_second_coarse_search_goes_on_counting(models, photos):
    seen = []
    search = CodeSearch(models.generator, models.segmenter, 10, on_step=seen.append)
    search.coarse(photos)
    rough = search.coarse(photos)
    search.fine(photos, rough.w_plus, rough.trace)
    assert [step.index for step in seen] == [*range(12)]
    assert [step.steps for step in seen] == [10, 10] + [12] * 10


def test_pixels_alone_serve_without_a_segmenter(models, photos):
    result = search_code(models.generator, None, photos, 8)
    assert {*result.trace.terms} == {"image", "latent_prior"}


def test_it_can_be_cancelled_and_stopped(models, photos):
    class Cancelled(Exception):
        pass

    def cancel(step):
        raise Cancelled

    with pytest.raises(Cancelled):
        search_code(models.generator, models.segmenter, photos, 6, on_step=cancel)
    seen = []

    def stop(step):
        seen.append(step.index)
        step.stop()

    result = search_code(models.generator, models.segmenter, photos, 30, on_step=stop)
    assert len(seen) == 2  # one of each part
    assert result.w_plus.isfinite().all()


def test_inside_inference_mode(models, photos):
    with torch.inference_mode():
        result = search_code(models.generator, models.segmenter, photos[:1], 4)
    assert not result.w_plus.is_inference()


def trace(total, kept, seconds):
    values = torch.tensor(total)[:, None]
    return Trace(
        {"image": values}, {"image": 1.0}, values, torch.tensor([kept]),
        torch.full((len(total),), 0.1), torch.tensor(seconds),
    )  # fmt: skip


def test_traces_in_sequence():
    first, second = trace([3.0, 2.0], 1, [1.0, 2.0]), trace([1.5, 1.0, 1.2], 1, [1.0, 2.0, 3.0])
    both = in_sequence(first, second)
    assert both.total.flatten().tolist() == [3.0, 2.0, 1.5, 1.0, pytest.approx(1.2)]
    assert both.kept_step.tolist() == [3]
    assert both.seconds.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    failed = in_sequence(first, trace([torch.nan], -1, [1.0]))
    assert failed.kept_step.tolist() == [1]

"""Copy, reconstruction, FICE's variants, and the return to the photo."""

from dataclasses import replace

import pytest
import torch
from rival_tasks import photos, task
from toys import BLIND

from fice_core.inversion.loop import invert
from fice_core.rivals.copying import Copy
from fice_core.rivals.fice import Fice, clip_alone
from fice_core.rivals.reconstruction import Reconstruction
from fice_core.rivals.stitched import finish, finish_foreign
from fice_core.settings import EditSettings


@pytest.mark.parametrize("stitch", ["none", "head", "mask"])
def test_a_copy_comes_back_bit_for_bit(stitch: str) -> None:
    given = task()
    result = finish(given, Copy().edit(given), stitch, BLIND)
    torch.testing.assert_close(result.images, photos(), rtol=0, atol=1e-6)
    levels = (255 * result.images).round()
    assert torch.equal(levels, (255 * photos()).round())


def test_a_reconstruction_is_the_image_of_the_code() -> None:
    given = task()
    found = Reconstruction().edit(given)
    expected = given.models.generator.synthesize(given.preparation.targets.w_plus)
    assert torch.equal(found.images, expected)
    assert torch.equal(finish(given, found, "none", BLIND).images, expected.clamp(0, 1))


def test_the_paper_holds_all_but_the_body() -> None:
    given = task()
    paper = replace(EditSettings.paper(), steps=4)
    models, targets = given.models, given.preparation.targets
    own = replace(targets, keep_mask=1 - given.preparation.regions.body)
    networks = {"clip": models.clip, "densepose": models.densepose, "segmenter": models.segmenter}
    expected = invert(models.generator, own, paper, **networks)
    found = Fice(EditSettings.paper()).edit(given, steps=4)
    assert torch.equal(found.images, expected.images)
    assert found.steps == 4
    other = Fice(replace(paper, stitch="none")).edit(given)
    assert not torch.equal(other.images, expected.images)


def test_clip_alone_has_one_term() -> None:
    settings = clip_alone().settings
    assert {n: w for n, w in settings.weights.as_dict().items() if w} == {"clip": 1}
    assert (settings.steps, settings.learning_rate) == (501, 0.05)


def test_results_of_others_change_nothing_outside() -> None:
    given = task()
    made = 1 - photos()
    stitched, mask = finish_foreign(given, made, BLIND)
    outside = (mask == 0).expand_as(stitched)
    assert outside.any()
    assert torch.equal(stitched[outside], photos()[outside])
    inside = (mask == 1).expand_as(stitched)
    assert inside.any()
    torch.testing.assert_close(stitched[inside], made[inside])

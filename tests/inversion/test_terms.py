"""The registry of loss terms: a new term needs an entry and a weight, and what a term lacks is said."""

from dataclasses import dataclass, fields, replace

import pytest
import torch
from toys import BLIND, toy_models, toy_targets

from fice_core.editing import edit
from fice_core.errors import FiceError
from fice_core.inversion import terms
from fice_core.inversion.critics import Critics
from fice_core.inversion.terms import (
    TERMS,
    TermSpec,
    require_critics,
    require_targets,
    weighted_terms,
    without_missing,
)
from fice_core.settings import ComputeSettings, LossWeights

NOTHING = {item.name: 0.0 for item in fields(LossWeights)}
EVERYTHING = {item.name: 1.0 for item in fields(LossWeights)}


@dataclass(frozen=True)
class ToyWeights(LossWeights):
    darkness: float = 0.0


def darkness_term(critics, settings):
    """Mean brightness: pulls images towards black."""

    def term(images, goal, step):
        return images.flatten(1).mean(dim=1)

    return term


@pytest.fixture
def darkness(monkeypatch):
    monkeypatch.setitem(terms.TERMS, "darkness", TermSpec(None, ("images",), darkness_term))


def test_every_term_has_a_weight_and_every_weight_a_term():
    assert set(TERMS) == {item.name for item in fields(LossWeights)}


@pytest.mark.usefixtures("darkness")
def test_a_registered_term_steers_an_edit():
    """One function, one entry, one weight: the edit gets darker, and the trace has the term."""
    models, photo = toy_models(), torch.full((1, 3, 24, 24), 0.6)
    weights = ToyWeights(**NOTHING | {"latent": 1.0, "darkness": 1.0})
    settings = replace(BLIND, steps=8, weights=weights, stitch="none", start_candidates=0)
    result = edit(models, photo, "any text", settings)
    recorded = result.trace.terms["darkness"][:, 0]
    assert list(result.trace.terms) == ["darkness", "latent"]
    assert recorded[-1] < recorded[0]
    assert result.images.mean() < result.initial.mean()
    torch.testing.assert_close(recorded.min(), result.generated.mean())


@pytest.mark.usefixtures("darkness")
def test_a_registered_term_of_weight_0_is_not_computed():
    assert "darkness" not in weighted_terms(ToyWeights())


@pytest.mark.parametrize(
    ("term", "missing"),
    [
        ("clip", "CLIP network"),
        ("clip_region", "CLIP network"),
        ("clip_direction", "CLIP network"),
        ("pose", "DensePose network"),
        ("head", "segmenter"),
        ("perceptual", "segmenter"),
        ("latent_prior", "statistics of W"),
    ],
)
def test_a_term_without_its_critic_is_refused(term, missing):
    weights = LossWeights(**NOTHING | {term: 1.0})
    critics = Critics(ComputeSettings(), torch.device("cpu"))
    with pytest.raises(FiceError, match=f"the {term} term has a weight but no {missing}"):
        require_critics(weights, critics)


@pytest.mark.parametrize(
    ("field", "missing", "needed_by"),
    [
        ("text_features", "text", ["clip", "clip_region"]),
        ("direction", "source text", ["clip_direction"]),
        ("parts", "pose", ["pose"]),
        ("head", "head mask", ["head"]),
        ("keep_mask", "keep mask", ["clip_region", "clip_direction", "image", "perceptual"]),
    ],
)
def test_a_term_without_its_target_is_refused_or_left_out(field, missing, needed_by):
    whole = toy_targets(2, toy_models())
    whole = replace(whole, direction=whole.text_features)
    weights = LossWeights(**EVERYTHING)
    require_targets(weights, whole)
    assert without_missing(weights, whole, set()) == weights
    part = replace(whole, **{field: None})
    for term in needed_by:
        with pytest.raises(FiceError, match=f"the {term} term has a weight but no {missing}"):
            require_targets(LossWeights(**NOTHING | {term: 1.0}), part)
    left = without_missing(weights, part, set())
    assert left == replace(weights, **dict.fromkeys(needed_by, 0.0))
    require_targets(left, part)


def test_terms_of_an_absent_critic_are_left_out():
    left = without_missing(LossWeights(**EVERYTHING), toy_targets(1, toy_models()), {"segmenter"})
    assert (left.head, left.perceptual) == (0, 0)
    assert (left.clip, left.pose, left.image) == (1, 1, 1)

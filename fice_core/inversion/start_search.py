"""A search for a better start: the photo's own code with the clothes of random codes. Not in the paper.

From a red shirt, the gradient towards "blue" does not always lead to blue: the images that match a text
form islands, and an optimisation can end on the wrong one. So a few random codes are tried first.
"""

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch

from ..latents import mix_layers
from ..networks.clip import Clip
from ..networks.stylegan2 import Generator
from ..ops.batching import in_batches
from ..settings import InversionSettings
from .objective import Objective, rendered_at_once
from .targets import Targets

_SHORTLIST = 4  # random codes whose images match the text best, for each photo
_SPLITS = (0.3, 0.42, 0.55)  # the share of layers from which on a random code replaces the photo's
_MATCHING = 16  # one in this many random codes counts as matching the text
_SHIFTS = (
    0.7,
    1.4,
    2.1,
)  # how far the coarse layers move, as a multiple of the way to the matching codes


class _Drawn(NamedTuple):
    """Everything that decides the features of random codes, besides generator and CLIP."""

    seed: int
    candidates: int
    at_once: int
    uses_bfloat16: bool
    device: torch.device


# The features do not depend on photo or text: the last ones of each generator are cached.
_CACHE: WeakKeyDictionary[
    Generator, WeakKeyDictionary[Clip, tuple[_Drawn, torch.Tensor, torch.Tensor]]
] = WeakKeyDictionary()


def search_start(
    generator: Generator,
    clip: Clip,
    objective: Objective,
    targets: Targets,
    settings: InversionSettings,
    check_cancelled: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """Starting codes (N, num_ws, w_dim), none with a higher total loss than the given codes.

    `settings.start_candidates` random codes are drawn once for all photos and ranked by how well their
    images match each text. The fine layers of the best ones replace the photo's, from several layers on;
    then the coarse layers move towards the mean of the matching codes. The candidate with the lowest
    total of all terms wins.

    Args:
        objective: of the inversion; `targets` must hold what its terms need.
        check_cancelled: called between pieces of the work; an exception that it raises ends it.
    """
    assert targets.text_features is not None
    # The search needs no graph, and must not need more memory than a step.
    at_once = max(1, min(settings.max_batch, rendered_at_once(generator)))
    device = targets.w_plus.device
    drawn = _Drawn(
        settings.seed, settings.start_candidates, at_once, objective.critics.uses_bfloat16, device
    )
    codes, features = _candidate_codes(generator, clip, objective, drawn, check_cancelled)
    ranking = targets.text_features @ features.T
    best = targets.w_plus
    lowest = objective.total(best, targets, at_once)

    def consider(tried: torch.Tensor) -> None:
        nonlocal best, lowest
        check_cancelled()
        total = objective.total(tried, targets, at_once)
        better = total < lowest
        best = torch.where(better[:, None, None], tried, best)
        lowest = torch.where(better, total, lowest)

    shortlist = ranking.topk(min(_SHORTLIST, len(codes)), dim=1).indices
    splits = sorted({max(1, round(share * generator.num_ws)) for share in _SPLITS})
    for place in shortlist.T:
        for split in splits:
            consider(mix_layers(targets.w_plus, codes[place], split, generator.num_ws))
    # The mean of the matching codes points to the cut that the text asks for.
    matching = ranking.topk(max(1, len(codes) // _MATCHING), dim=1).indices
    shift = codes[matching].mean(dim=1) - codes.mean(dim=0)
    dressed, coarse = best, splits[len(splits) // 2]
    for amount in _SHIFTS:
        consider(mix_layers(dressed, dressed + amount * shift, 0, coarse))
    return best


def _candidate_codes(
    generator: Generator,
    clip: Clip,
    objective: Objective,
    drawn: _Drawn,
    check_cancelled: Callable[[], None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random codes (M, num_ws, w_dim) and CLIP's features of their images (M, D)."""
    known = _CACHE.setdefault(generator, WeakKeyDictionary())
    if clip in known and known[clip][0] == drawn:
        return known[clip][1:]
    encode = objective.critics.encode_image
    rng = torch.Generator().manual_seed(drawn.seed)
    z = torch.randn(drawn.candidates, generator.z_dim, generator=rng)

    def look(w: torch.Tensor) -> torch.Tensor:
        check_cancelled()
        return encode(generator.synthesize(w).clamp(0, 1))

    codes = generator.map(z.to(drawn.device))
    known[clip] = (drawn, codes, in_batches(look, codes, drawn.at_once))
    return known[clip][1:]

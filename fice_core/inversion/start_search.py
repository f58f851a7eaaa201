"""A search for a better start: the photo's own code with the clothes of random codes. Not in the paper.

From a red shirt, the gradient towards "blue" does not always lead to blue: the images that match a text
form islands, and an optimisation can end on the wrong one. So a few random codes are tried first.
"""

import contextlib
from collections.abc import Callable

import torch

from ..latents import mix_layers
from ..networks.clip import Clip
from ..networks.stylegan2 import Generator
from ..settings import InversionSettings
from .looks import Drawn, RandomLooks
from .objective import Judged, Objective, rendered_at_once
from .result import OnStep, Step
from .targets import Targets

_SHORTLIST = 4  # random codes whose images match the text best, for each photo
_SPLITS = (0.3, 0.42, 0.55)  # the share of layers from which on a random code replaces the photo's
_MATCHING = 16  # one in this many random codes counts as matching the text
_SHIFTS = (
    0.7,
    1.4,
    2.1,
)  # how far the coarse layers move, as a multiple of the way to the matching codes


def search_start(
    generator: Generator,
    clip: Clip,
    objective: Objective,
    targets: Targets,
    settings: InversionSettings,
    on_step: OnStep | None = None,
    check_cancelled: Callable[[], None] = lambda: None,
    on_disk: bool = False,
) -> torch.Tensor:
    """Starting codes (N, num_ws, w_dim), none with a higher total loss than the given codes.

    `settings.start_candidates` random codes are drawn once for all photos and ranked by how well their
    images match each text. The fine layers of the best ones replace the photo's, from several layers on;
    then the coarse layers move towards the mean of the matching codes. The candidate with the lowest
    total of all terms wins.

    Args:
        objective: of the inversion; `targets` must hold what its terms need.
        on_step: called after every piece of the random images, which shows the one that matches each text
            best so far, and after every try, which shows the best start so far. `Step.phase` is "start";
            `Step.stop()` ends the search with that start.
        check_cancelled: called between pieces of the work; an exception that it raises ends it.
        on_disk: whether what the random images look like is remembered on disk, see `looks`.
    """
    assert targets.text_features is not None
    # The search needs no graph, and must not need more memory than a step.
    at_once = max(1, min(settings.max_batch, rendered_at_once(generator)))
    drawn = _drawn(objective, targets, settings, at_once)
    looks = RandomLooks(generator, clip, objective.critics.encode_image, drawn, on_disk)
    search = _Search(objective, targets, at_once, on_step, check_cancelled)
    splits = sorted({max(1, round(share * generator.num_ws)) for share in _SPLITS})
    shortlisted = min(_SHORTLIST, len(looks.codes))
    search.planned = looks.pieces + shortlisted * len(splits) + len(_SHIFTS)
    with contextlib.suppress(_Stopped):
        _try_on(search, looks, shortlisted, splits)
    return search.best


def _drawn(
    objective: Objective, targets: Targets, settings: InversionSettings, at_once: int
) -> Drawn:
    device, mixed = targets.w_plus.device, objective.critics.uses_bfloat16
    return Drawn(settings.seed, settings.start_candidates, at_once, mixed, device)


def _try_on(search: "_Search", looks: RandomLooks, shortlisted: int, splits: list[int]) -> None:
    targets, codes = search.targets, looks.codes
    layers = codes.shape[1]
    ranking = search.text_features @ looks.features(search.saw).T
    for place in ranking.topk(shortlisted, dim=1).indices.T:
        for split in splits:
            search.consider(mix_layers(targets.w_plus, codes[place], split, layers))
    # The mean of the matching codes points to the cut that the text asks for.
    matching = ranking.topk(max(1, len(codes) // _MATCHING), dim=1).indices
    shift = codes[matching].mean(dim=1) - codes.mean(dim=0)
    dressed, coarse = search.best, splits[len(splits) // 2]
    for amount in _SHIFTS:
        search.consider(mix_layers(dressed, dressed + amount * shift, 0, coarse))


class _Stopped(Exception):
    """The caller asked for the end of the search."""


class _Search:
    """The best start so far, and what the caller is told of it.

    Attributes:
        best: these codes, (N, num_ws, w_dim).
        planned: number of steps.
    """

    planned = 0

    def __init__(
        self,
        objective: Objective,
        targets: Targets,
        at_once: int,
        on_step: OnStep | None,
        check_cancelled: Callable[[], None],
    ) -> None:
        assert targets.text_features is not None
        self.targets, self.text_features = targets, targets.text_features
        self.best = targets.w_plus
        self._objective, self._at_once = objective, at_once
        self._on_step, self._check_cancelled = on_step, check_cancelled
        self._done = 0
        check_cancelled()
        self._judged = objective.judge(self.best, targets, at_once)
        # of the random images, the one that matches each text best
        self._match = torch.full_like(self._judged.total, -torch.inf)
        self._matching = self._judged.images

    def saw(self, images: torch.Tensor, features: torch.Tensor) -> None:
        """Take note of random images."""
        if self._on_step is not None:
            match, place = (self.text_features @ features.T).max(dim=1)
            better = match > self._match
            self._match = torch.where(better, match, self._match)
            self._matching = _chosen(better, images[place], self._matching)
            self._tell({"clip": 1 - self._match}, 1 - self._match, self._matching)
        self._check_cancelled()

    def consider(self, codes: torch.Tensor) -> None:
        """Take `codes` wherever their total is lower."""
        self._check_cancelled()
        judged = self._objective.judge(codes, self.targets, self._at_once)
        better = judged.total < self._judged.total
        self.best = torch.where(better[:, None, None], codes, self.best)
        self._judged = Judged(
            {
                name: torch.where(better, judged.terms[name], old)
                for name, old in self._judged.terms.items()
            },
            torch.where(better, judged.total, self._judged.total),
            _chosen(better, judged.images, self._judged.images),
        )
        if self._on_step is not None:
            self._tell(*self._judged)

    def _tell(
        self, values: dict[str, torch.Tensor], total: torch.Tensor, images: torch.Tensor
    ) -> None:
        assert self._on_step is not None
        step = Step(self._done, self.planned, values, total, images, "start")
        self._done += 1
        self._on_step(step)
        if step.stop_requested:
            raise _Stopped


def _chosen(first: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) of `a` where `first` (N,) holds, else of `b`."""
    return torch.where(first[:, None, None, None], a, b)

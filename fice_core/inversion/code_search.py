"""The code of a photo by optimisation, where there is no encoder. Not in the paper.

The search goes from coarse to fine. Random images of the generator are compared with the photo first. From
the mean of W and from the codes of the most similar ones, one w for all layers is fitted. The best of these
codes is then refined layer by layer, as `refinement.refine_latent` refines an encoder's code.
"""

from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch

from ..extraction.extractors import synthesize
from ..latents import LatentStatistics, latent_statistics
from ..networks.regions import PersonSegmenter
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..ops.resize import resize
from .refinement import REFINE_WEIGHTS, refine_latent
from .result import InversionResult, OnStep, Step
from .trace import Trace, in_sequence

_STARTS = 3  # for each photo: the mean of W and the most similar random codes
_SAMPLES = 64  # random codes that are compared with the photos
_TRUNCATION = 0.7  # of these codes
_THUMBNAIL = 16  # pixels of the longer side in which they are compared
_COARSE = 1 / 5  # share of the steps that fit one w for all layers
_RATE = (
    0.1  # Adam's peak, in units of the spread of W; a start is further away than an encoder's code
)

# Random codes and thumbnails of their images, for each generator.
_SAMPLED: WeakKeyDictionary[Generator, tuple[torch.Tensor, torch.Tensor]] = WeakKeyDictionary()


class CodeSearch:
    """The search for the codes of photos, in two parts that a caller can separate.

    Args:
        generator: its gradient flows to the codes alone.
        segmenter: gives the feature maps of the perceptual term; None compares pixels alone.
        steps: of both parts, >= 2.
        max_batch: images computed at once; does not change the result.
        on_step: called after every step of both, see `invert`; `Step.phase` is "search". The first search
            with a generator begins with random images, shown as the phase "start", which cannot be
            stopped but by an exception.
        check_cancelled: called while random images are made; an exception that it raises is passed on.
    """

    def __init__(
        self,
        generator: Generator,
        segmenter: PersonSegmenter | None,
        steps: int,
        max_batch: int = 8,
        on_step: OnStep | None = None,
        check_cancelled: Callable[[], None] = lambda: None,
    ) -> None:
        self._generator = generator
        self._segmenter = segmenter
        self._max_batch = max_batch
        self._on_step = on_step
        self._check_cancelled = check_cancelled
        self.coarse_steps = max(1, round(_COARSE * steps))
        self.fine_steps = max(1, steps - self.coarse_steps)
        self._planned = self.coarse_steps + self.fine_steps
        self._done = 0
        self._statistics: LatentStatistics | None = None

    def coarse(self, images: torch.Tensor) -> InversionResult:
        """Codes with one w for all layers whose images resemble `images` (N, 3, H, W) in [0, 1].

        They are at the generator's resolution.
        """
        if self._done > self.coarse_steps:
            raise ValueError("the coarse search comes before the fine one")
        self._planned = self._done + self.coarse_steps + self.fine_steps
        starts = self._starts(images)
        count = starts.shape[1]
        repeated = images.repeat_interleave(count, dim=0)
        found = self._fit(repeated, starts.flatten(0, 1), self.coarse_steps, layer_freedom=0.0)
        lowest = found.trace.total.nan_to_num(nan=torch.inf).amin(dim=0).view(-1, count)
        best = lowest.argmin(dim=1) + count * torch.arange(len(images))
        rows = best.to(found.w_plus.device)  # the trace is on the CPU
        return replace(
            found,
            w_plus=found.w_plus[rows],
            images=found.images[rows],
            initial=found.initial[rows],
            trace=found.trace.select(best),
            warnings=(),  # of a start that failed where another one served
        )

    def fine(self, images: torch.Tensor, w_plus: torch.Tensor, before: Trace) -> InversionResult:
        """The codes with a w for every layer, fitted to `images`; `before` is the coarse trace."""
        found = self._fit(images, w_plus, self.fine_steps, layer_freedom=0.5)
        return replace(found, trace=in_sequence(before, found.trace))

    def _fit(
        self, images: torch.Tensor, w_plus: torch.Tensor, steps: int, layer_freedom: float
    ) -> InversionResult:
        if self._statistics is None:
            self._statistics = latent_statistics(self._generator)
        weights = REFINE_WEIGHTS
        if self._segmenter is None:
            weights = replace(weights, perceptual=0.0)
        first = self._done

        def follow(step: Step) -> None:
            self._done = first + step.index + 1
            if self._on_step is not None:
                moved = Step(
                    first + step.index,
                    self._planned,
                    step.values,
                    step.total,
                    step.images,
                    "search",
                )
                self._on_step(moved)
                step.stop_requested = moved.stop_requested

        found = refine_latent(
            self._generator,
            self._segmenter,
            images,
            w_plus,
            steps,
            weights=weights,
            learning_rate=_RATE,
            layer_freedom=layer_freedom,
            max_batch=self._max_batch,
            statistics=self._statistics,
            on_step=follow,
        )
        self._done = first + steps  # it may have ended early
        return found

    def _starts(self, images: torch.Tensor) -> torch.Tensor:
        """The codes to start from, (N, S, num_ws, w_dim): the mean of W first."""
        codes, thumbnails = self._samples(images)
        size = (thumbnails.shape[2], thumbnails.shape[3])
        wanted = resize(images, size)
        distance = (wanted[:, None] - thumbnails.to(images)[None]).square().flatten(2).mean(dim=2)
        nearest = distance.topk(_STARTS - 1, dim=1, largest=False).indices
        mean = self._generator.w_avg.expand(len(images), 1, self._generator.num_ws, -1)
        return torch.cat([mean, codes.to(images)[nearest]], dim=1)

    def _samples(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Random codes and thumbnails of their images, made once for every generator."""
        generator = self._generator
        if generator not in _SAMPLED:
            height, width = generator.resolution
            scale = _THUMBNAIL / max(height, width)
            size = max(1, round(scale * height)), max(1, round(scale * width))
            rng = torch.Generator().manual_seed(0)
            z = torch.randn(_SAMPLES, generator.z_dim, generator=rng)
            with without_grad():
                codes = generator.map(z.to(next(generator.parameters()).device), _TRUNCATION)
                nearest = _Nearest(images, size)
                small = []
                parts = codes.split(self._max_batch)
                for number, part in enumerate(parts):
                    self._check_cancelled()
                    made = synthesize(generator, part, clamp=True)
                    small.append(resize(made, size))
                    if self._on_step is not None:
                        nearest.consider(made, small[-1])
                        self._on_step(nearest.step(number, len(parts)))
                _SAMPLED[generator] = codes.cpu(), torch.cat(small).cpu()
        return _SAMPLED[generator]


class _Nearest:
    """Of random images, the one that is most like each photo, to be shown."""

    def __init__(self, photos: torch.Tensor, size: tuple[int, int]) -> None:
        self._wanted = resize(photos, size)
        self._images = torch.zeros_like(photos)
        self._distance = torch.full((len(photos),), torch.inf, device=photos.device)

    def consider(self, images: torch.Tensor, thumbnails: torch.Tensor) -> None:
        """Take those of `images` that are nearer than the ones so far."""
        differences = self._wanted[:, None] - thumbnails.to(self._wanted)[None]
        distance, place = differences.square().flatten(2).mean(dim=2).min(dim=1)
        nearer = distance < self._distance
        self._distance = torch.where(nearer, distance, self._distance)
        chosen = images.to(self._images)[place]
        self._images = torch.where(nearer[:, None, None, None], chosen, self._images)

    def step(self, number: int, steps: int) -> Step:
        """What the caller is told; the loss is the squared difference of the thumbnails."""
        values = {"image": self._distance}
        return Step(number, steps, values, self._distance, self._images, "start")


def search_code(
    generator: Generator,
    segmenter: PersonSegmenter | None,
    images: torch.Tensor,
    steps: int,
    *,
    max_batch: int = 8,
    on_step: OnStep | None = None,
    check_cancelled: Callable[[], None] = lambda: None,
) -> InversionResult:
    """Codes whose images reproduce photos, found without an encoder.

    Args:
        images: photos at the generator's resolution, (N, 3, H, W) in [0, 1].
        generator, segmenter, steps, max_batch, on_step, check_cancelled: see `CodeSearch`.

    Returns:
        As `refine_latent`; `initial` are the images of the best codes with one w for all layers.

    Raises:
        InversionInterrupted: Ctrl-C; holds the result so far.
    """
    search = CodeSearch(generator, segmenter, steps, max_batch, on_step, check_cancelled)
    rough = search.coarse(images)
    return search.fine(images, rough.w_plus, rough.trace)

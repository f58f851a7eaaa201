"""A copy of the generator, fitted to one photo (Roich et al. 2021). Not in the paper."""

import copy
import time
from dataclasses import dataclass

import torch

from ..latents import check_latent
from ..networks.regions import PersonSegmenter
from ..networks.stylegan2 import Generator
from ..ops.autograd import with_grad
from ..settings import ComputeSettings, InversionSettings
from . import losses
from .critics import Critics
from .result import OnStep, Step
from .targets import Targets
from .terms import perceptual_term
from .trace import Trace


@dataclass(frozen=True)
class Tuned:
    """A generator that is fitted to one photo.

    Attributes:
        generator: frozen, in eval mode, on the device of the original.
        trace: of the terms `image`, `perceptual` and `locality`, (steps, 1) each; `generator` has the
            weights of `kept_step`.
        warnings: one line each.
    """

    generator: Generator
    trace: Trace
    warnings: tuple[str, ...]


def tune_generator(
    generator: Generator,
    segmenter: PersonSegmenter,
    images: torch.Tensor,
    w_plus: torch.Tensor,
    steps: int,
    *,
    image: float = 100.0,
    perceptual: float = 1.0,
    locality: float = 0.3,
    reach: float = 0.5,
    learning_rate: float = 1e-3,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Tuned:
    """Fit a copy of the generator to one photo: pivotal tuning (Roich et al. 2021, arXiv 2106.05744).

    The code stays fixed; the weights of the synthesis network move until the image is the photo. So that
    other codes keep their images, every step also takes a code between this one and a random one of W,
    and compares its image with the original generator's (section 3.3 there, "locality").

    The copy, its gradient, Adam's two moments and the best weights so far take five times the memory of
    the synthesis network: tune for one photo, use the result, and release it.

    Args:
        generator: the original; not changed.
        segmenter: see `refine_latent`.
        images: the photo at the generator's resolution, (1, 3, H, W) in [0, 1].
        w_plus: the code of this photo, the pivot, (1, num_ws, w_dim).
        steps: >= 1.
        image, perceptual: weights of the two comparisons with the photo. The same weighted sum, for the
            other code, is the locality term.
        locality: weight of the locality term; 0 switches it off.
        reach: where the other code lies between the pivot, 0, and the random code, 1.
        learning_rate: of Adam, constant.
        seed: of the random codes.
        on_step: see `invert`.

    Raises:
        FiceError: the code does not fit the generator.
        ValueError: not exactly one photo and one code, or no step.
    """
    check_latent(w_plus, generator)
    if len(images) != 1 or len(w_plus) != 1 or steps < 1:
        raise ValueError(
            f"one photo, one code and steps >= 1 are needed, not {len(images)}, {len(w_plus)}, {steps}"
        )
    weights = {"image": image, "perceptual": perceptual, "locality": locality}
    with with_grad():
        fit = _Fit(generator, segmenter, images, w_plus, weights, reach, seed)
        adam = torch.optim.Adam(fit.parameters, lr=learning_rate)
        best, kept, lowest = fit.weights_now(), -1, torch.inf
        rows: list[torch.Tensor] = []
        seconds: list[float] = []
        warnings: tuple[str, ...] = ()
        start = time.monotonic()
        for index in range(steps):
            values, total, image_now = fit.evaluate()
            rows.append(torch.stack([*values.values(), total]).cpu())
            seconds.append(time.monotonic() - start)
            if total.item() < lowest:  # never true of NaN
                best, kept, lowest = fit.weights_now(), index, total.item()
            step = Step(index, steps, values, total, image_now, phase="tune")
            if on_step is not None:
                on_step(step)
            if not fit.is_finite(total):
                warnings = (
                    f"the losses became NaN or infinite at step {index + 1}; the generator before "
                    "that is used (a lower learning rate may help)",
                )
                break
            if step.stop_requested:
                break
            if index + 1 < steps:  # nothing would use one more update
                adam.step()
        tuned = fit.finished(best)
    columns = torch.stack(rows)
    trace = Trace(
        terms={name: columns[:, k] for k, name in enumerate(weights)},
        weights=weights,
        total=columns[:, -1],
        kept_step=torch.tensor([kept]),
        learning_rate=torch.full((len(rows),), learning_rate),
        seconds=torch.tensor(seconds),
    )
    return Tuned(tuned, trace, warnings)


class _Fit:
    """The copy of the generator during the fit, and its loss."""

    def __init__(
        self,
        generator: Generator,
        segmenter: PersonSegmenter,
        images: torch.Tensor,
        w_plus: torch.Tensor,
        weights: dict[str, float],
        reach: float,
        seed: int,
    ) -> None:
        self._photo, self._pivot = images.detach().clone(), w_plus.detach().clone()
        self._generator = generator
        self._tuned = copy.deepcopy(generator).eval()
        critics = Critics(ComputeSettings(), images.device, segmenter=segmenter)
        self._perceptual = perceptual_term(critics, InversionSettings())
        self._weights = weights
        self._reach = reach
        self._rng = torch.Generator().manual_seed(seed)
        self.parameters = list(self._tuned.synthesis.requires_grad_().parameters())

    def evaluate(self) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        """Unweighted terms and weighted sum, (1,) each, and the image, (1, 3, H, W). Sets the gradient of
        the parameters."""
        codes, wanted = self._pivot, self._photo
        if self._weights["locality"]:
            z = torch.randn(1, self._generator.z_dim, generator=self._rng).to(self._pivot)
            with torch.no_grad():
                other = self._pivot.lerp(self._generator.map(z), self._reach)
                wanted = torch.cat([self._photo, self._generator.synthesize(other)])
            codes = torch.cat([self._pivot, other])
        images = self._tuned.synthesize(codes)
        everywhere = torch.ones_like(wanted[:, :1])
        goal = Targets(images=wanted, w_plus=codes, keep_mask=everywhere)
        image = losses.image_loss(images, wanted, everywhere)
        perceptual = self._perceptual(images, goal, 0)
        unlike = self._weights["image"] * image + self._weights["perceptual"] * perceptual
        locality = unlike[1:].sum(dim=0, keepdim=True)
        total = unlike[:1] + self._weights["locality"] * locality
        gradients = torch.autograd.grad(total.sum(), self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        terms = {"image": image[:1], "perceptual": perceptual[:1], "locality": locality}
        terms = {name: value.detach() for name, value in terms.items()}
        return terms, total.detach(), images[:1].detach()

    def is_finite(self, total: torch.Tensor) -> bool:
        """Whether total and gradients of the last `evaluate` are finite."""
        known = [total, *(p.grad for p in self.parameters if p.grad is not None)]
        return bool(torch.stack([value.isfinite().all() for value in known]).all())

    def weights_now(self) -> list[torch.Tensor]:
        """Copies of the current parameters."""
        return [parameter.detach().clone() for parameter in self.parameters]

    def finished(self, weights: list[torch.Tensor]) -> Generator:
        """The copy with these weights, frozen."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, weights, strict=True):
                parameter.copy_(value)
                parameter.grad = None
        return self._tuned.requires_grad_(False)

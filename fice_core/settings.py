"""Everything that steers an edit, in one frozen object. Imports no torch, so that `fice --help` is fast."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from .errors import FiceError

Schedule = Literal["constant", "cosine"]
ResultChoice = Literal["best", "last"]
Coordinates = Literal["w", "whitened"]
StitchMode = Literal["mask", "pyramid", "gradient", "head", "none"]
Framing = Literal["auto", "person", "whole"]
Garment = Literal["upper", "lower", "outfit"]
Backdrop = Literal["auto", "keep"]
Execution = Literal["auto", "eager", "compile", "graph"]
Preset = Literal["draft", "default", "paper"]


@dataclass(frozen=True)
class LossWeights:
    """Factors of the loss terms; 0 switches a term off, and its network is then not run at all.

    `clip`, `pose`, `head`, `image` and `latent` are the paper's terms (FICE, section 3.3);
    The others are ours. `latent_prior`: the squared Mahalanobis distance of every layer's w from the W
    that the mapping network produces (about 1 for a typical sample). `perceptual`: how different the
    picture looks from the photo to the segmenter's first stages, where `image` compares pixels.
    `clip_region`: as `clip`, but CLIP sees only the garment's surroundings, with the photo wherever the
    edit may not reach, so that the text has no hold on trousers or background. `clip_direction`: 1 -
    cosine between the way from a source text to the wanted one and the way from the photo to the
    picture, by the same view; it needs a source text and is left out without one.
    """

    clip: float = 1.0
    pose: float = 10.0
    head: float = 1.0
    image: float = 30.0
    latent: float = 1.0
    latent_prior: float = 0.0
    perceptual: float = 0.0
    clip_region: float = 0.0
    clip_direction: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _require(_is_number(value) and value >= 0, f"weight {name!r}", value, "a number >= 0")
        if not any(asdict(self).values()):
            raise FiceError("all loss weights are 0, so nothing steers the edit: raise one of them")

    def as_dict(self) -> dict[str, float]:
        """Weights by term, in the order in which terms are reported."""
        return asdict(self)


@dataclass(frozen=True)
class EditSettings:
    """How one edit is computed. The default is ours, `draft()` a quick look; `paper()` is the authors' loop.

    Optimisation:
        steps: optimisation steps, >= 1.
        seed: of `start_candidates`, `start_noise` and `clip_views`; the rest of the method is deterministic.
        coordinates: what Adam's steps are taken in. "w": every component of w moves alike, as in the
            paper. "whitened": in units of the spread of W, so that codes move along the directions
            in which W varies and hardly along those in which no plausible picture differs.
        layer_freedom: with whitened coordinates, every step has a part that all layers take together,
            as a walk in W, and one of each layer's own; this is the size of the second against the
            first. It plays no part with "w", where layers move independently.
        learning_rate: Adam's, in units of w or of its spread; the peak of the schedule.
        schedule: "constant", or "cosine" (linear warm-up, then half a cosine down to 0).
        warmup: fraction of the steps, [0, 1), over which "cosine" climbs to the peak.
        beta1, beta2: how much of the past Adam's two moments keep, [0, 1). The paper's, and torch's, are 0.9
            and 0.999; in so few steps a shorter memory gets further.
        plateau_patience: a picture is finished once its best total has not improved for that many
            steps; None never stops early.
        plateau_tolerance: smallest improvement that counts, as a fraction of the best total.
        result: "best" keeps the step with the lowest total, "last" the last one rendered.
        start_noise: standard deviation of the noise added to the encoder's code, in standard
            deviations of W, so that different seeds give different edits; 0 adds none.
        start_candidates: random codes whose clothes are tried on before the first step, see
            `starting.py`; 0 starts from the photo's own code.
        clip_views: random crops that CLIP judges at every step beside the whole picture.
        max_batch: pictures that are on the device's graph at once. It bounds memory and does not
            change the result.
        refine_steps: steps that first fit the encoder's code to the photo, >= 0; see `fidelity.py`.
        tune_steps: steps that then fit a copy of the generator to each photo, >= 0; photos are edited
            one after the other then.
        hold: generate only what the edit may change; everywhere else the generator's features stay those
            of the photo's code, so that the text has no hold on trousers or background. The picture
            then is not that of its code alone. Costs a rendering without gradient at every step.
        head_every, pose_every: the term is computed at every so many steps; in between, its last value
            and its last gradient at the picture stand for it.
        head_scale: the segmenter judges the head in pictures of this scale, in (0, 1]: half the side
            costs a quarter.
        mixed_precision: CLIP, DensePose and segmenter multiply in bfloat16 where the device is made for
            it; codes, losses, generator and optimiser stay float32. Without such a device it does nothing.
        execution: "eager": operation by operation. "graph": steps as CUDA graphs; without `clip_views`.
            "auto": "graph" where it can be, else "eager". "compile": as "auto", with the generator, and CLIP
            in bfloat16, by `torch.compile`, which takes a minute or more first.

    Pictures:
        framing: what of a photo is shown to the generator. "whole": all of it. "person": the largest
            person is looked for. "auto": the whole, if a person fills it as the generator's do; else the
            person.
        backdrop: "auto" shows the networks the person before the generator's own backdrop, where the
            photo's is none that it could show (see `backdrop.py`); "keep" shows what is there.
        garment: what is edited: the "upper" garment, the "lower" one, or the whole "outfit".
        clamp: clamp generated pictures to [0, 1] before they are judged and stitched.
        stitch: "mask", "pyramid" and "gradient" change only the garment and leave every other pixel
            bit-equal: with a soft border, by a Laplacian pyramid, or in the gradient domain. "head"
            brings only the head back from the photo (the paper), "none" returns the generated picture.
        sharp_mask: let the edit mask follow the edges in the photo at the photo's own resolution.
        match_colour, match_grain, match_skin: bring the generated garment's colours to the photo's light,
            give it the photo's grain, and newly bare skin the person's own tone.
        mask_dilation: how far the edit may reach beyond the garment, as a fraction of the height.
        mask_feather: width of the soft border outside that, as a fraction of the height.
        change_threshold: mean absolute difference of RGB, [0, 1], from which an arm counts as
            changed by the edit and is taken from the generated picture.

    Raises:
        FiceError: a value outside its range; the message names the field.
    """

    steps: int = 60
    seed: int = 0
    coordinates: Coordinates = "whitened"
    layer_freedom: float = 0.2
    learning_rate: float = 0.15
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    beta1: float = 0.8
    beta2: float = 0.95
    plateau_patience: int | None = 25
    plateau_tolerance: float = 1e-3
    result: ResultChoice = "best"
    start_noise: float = 0.0
    start_candidates: int = 256
    clip_views: int = 0
    max_batch: int = 8
    refine_steps: int = 0
    tune_steps: int = 0
    hold: bool = False
    head_every: int = 4
    pose_every: int = 2
    head_scale: float = 0.5
    mixed_precision: bool = True
    execution: Execution = "auto"
    framing: Framing = "auto"
    backdrop: Backdrop = "auto"
    garment: Garment = "upper"
    clamp: bool = True
    stitch: StitchMode = "mask"
    sharp_mask: bool = True
    match_colour: bool = True
    match_grain: bool = True
    match_skin: bool = True
    mask_dilation: float = 0.01
    mask_feather: float = 0.02
    change_threshold: float = 0.06
    weights: LossWeights = field(
        default_factory=lambda: LossWeights(
            clip=3.0, pose=10.0, head=1.0, image=100.0, latent=0.03, latent_prior=0.2
        )
    )

    def __post_init__(self) -> None:
        _require(_is_count(self.steps, 1), "steps", self.steps, "a whole number >= 1")
        _require(
            _is_count(self.seed, 0) and self.seed < 2**64,
            "seed",
            self.seed,
            "a whole number from 0 to 2^64 - 1",
        )
        for name in ("start_candidates", "clip_views", "refine_steps", "tune_steps"):
            value = getattr(self, name)
            _require(_is_count(value, 0), name, value, "a whole number >= 0")
        _require(_is_count(self.max_batch, 1), "max_batch", self.max_batch, "a whole number >= 1")
        _require(
            self.plateau_patience is None or _is_count(self.plateau_patience, 1),
            "plateau_patience",
            self.plateau_patience,
            "a whole number >= 1, or None",
        )
        rate = self.learning_rate
        _require(_is_number(rate) and rate > 0, "learning_rate", rate, "a number > 0")
        for name in ("layer_freedom", "plateau_tolerance", "start_noise", "change_threshold"):
            value = getattr(self, name)
            _require(_is_number(value) and value >= 0, name, value, "a number >= 0")
        for name in ("warmup", "beta1", "beta2"):
            value = getattr(self, name)
            _require(_is_number(value) and 0 <= value < 1, name, value, "in [0, 1)")
        for name in ("head_every", "pose_every"):
            value = getattr(self, name)
            _require(_is_count(value, 1), name, value, "a whole number >= 1")
        scale = self.head_scale
        _require(_is_number(scale) and 0 < scale <= 1, "head_scale", scale, "in (0, 1]")
        for name in ("mask_dilation", "mask_feather"):
            value = getattr(self, name)
            _require(_is_number(value) and 0 <= value <= 0.5, name, value, "in [0, 0.5]")
        for name, choices in (
            ("coordinates", get_args(Coordinates)),
            ("schedule", get_args(Schedule)),
            ("execution", get_args(Execution)),
            ("result", get_args(ResultChoice)),
            ("stitch", get_args(StitchMode)),
            ("framing", get_args(Framing)),
            ("backdrop", get_args(Backdrop)),
            ("garment", get_args(Garment)),
        ):
            value = getattr(self, name)
            _require(value in choices, name, value, "one of " + ", ".join(choices))
        _require(
            self.execution != "graph" or self.clip_views == 0,
            "clip_views",
            self.clip_views,
            "0 if execution is 'graph', which draws nothing anew at a step",
        )
        if not isinstance(self.weights, LossWeights):
            raise TypeError(f"weights must be LossWeights, not {type(self.weights).__name__}")

    @classmethod
    def paper(cls) -> "EditSettings":
        """The authors' loop (github MartinPernus/FICE, 7354216), with its quirks: 501 steps, the
        picture rendered before the last update, pictures not clamped, only the head stitched."""
        return cls(
            steps=501,
            coordinates="w",
            learning_rate=0.05,
            schedule="constant",
            warmup=0.0,
            beta1=0.9,
            beta2=0.999,
            plateau_patience=None,
            result="last",
            start_noise=0.0,
            start_candidates=0,
            clip_views=0,
            head_every=1,
            pose_every=1,
            head_scale=1.0,
            mixed_precision=False,
            framing="whole",
            backdrop="keep",
            clamp=False,
            stitch="head",
            sharp_mask=False,
            match_colour=False,
            match_grain=False,
            match_skin=False,
            weights=LossWeights(clip=1, pose=10, head=1, image=30, latent=1, latent_prior=0),
        )

    @classmethod
    def draft(cls) -> "EditSettings":
        """A first look, in fewer steps. What it costs in quality: docs/performance.md."""
        return cls(steps=40, beta1=0.7, beta2=0.9)

    @classmethod
    def preset(cls, name: Preset) -> "EditSettings":
        """The settings of that name."""
        if name == "default":
            return cls()
        return cls.draft() if name == "draft" else cls.paper()

    def records_on(self, device: str) -> bool:
        """Whether steps become graphs on devices of a type, as "cpu" or "cuda"."""
        return device == "cuda" and self.execution != "eager" and not self.clip_views

    @property
    def needs_statistics(self) -> bool:
        """Whether the loop has to know how W is distributed."""
        prior = self.weights.latent_prior > 0
        return self.coordinates == "whitened" or prior or self.start_noise > 0

    @property
    def judges_by_clip(self) -> bool:
        """Whether the text has a say."""
        weights = self.weights
        return max(weights.clip, weights.clip_region, weights.clip_direction) > 0

    @property
    def keeps_outside(self) -> bool:
        """Whether all but the garment stays the photo's, bit for bit."""
        return self.stitch in ("mask", "pyramid", "gradient")

    def with_weights(self, **weights: float) -> "EditSettings":
        """A copy with some loss weights replaced: `settings.with_weights(pose=0)`."""
        return replace(self, weights=replace(self.weights, **weights))

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of update `step`, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        warmup = round(self.warmup * self.steps)
        if step < warmup:
            return self.learning_rate * (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(self.steps - warmup, 1)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for reports."""
        return asdict(self)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise FiceError(f"{name} is {value!r}, but must be {expected}")

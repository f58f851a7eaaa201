"""Everything that controls an edit, as frozen dataclasses. Imports no torch, so that `fice --help` is fast.

Each group belongs to one stage. `EditSettings` inherits from all groups, so one flat object holds every
setting. A function takes the group that it reads, and accepts an `EditSettings` too.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, get_args

from .errors import FiceError

Schedule = Literal["constant", "cosine"]
ResultChoice = Literal["best", "last"]
Coordinates = Literal["w", "whitened"]
StitchMode = Literal["mask", "pyramid", "gradient", "head", "none"]
Framing = Literal["auto", "person", "whole"]
Garment = Literal["upper", "lower", "outfit", "dress"]
Backdrop = Literal["auto", "keep"]
Execution = Literal["auto", "eager", "compile", "graph"]
Preset = Literal["draft", "default", "photo", "paper"]
_Group = TypeVar("_Group", bound="_Checked")
_MOST = (
    10**6
)  # of anything counted; more is a slip of the finger, for which memory would not suffice


@dataclass(frozen=True)
class LossWeights:
    """Factors of the loss terms. A term of weight 0 is off, and its network does not run.

    `clip`, `pose`, `head`, `image` and `latent` are the paper's terms (FICE, section 3.3). The others
    are not in the paper.

    Attributes:
        clip: 1 - cosine of image and text for CLIP.
        pose: squared difference of the DensePose part maps.
        head: squared difference of the segmenter's head masks.
        image: squared difference of the pixels outside the edit area.
        latent: squared distance of every layer's w from the first layer's.
        latent_prior: squared Mahalanobis distance of every layer's w from W, about 1 for a typical sample.
        perceptual: difference from the photo in the segmenter's first feature maps, outside the edit area.
        clip_region: as `clip`, but CLIP sees only the surroundings of the garment, and the photo wherever
            the edit may not reach. The text then cannot change trousers or background.
        clip_direction: 1 - cosine of two directions of the same view: from the photo to the image, and
            from a source text to the wanted text. Needs a source text; without one it is left out.

    Raises:
        FiceError: a weight is negative or no number, or all are 0.
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


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A group of settings that checks its own fields, and those of the groups it is made of."""

    def __post_init__(self) -> None:
        for group in reversed(type(self).__mro__):
            if "_check" in vars(group):
                vars(group)["_check"](self)

    def _counts(self, least: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            _require(_is_count(value, least), name, value, f"a whole number >= {least}")
            _require(value <= _MOST, name, value, f"at most {_MOST}")

    def _numbers(self, low: float, high: float, expected: str, *names: str) -> None:
        """The fields are numbers in [low, high)."""
        for name in names:
            value = getattr(self, name)
            _require(_is_number(value) and low <= value < high, name, value, expected)

    def _choices(self, choices: Any, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            _require(
                value in get_args(choices), name, value, "one of " + ", ".join(get_args(choices))
            )


@dataclass(frozen=True, kw_only=True)
class _Seeded(_Checked):
    """The seed of everything random.

    Attributes:
        seed: of `start_candidates`, `start_noise`, `clip_views` and the grain; all else is deterministic.
    """

    seed: int = 0

    def _check(self) -> None:
        known = _is_count(self.seed, 0) and self.seed < 2**64
        _require(known, "seed", self.seed, "a whole number from 0 to 2^64 - 1")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(_Seeded):
    """Settings of the optimisation.

    Attributes:
        steps: optimisation steps, >= 1.
        coordinates: the coordinates of Adam's steps. "w": the components of w, as in the paper.
            "whitened": units of the spread of W, so that codes move mostly along the directions in
            which plausible images differ.
        layer_freedom: with whitened coordinates, all layers share one step and each layer adds a step of
            its own. This is the size of the own step relative to the shared one. Unused with "w",
            where layers move independently.
        learning_rate: of Adam, > 0, in units of w or of its spread; the peak of the schedule.
        schedule: "constant", or "cosine": linear warm-up, then half a cosine down to 0.
        warmup: fraction of the steps, [0, 1), in which "cosine" rises to the peak.
        beta1, beta2: decay rates of Adam's moments, [0, 1). The paper's, and torch's, are 0.9 and 0.999;
            a shorter memory gets further in few steps.
        plateau_patience: an image is finished when its best total has not improved for this many steps;
            None never stops early.
        plateau_tolerance: the smallest improvement that counts, as a fraction of the best total.
        result: "best" keeps the step with the lowest total, "last" the last step.
    """

    steps: int = 60
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

    def _check(self) -> None:
        self._counts(1, "steps")
        patience = self.plateau_patience
        known = patience is None or _is_count(patience, 1)
        _require(known, "plateau_patience", patience, "a whole number >= 1, or None")
        rate = self.learning_rate
        _require(_is_number(rate) and rate > 0, "learning_rate", rate, "a number > 0")
        self._numbers(0, math.inf, "a number >= 0", "layer_freedom", "plateau_tolerance")
        self._numbers(0, 1, "in [0, 1)", "warmup", "beta1", "beta2")
        self._choices(Coordinates, "coordinates")
        self._choices(Schedule, "schedule")
        self._choices(ResultChoice, "result")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of update `step`, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        warmup = round(self.warmup * self.steps)
        if step < warmup:
            return self.learning_rate * (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(self.steps - warmup, 1)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True, kw_only=True)
class StartSettings(_Checked):
    """Settings of what happens between the encoder's code and the first step.

    Attributes:
        search_steps: without an encoder, steps that search the code of each photo, see
            `inversion/code_search.py`, >= 2. Unused with an encoder.
        start_noise: standard deviation of the noise added to the encoder's code, in standard deviations
            of W. Different seeds then give different edits; 0 adds none.
        start_candidates: random codes whose clothes are tried before the first step, see
            `inversion/start_search.py`; 0 starts from the photo's own code.
        refine_steps: steps that first fit the code to the photo, see `inversion/refinement.py`; 0 skips it.
        tune_steps: steps that then fit a copy of the generator to each photo, see
            `inversion/pivotal_tuning.py`; 0 skips it. Photos are then edited one after the other.
    """

    start_noise: float = 0.0
    start_candidates: int = 256
    refine_steps: int = 0
    tune_steps: int = 0
    search_steps: int = 120

    def _check(self) -> None:
        self._counts(2, "search_steps")
        self._counts(0, "start_candidates", "refine_steps", "tune_steps")
        self._numbers(0, math.inf, "a number >= 0", "start_noise")


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings(_Checked):
    """Settings of what is minimised.

    Attributes:
        weights: factors of the loss terms.
        clip_views: random crops that CLIP sees at every step beside the whole image.
        hold: generate only the area that may change. Everywhere else the generator keeps the features of
            the photo's code, so that the text cannot change trousers or background. The image then
            depends on both codes. Costs one rendering without gradient at every step.
        head_every, pose_every: compute the term only every so many steps. In between, its last value and
            its last gradient with respect to the image are used.
        head_scale: scale of the images in which the segmenter sees the head, in (0, 1]. Half the side
            takes a quarter of the time.
        clamp: clamp generated images to [0, 1] before the critics see them and before the stitch.
    """

    weights: LossWeights = field(
        default_factory=lambda: LossWeights(
            clip=3.0, pose=10.0, head=1.0, image=100.0, latent=0.03, latent_prior=0.2
        )
    )
    clip_views: int = 0
    hold: bool = False
    head_every: int = 4
    pose_every: int = 2
    head_scale: float = 0.5
    clamp: bool = True

    def _check(self) -> None:
        self._counts(0, "clip_views")
        self._counts(1, "head_every", "pose_every")
        scale = self.head_scale
        _require(_is_number(scale) and 0 < scale <= 1, "head_scale", scale, "in (0, 1]")
        if not isinstance(self.weights, LossWeights):
            raise TypeError(f"weights must be LossWeights, not {type(self.weights).__name__}")

    @property
    def judges_by_clip(self) -> bool:
        """Whether a term of the text has a weight."""
        weights = self.weights
        return max(weights.clip, weights.clip_region, weights.clip_direction) > 0


@dataclass(frozen=True, kw_only=True)
class ComputeSettings(_Checked):
    """Settings of how an edit is computed.

    Attributes:
        max_batch: number of images computed at once. Limits memory and does not change the result.
        mixed_precision: CLIP, DensePose and segmenter multiply in bfloat16 where the device has the
            instructions; codes, losses, generator and optimiser stay float32. Elsewhere it has no effect.
        execution: "eager": operation by operation. "graph": steps as CUDA graphs; not with `clip_views`.
            "auto": "graph" where that works, else "eager". "compile": as "auto", but `torch.compile`
            first compiles the generator, and CLIP in bfloat16, which takes a minute or more.
    """

    max_batch: int = 8
    mixed_precision: bool = True
    execution: Execution = "auto"

    def _check(self) -> None:
        self._counts(1, "max_batch")
        self._choices(Execution, "execution")


@dataclass(frozen=True, kw_only=True)
class InversionSettings(OptimizerSettings, StartSettings, ObjectiveSettings, ComputeSettings):
    """Settings of stage 2, the constrained inversion."""

    def _check(self) -> None:
        _require(
            self.execution != "graph" or self.clip_views == 0,
            "clip_views",
            self.clip_views,
            "0 if execution is 'graph', because CUDA graphs cannot draw new random crops",
        )

    @property
    def needs_statistics(self) -> bool:
        """Whether the loop needs the statistics of W."""
        prior = self.weights.latent_prior > 0
        return self.coordinates == "whitened" or prior or self.start_noise > 0

    def uses_graphs_on(self, device: str) -> bool:
        """Whether steps become CUDA graphs on a device type, such as "cpu" or "cuda"."""
        return device == "cuda" and self.execution != "eager" and not self.clip_views


@dataclass(frozen=True, kw_only=True)
class FramingSettings(_Checked):
    """Settings of which part of a photo the networks see, and before which background.

    Attributes:
        framing: "whole": the whole photo. "person": the largest person. "auto": the whole photo if a
            person fills it as in the generator's images, else the largest person.
        backdrop: "auto" puts the person before the generator's own background where the generator cannot
            show the photo's, see `extraction/background.py`; "keep" never does.
    """

    framing: Framing = "auto"
    backdrop: Backdrop = "auto"

    def _check(self) -> None:
        self._choices(Framing, "framing")
        self._choices(Backdrop, "backdrop")


@dataclass(frozen=True, kw_only=True)
class MaskSettings(_Checked):
    """Settings of where an edit may change the photo.

    Attributes:
        garment: what is edited: the "upper" garment, the "lower" one, the whole "outfit", or what becomes
            a "dress". A segmenter that names clothes tells exactly where they are.
        mask_dilation: how far the edit may reach beyond the garment, as a fraction of the height, [0, 0.5].
        mask_feather: width of the soft border around that, as a fraction of the height, [0, 0.5].
        change_threshold: mean absolute difference of RGB, [0, 1], from which an arm counts as changed by
            the edit and comes from the generated image.
        sharp_mask: let the edit mask follow the edges of the photo, at the photo's own resolution.
    """

    garment: Garment = "upper"
    mask_dilation: float = 0.01
    mask_feather: float = 0.02
    change_threshold: float = 0.06
    sharp_mask: bool = True

    def _check(self) -> None:
        for name in ("mask_dilation", "mask_feather"):
            value = getattr(self, name)
            _require(_is_number(value) and 0 <= value <= 0.5, name, value, "in [0, 0.5]")
        self._numbers(0, math.inf, "a number >= 0", "change_threshold")
        self._choices(Garment, "garment")


@dataclass(frozen=True, kw_only=True)
class StitchSettings(_Seeded):
    """Settings of how the generated garment joins the photo.

    Attributes:
        stitch: "mask", "pyramid" and "gradient" change only the garment and leave every other pixel as it
            was, bit for bit. "mask" blends with a soft border, "pyramid" by a Laplacian pyramid, "gradient"
            in the gradient domain. "head" brings only the head back from the photo, as in the paper.
            "none" returns the generated image.
        match_colour: adapt the garment's colours to the photo's light.
        match_grain: add the photo's grain to the garment.
        match_skin: give newly bare skin the person's own tone.
    """

    stitch: StitchMode = "mask"
    match_colour: bool = True
    match_grain: bool = True
    match_skin: bool = True

    def _check(self) -> None:
        self._choices(StitchMode, "stitch")

    @property
    def keeps_outside(self) -> bool:
        """Whether every pixel outside the garment stays the photo's, bit for bit."""
        return self.stitch in ("mask", "pyramid", "gradient")


@dataclass(frozen=True, kw_only=True)
class EditSettings(InversionSettings, FramingSettings, MaskSettings, StitchSettings):
    """Everything that controls an edit. The groups explain the fields.

    `EditSettings()` is the default of the demonstration models, `photo()` that of all others, `paper()` the
    authors' loop.

    Raises:
        FiceError: a value is out of range; the message names the field.
    """

    @classmethod
    def paper(cls) -> EditSettings:
        """The authors' loop (github MartinPernus/FICE, 7354216), with its quirks: 501 steps, the image
        rendered before the last update, images not clamped, only the head stitched."""
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
            start_candidates=0,
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
    def photo(cls) -> EditSettings:
        """The paper's objective in w, reached in a fifth of the time; framing and stitching as by default.

        For models on which the default was not tried. Its steps pass the objective of the paper's 501 with
        networks of the published sizes, see benchmarks/bench_objective.py.
        """
        return cls(
            steps=240,
            coordinates="w",
            learning_rate=0.4,
            beta1=0.7,
            beta2=0.9,
            plateau_patience=None,
            start_candidates=0,
            head_scale=1.0,
            weights=cls.paper().weights,
        )

    @classmethod
    def draft(cls) -> EditSettings:
        """A first look in fewer steps, after a fifth of the search for a start."""
        return cls(steps=40, beta1=0.7, beta2=0.9, search_steps=60, start_candidates=32)

    @classmethod
    def preset(cls, name: Preset, demonstration: bool = True) -> EditSettings:
        """The settings of that name.

        Args:
            name: "default" and "draft" depend on the generator.
            demonstration: whether it is a demonstration model, see `Generator.demonstration`. Others get
                `photo`, and for a draft a third of its steps.
        """
        if name == "paper":
            return cls.paper()
        if name == "photo":
            return cls.photo()
        if demonstration:
            return cls() if name == "default" else cls.draft()
        photo = cls.photo()
        return photo if name == "default" else replace(photo, steps=80, search_steps=60)

    def with_weights(self, **weights: float) -> EditSettings:
        """A copy with some loss weights replaced: `settings.with_weights(pose=0)`."""
        return replace(self, weights=replace(self.weights, **weights))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for reports."""
        return asdict(self)


def group_values(settings: _Group, group: type[_Group]) -> dict[str, Any]:
    """The fields of one group by name, as arguments of `dataclasses.replace`."""
    return {item.name: getattr(settings, item.name) for item in fields(group)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise FiceError(f"{name} is {value!r}, but must be {expected}")

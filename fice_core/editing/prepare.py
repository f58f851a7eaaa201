"""What an edit knows before its optimisation: photos framed and looked at, and paired with prompts."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..errors import FiceError
from ..extraction.anatomy import BodyRegions, find_body_regions
from ..extraction.background import generator_background, is_out_of_domain, replace_background
from ..extraction.extractors import encode_latent, extract_pose, segment_regions, synthesize
from ..extraction.prompts import encode
from ..framing import Frame
from ..inversion.refinement import refine_latent
from ..inversion.result import OnStep
from ..inversion.targets import Targets
from ..inversion.trace import Trace
from ..masks.garment import allowed_mask
from ..models import Models
from ..networks.clip import Clip
from ..networks.segmenter import Regions
from ..ops.batching import broadcast_count
from ..persons.selection import choose_frame
from ..settings import EditSettings


class PromptFeatures(NamedTuple):
    """What the prompts ask for: features (M, D), and the ways there from a source text."""

    features: torch.Tensor
    direction: torch.Tensor | None

    @classmethod
    def of(cls, clip: Clip, prompts: list[str], negative: str, source: str) -> "PromptFeatures":
        """Encode the prompts, see `prompts.encode`; `source` may be empty."""
        features = encode(clip, prompts, negative)
        if not source.strip():
            return cls(features, None)
        return cls(features, features - encode(clip, [source]))


class Preparation(NamedTuple):
    """Everything known before the optimisation; all tensors but `photos` have one row per edit."""

    photos: torch.Tensor  # as given
    picture: list[int]  # of `photos`, for each edit
    frames: list[Frame]
    framed: torch.Tensor  # the photos in their frames, before their own background
    regions: Regions
    replaced: list[bool]  # whether the targets show another background
    targets: Targets
    anatomy: BodyRegions
    mask: torch.Tensor | None  # at the photos' size, one row for each of them
    refinement: Trace | None
    warnings: tuple[str, ...]


def prepare(
    models: Models,
    photos: torch.Tensor,
    texts: PromptFeatures,
    settings: EditSettings,
    mask: torch.Tensor | None,
    frames: Sequence[Frame] | None,
    on_fit: OnStep,
) -> Preparation:
    """Stage 1: run every network once over the photos, then pair them with the prompts."""
    count = broadcast_count({"pictures": len(photos), "prompts": len(texts.features)})
    if mask is not None:
        mask = mask.detach().to(torch.float32).clamp(0, 1).expand(len(photos), -1, -1, -1)
    frames = _frames(models, photos, settings, frames)
    framed = torch.cat(
        [
            _framed(photo, frame, models)
            for photo, frame in zip(photos.split(1), frames, strict=True)
        ]
    )
    regions = segment_regions(models.segmenter, framed, settings.max_batch)
    encoder = models.load_encoder()
    w_plus = encode_latent(models.generator, encoder, framed, settings.max_batch)
    shown = framed
    replaced = torch.zeros(len(framed), 1, 1, 1, dtype=torch.bool, device=framed.device)
    if settings.backdrop == "auto" and settings.keeps_outside:
        seen = synthesize(models.generator, w_plus, True, settings.max_batch)
        replaced = is_out_of_domain(framed, seen, regions)
        if replaced.any():
            colour = generator_background(models.generator, models.segmenter)
            shown = torch.where(replaced, replace_background(framed, regions, colour), framed)
            w_plus = encode_latent(models.generator, encoder, shown, settings.max_batch)
    del encoder  # what follows needs memory, too
    parts = extract_pose(models.densepose, shown, settings.max_batch)
    anatomy = find_body_regions(parts, regions)
    refined = None
    if settings.refine_steps:
        refined = refine_latent(
            models.generator,
            models.segmenter,
            shown,
            w_plus,
            settings.refine_steps,
            max_batch=settings.max_batch,
            on_step=on_fit,
        )
        w_plus = refined.w_plus
    keep = _keep_mask(regions, anatomy, settings)
    if mask is not None:
        within = [
            _framed(row, frame, models) for row, frame in zip(mask.split(1), frames, strict=True)
        ]
        keep = 1 - (1 - keep) * torch.cat(within)

    edits = torch.arange(count, device=models.device)
    picture, prompt = edits % len(photos), edits % len(texts.features)
    return Preparation(
        photos=photos,
        picture=picture.tolist(),
        frames=[frames[i] for i in picture.tolist()],
        framed=framed[picture],
        regions=Regions(*(region[picture] for region in regions)),
        replaced=replaced[picture].flatten().tolist(),
        targets=Targets(
            images=shown[picture],
            w_plus=w_plus[picture],
            text_features=texts.features[prompt],
            parts=parts[picture],
            head=regions.head[picture],
            keep_mask=keep[picture],
            direction=None if texts.direction is None else texts.direction[prompt],
        ),
        anatomy=BodyRegions(*(region[picture] for region in anatomy)),
        mask=mask,
        refinement=None if refined is None else refined.trace.select(picture),
        warnings=() if refined is None else refined.warnings,
    )


def _framed(photo: torch.Tensor, frame: Frame, models: Models) -> torch.Tensor:
    """A photo or mask (1, C, H, W) as the generator's picture, on the models' device."""
    return frame.fit(photo.float()).to(models.device)


def _frames(
    models: Models, photos: torch.Tensor, settings: EditSettings, frames: Sequence[Frame] | None
) -> list[Frame]:
    """One frame for every photo.

    Raises:
        FiceError: see `choose_frame`, or the numbers do not go together.
    """
    if frames is None:
        return [
            choose_frame(models.generator, models.segmenter, photo, settings.framing)
            for photo in photos.split(1)
        ]
    broadcast_count({"pictures": len(photos), "frames": len(frames)})
    for frame in frames:
        if frame.size != photos.shape[2:] or frame.resolution != models.generator.resolution:
            raise FiceError(
                f"the frame is for photos of {frame.size[1]} x {frame.size[0]} pixels and another "
                "generator, perhaps: make it from these photos"
            )
    return [frames[i % len(frames)] for i in range(len(photos))]


def _keep_mask(regions: Regions, anatomy: BodyRegions, settings: EditSettings) -> torch.Tensor:
    """What the image term holds on to: the paper's non-body, or all but what a garment may cover."""
    if settings.stitch == "head":
        return 1 - regions.body
    return 1 - allowed_mask(anatomy, settings)

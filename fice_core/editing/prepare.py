"""Stage 1: photos are framed, every network runs over them once, and they are paired with prompts."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ..errors import FiceError
from ..extraction.anatomy import BodyRegions, find_body_regions
from ..extraction.background import generator_background, is_out_of_domain, replace_background
from ..extraction.domain import seen_from_behind, unknown_images
from ..extraction.extractors import encode_latent, extract_pose, segment_classes, synthesize
from ..extraction.prompts import WORN, encode
from ..framing import Frame
from ..inversion.code_search import CodeSearch
from ..inversion.refinement import refine_latent
from ..inversion.result import OnStep
from ..inversion.targets import Targets
from ..inversion.trace import Trace
from ..masks.garment import allowed_mask
from ..models import Models
from ..networks.clip import Clip
from ..networks.e4e import Encoder
from ..networks.regions import Regions, regions_of
from ..ops.batching import broadcast_count
from ..persons.selection import choose_frame
from ..settings import EditSettings

_TOUCHED = 1 / 255  # of a mask, from which an edit shows
_FAINTEST = 1e-6  # brightest level of a mask, below which it is black everywhere


class PromptFeatures(NamedTuple):
    """CLIP features of the prompts, (M, D), and their directions from the source text, (M, D)."""

    features: torch.Tensor
    direction: torch.Tensor | None

    @classmethod
    def of(cls, clip: Clip, prompts: list[str], negative: str, source: str) -> "PromptFeatures":
        """The features of prompts, see `prompts.encode`; without a source text there is no direction."""
        features = encode(clip, prompts, negative)
        if not source.strip():
            return cls(features, None)
        return cls(features, features - encode(clip, [source], name=WORN))


class Preparation(NamedTuple):
    """Everything that is known before the optimisation. Unless said otherwise, there is one row an edit.

    Attributes:
        photos: as given, one row a photo.
        photo_of: the photo of each edit, an index into `photos`.
        frames: of each edit.
        framed: the photos in their frames, with their own background.
        regions: of `framed`.
        classes: all soft masks of the segmenter in `framed`, by name; `regions` are their sums.
        replaced: whether the targets show another background than the photo.
        targets: of the inversion.
        body: regions of the body in the photo.
        mask: the edit stays within it, at the size of the photos, one row a photo; None for no limit.
        search: the trace of the search for the codes; None if an encoder gave them.
        refinement: the trace of the fit of the codes; None if there was none.
        warnings: one line each.
    """

    photos: torch.Tensor
    photo_of: list[int]
    frames: list[Frame]
    framed: torch.Tensor
    regions: Regions
    classes: dict[str, torch.Tensor]
    replaced: list[bool]
    targets: Targets
    body: BodyRegions
    mask: torch.Tensor | None
    search: Trace | None
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
    check_cancelled: Callable[[], None] = lambda: None,
    on_warning: Callable[[str], None] = lambda line: None,
) -> Preparation:
    """Run every network once over the photos, then pair photos and prompts.

    Args:
        models: all of them; without an encoder the codes are searched.
        photos: (N, 3, H, W) in [0, 1].
        texts: of the prompts.
        settings: framing, background, mask and refinement.
        mask: the edit stays within it, (N or 1, 1, H, W) in [0, 1].
        frames: of the photos, or one for all; None finds them.
        on_fit: called after every step of the search and the refinement.
        check_cancelled: called while the search begins; an exception that it raises is passed on.
        on_warning: called with every warning as soon as it is known: some before the search.
    """
    warnings: list[str] = []

    def warn(lines: Sequence[str]) -> None:
        warnings.extend(lines)
        for line in lines:
            on_warning(line)

    count = broadcast_count({"images": len(photos), "prompts": len(texts.features)})
    if mask is not None:
        mask = mask.detach().to(torch.float32).clamp(0, 1).expand(len(photos), -1, -1, -1)
    frames = _frames(models, photos, settings, frames)
    framed = _framed(photos, frames, models)
    classes = segment_classes(models.segmenter, framed, settings.max_batch)
    regions = regions_of(classes)
    parts = extract_pose(models.densepose, framed, settings.max_batch)
    warn(seen_from_behind(parts))
    if models.load_encoder is None:
        start = _searched(models, framed, regions, settings, on_fit, check_cancelled)
    else:
        start = _encoded(models, models.load_encoder, framed, regions, settings)
    w_plus, shown = start.w_plus, start.shown
    warn(start.warnings)
    if start.replaced.any():
        parts = extract_pose(models.densepose, shown, settings.max_batch)
    body = find_body_regions(parts, regions, classes)
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
        warn(refined.warnings)
    keep = _keep_mask(regions, body, settings)
    if mask is not None:
        possible, within = 1 - keep, _framed(mask, frames, models)
        keep = 1 - possible * within
        brightest = mask.amax(dim=(1, 2, 3), keepdim=True).to(within.device)
        warn(_missed(possible, possible * (within / brightest.clamp(min=_FAINTEST))))

    edits = torch.arange(count, device=models.device)
    photo, prompt = edits % len(photos), edits % len(texts.features)
    return Preparation(
        photos=photos,
        photo_of=photo.tolist(),
        frames=[frames[i] for i in photo.tolist()],
        framed=framed[photo],
        regions=Regions(*(region[photo] for region in regions)),
        classes={name: soft[photo] for name, soft in classes.items()},
        replaced=start.replaced[photo].tolist(),
        targets=Targets(
            images=shown[photo],
            w_plus=w_plus[photo],
            text_features=texts.features[prompt],
            parts=parts[photo],
            head=regions.head[photo],
            keep_mask=keep[photo],
            direction=None if texts.direction is None else texts.direction[prompt],
        ),
        body=body.select(photo),
        mask=mask,
        search=start.search and start.search.select(photo),
        refinement=None if refined is None else refined.trace.select(photo),
        warnings=tuple(warnings),
    )


class _Start(NamedTuple):
    """Starting codes of N photos, and the images that they are compared with.

    Attributes:
        w_plus: (N, num_ws, w_dim).
        shown: the photos in their frames, before a background that the generator knows, (N, 3, H, W).
        replaced: whether it is another one than the photo's, bool (N,).
        warnings: one line each.
        search: the trace of the search for the codes; None with an encoder.
    """

    w_plus: torch.Tensor
    shown: torch.Tensor
    replaced: torch.Tensor
    warnings: list[str]
    search: Trace | None = None


def _encoded(
    models: Models,
    load_encoder: Callable[[], Encoder],
    framed: torch.Tensor,
    regions: Regions,
    settings: EditSettings,
) -> _Start:
    """The start by the encoder."""
    encoder = load_encoder()  # it may be read from its file: once for all passes

    def encoded(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        w_plus = encode_latent(models.generator, encoder, images, settings.max_batch)
        return w_plus, synthesize(models.generator, w_plus, True, settings.max_batch)

    w_plus, generated = encoded(framed)
    shown, replaced = _before_known_background(models, framed, regions, generated, settings)
    if replaced.any():
        w_plus, generated = encoded(shown)
    networks = models.generator, encoder, models.segmenter
    warnings = unknown_images(*networks, shown, generated, regions)
    return _Start(w_plus, shown, replaced, warnings)


def _searched(
    models: Models,
    framed: torch.Tensor,
    regions: Regions,
    settings: EditSettings,
    on_step: OnStep,
    check_cancelled: Callable[[], None],
) -> _Start:
    """The start without an encoder."""
    search = CodeSearch(
        models.generator,
        models.segmenter,
        settings.search_steps,
        settings.max_batch,
        on_step,
        check_cancelled,
    )
    rough = search.coarse(framed)
    generated = synthesize(models.generator, rough.w_plus, True, settings.max_batch)
    shown, replaced = _before_known_background(models, framed, regions, generated, settings)
    if replaced.any():
        rough = search.coarse(shown)
    found = search.fine(shown, rough.w_plus, rough.trace)
    generated = synthesize(models.generator, found.w_plus, True, settings.max_batch)
    networks = models.generator, None, models.segmenter
    warnings = [line.replace("refining", "searching", 1) for line in found.warnings]
    warnings += unknown_images(*networks, shown, generated, regions)
    return _Start(found.w_plus, shown, replaced, warnings, found.trace)


def _before_known_background(
    models: Models,
    framed: torch.Tensor,
    regions: Regions,
    generated: torch.Tensor,
    settings: EditSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The photos, some before the generator's background, and which of them, (N,).

    Args:
        generated: from the photos' codes; where it lacks the background, that is exchanged.
    """
    if settings.backdrop == "keep" or not settings.keeps_outside:
        return framed, torch.zeros(len(framed), dtype=torch.bool, device=framed.device)
    replaced = is_out_of_domain(framed, generated, regions)
    if not replaced.any():
        return framed, replaced.flatten()
    colour = generator_background(models.generator, models.segmenter)
    shown = torch.where(replaced, replace_background(framed, regions, colour), framed)
    return shown, replaced.flatten()


def _framed(images: torch.Tensor, frames: Sequence[Frame], models: Models) -> torch.Tensor:
    """Photos or masks (N, C, H, W) in their frames, at the generator's resolution, on the models' device."""
    rows = zip(images.float().split(1), frames, strict=True)
    return torch.cat([frame.fit(image).to(models.device) for image, frame in rows])


def _frames(
    models: Models, photos: torch.Tensor, settings: EditSettings, frames: Sequence[Frame] | None
) -> list[Frame]:
    """One frame for every photo.

    Raises:
        FiceError: see `choose_frame`, or the numbers of photos and frames do not match.
    """
    if frames is None:
        return [
            choose_frame(models.generator, models.segmenter, photo, settings.framing)
            for photo in photos.split(1)
        ]
    broadcast_count({"images": len(photos), "frames": len(frames)})
    for frame in frames:
        if frame.size != photos.shape[2:] or frame.resolution != models.generator.resolution:
            raise FiceError(
                f"the frame is for photos of {frame.size[1]} x {frame.size[0]} pixels and a generator of "
                f"{frame.resolution[1]} x {frame.resolution[0]}: make it from these photos and this generator"
            )
    return [frames[i % len(frames)] for i in range(len(photos))]


def _missed(possible: torch.Tensor, left: torch.Tensor) -> list[str]:
    """A warning for every photo whose mask leaves nothing of where its garment may be.

    Args:
        possible: where the garments may be.
        left: what the masks leave of it, as if the brightest place of each were white. That a mask is faint
            has its own warning, see `images.mask.remarks`.
    """
    most, rest = (area.flatten(1).amax(dim=1).tolist() for area in (possible, left))
    return [
        f"the mask of image {number} misses the garment of the person, so nothing will change: paint over "
        "the garment, or choose another one"
        for number, (before, after) in enumerate(zip(most, rest, strict=True), start=1)
        if after < _TOUCHED <= before
    ]


def _keep_mask(regions: Regions, body: BodyRegions, settings: EditSettings) -> torch.Tensor:
    """Where the image must stay: outside the body as in the paper, or where no garment can be."""
    if settings.stitch == "head":
        return 1 - regions.body
    return 1 - allowed_mask(body, settings)

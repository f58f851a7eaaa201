"""Stage 3: from the generated images to the edited photos."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from ..extraction.anatomy import BodyRegions, find_body_regions
from ..extraction.extractors import extract_pose, segment_classes
from ..framing import Frame
from ..inversion.result import InversionResult
from ..masks.garment import garment_mask
from ..models import Models
from ..networks.regions import Regions, regions_of
from ..ops.autograd import without_grad
from ..settings import EditSettings
from ..stitching.background import Scenery
from ..stitching.composite import blend_into_photo, stitch_head
from ..stitching.edges import edit_mask_at_photo_scale
from ..stitching.skin import match_skin
from .prepare import Preparation
from .result import EditResult


class Patch(NamedTuple):
    """The part of one photo that lies in its frame, and everything to finish it with.

    Attributes:
        photo: at the photo's own scale, (1, 3, h, w), as `frame.cut` gives it.
        frame: where the patch lies.
        generated: the generated image, (1, 3, *frame.resolution).
        garment: where the garment is before or after the edit, bool (1, 1, *frame.resolution).
        body: regions of the body in the photo.
        head: soft mask of the photo's head, (1, 1, *frame.resolution).
        scenery: the photo's background, if the generated image shows another one.
        within: the edit stays within this, (1, 1, h, w) in [0, 1]; None for no limit.
    """

    photo: torch.Tensor
    frame: Frame
    generated: torch.Tensor
    garment: torch.Tensor
    body: BodyRegions
    head: torch.Tensor
    scenery: Scenery | None
    within: torch.Tensor | None


def finish(patch: Patch, settings: EditSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """The edited patch (1, 3, h, w), and where it changed, (1, 1, h, w) in [0, 1].

    Where the second is 0, the first is the photo bit for bit.
    """
    photo = patch.photo
    generated = patch.frame.unfit(patch.generated)
    if settings.stitch == "head" and patch.within is None:
        head = patch.frame.unfit(patch.head)
        return stitch_head(generated, photo, head), 1 - head
    mask = _mask(patch, generated, settings)
    if patch.within is not None:
        mask = mask * patch.within
    # Where the generated image is NaN or infinite, the photo stays.
    mask = torch.where(generated.isfinite().all(dim=1, keepdim=True), mask, 0.0)
    if patch.scenery is not None:
        generated = patch.scenery.put_back(generated, photo, patch.frame)
    # Both images then show the same background, which tells nothing about a difference in light.
    match_colours = settings.match_colour and patch.scenery is None
    return blend_into_photo(generated, photo, mask, settings, match_colours), mask


def _mask(patch: Patch, generated: torch.Tensor, settings: EditSettings) -> torch.Tensor:
    """Where the generated image shows, at the photo's scale: (1, 1, h, w) in [0, 1]."""
    if settings.stitch == "head":
        return 1 - patch.frame.unfit(patch.head)
    if settings.stitch == "none":
        return torch.ones_like(patch.photo[:, :1])
    return edit_mask_at_photo_scale(
        patch.frame, patch.photo, generated, patch.garment, patch.body, settings
    )


def finish_edits(
    models: Models,
    preparation: Preparation,
    result: InversionResult,
    settings: EditSettings,
    warnings: Sequence[str],
) -> EditResult:
    """The edits of all photos, finished one after the other at the photos' own size."""
    with without_grad():
        found = _FinishInputs.of(models, preparation, result, settings)
        images = preparation.photos.float()[preparation.photo_of]
        masks = images.new_zeros(len(images), 1, *images.shape[2:])
        for i, frame in enumerate(preparation.frames):
            sample = slice(i, i + 1)
            within = (
                None
                if preparation.mask is None
                else frame.cut(preparation.mask[preparation.photo_of[i]][None])
            )
            patch = Patch(
                photo=frame.cut(images[sample]).to(models.device),
                frame=frame,
                generated=found.generated[sample],
                garment=found.garment[sample],
                body=preparation.body.select(sample),
                head=found.head[sample],
                scenery=found.scenery[i],
                within=within if within is None else within.to(models.device),
            )
            changed, mask = finish(patch, settings)
            frame.cut(images[sample]).copy_(changed)
            frame.cut(masks[sample]).copy_(mask)
        home = preparation.photos.device
        return EditResult(
            images=images,
            generated=result.images.to(home),
            initial=result.initial.to(home),
            w_plus=result.w_plus.to(home),
            edit_mask=masks,
            frames=tuple(preparation.frames),
            trace=replace(
                result.trace, search=preparation.search, refinement=preparation.refinement
            ),
            warnings=(*warnings, *result.warnings, *_unchanged(masks)),
            steps=result.trace.steps,
            stopped=result.stopped,
        )


def _unchanged(mask: torch.Tensor) -> list[str]:
    """A warning for every photo in which nothing changed."""
    empty = (mask.flatten(1).amax(dim=1) == 0).tolist()
    return [
        f"image {sample + 1} is unchanged: no garment was found in it within the mask"
        for sample, nothing in enumerate(empty)
        if nothing
    ]


class _FinishInputs(NamedTuple):
    """What the networks find in the generated images, at the generator's resolution; one row an edit."""

    generated: torch.Tensor
    garment: torch.Tensor
    head: torch.Tensor
    scenery: list[Scenery | None]

    @classmethod
    def of(
        cls,
        models: Models,
        preparation: Preparation,
        result: InversionResult,
        settings: EditSettings,
    ) -> "_FinishInputs":
        generated, photo, head = result.images, preparation.targets.images, preparation.targets.head
        assert head is not None and preparation.targets.parts is not None
        if not settings.keeps_outside:
            nowhere = torch.ones_like(head, dtype=torch.bool)
            return cls(generated, nowhere, head, [None] * len(head))
        parts = extract_pose(models.densepose, generated, settings.max_batch)
        classes = segment_classes(models.segmenter, generated, settings.max_batch)
        regions = regions_of(classes)
        after = find_body_regions(parts, regions, classes)
        garment = garment_mask(preparation.body, after, photo, result.initial, generated, settings)
        if settings.match_skin:
            generated, _ = match_skin(
                generated, photo, after.arms, parts, preparation.targets.parts
            )
        scenery: list[Scenery | None] = [
            _scenery(i, preparation, regions) if replaced else None
            for i, replaced in enumerate(preparation.replaced)
        ]
        return cls(generated, garment, head, scenery)


def _scenery(i: int, preparation: Preparation, after: Regions) -> Scenery:
    """The photo's background behind the person of one edit."""
    one = slice(i, i + 1)
    before, now = (Regions(*(r[one] for r in regions)) for regions in (preparation.regions, after))
    return Scenery.of(preparation.framed[one], before, now)

"""Brings somebody's edit of a photo back to the photo: the garment is new, everything else as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..errors import FiceError
from ..extraction.anatomy import BodyRegions
from ..ops.autograd import without_grad
from ..ops.morphology import box_filter, max_filter
from ..ops.patches import edit_boxes
from ..registration import Registration, register
from ..registration.estimation import DOUBTFUL, SMALLEST
from ..settings import MaskSettings, StitchMode, StitchSettings
from ..stitching.composite import blend_into_photo
from .found_mask import find_mask

_MARGIN = 0.06  # of the longer side: what the ring and the blends see around the mask
_LEAST_MARGIN = 40  # pixels
_MOST_CHANGED = 0.7  # of the photo; a mask that is found and larger is no garment
_MOST_HIDDEN = (0.02, 0.5)  # of the mask that the edit does not show: told, and refused
_UNEVEN = 1.0  # pixels of the photo


@dataclass(frozen=True, kw_only=True)
class RestoreSettings(MaskSettings, StitchSettings):
    """Settings of a restoration, in addition to those of masks and stitching.

    Attributes:
        feather: width of the soft border inside a mask that is given, as a fraction of the height. Outside
            the mask the photo stays, so the border is no wider than the mask.
        least_confidence: registrations below it are refused, in [0, 1]; 0 refuses none.
    """

    stitch: StitchMode = "pyramid"
    mask_dilation: float = 0.02
    feather: float = 0.003
    least_confidence: float = 0.25

    def _check(self) -> None:
        self._numbers(0, 0.5, "in [0, 0.5)", "feather")
        self._numbers(0, 1, "in [0, 1)", "least_confidence")
        if not self.keeps_outside:
            raise FiceError(
                f"stitch is {self.stitch!r}, but must be one of mask, pyramid, gradient: a restored edit "
                "keeps the photo outside the mask"
            )


@dataclass(frozen=True)
class Restored:
    """A restored edit.

    Attributes:
        image: (3, H, W) of the photo's size; where `mask` is 0, equal to the photo bit for bit.
        mask: where the result comes from the edit, (1, H, W) in [0, 1].
        registration: how the edit was moved.
        warnings: what the user should know, one line each.
    """

    image: torch.Tensor
    mask: torch.Tensor
    registration: Registration
    warnings: tuple[str, ...]

    @property
    def changed(self) -> float:
        """The share of the photo's pixels that may differ from the photo."""
        return float((self.mask > 0).float().mean())

    def line(self) -> str:
        """What was found, in one readable line."""
        return f"{self.registration.line()}; {100 * self.changed:.1f} % of the photo is new"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            **self.registration.to_dict(),
            "changed": self.changed,
            "warnings": list(self.warnings),
        }


def restore(
    photo: torch.Tensor,
    edited: torch.Tensor,
    mask: torch.Tensor | None = None,
    settings: RestoreSettings | None = None,
    body: BodyRegions | None = None,
) -> Restored:
    """The photo with the garment of an edit that some other program made of it.

    The edit may be shifted, zoomed, stretched, turned by a few degrees, in another tone, and of any size. How
    it moved is estimated from what lies outside the garment.

    Args:
        photo: (3, H, W) in [0, 1].
        edited: (3, h, w) in [0, 1].
        mask: where the photo may change, (1, H, W) in [0, 1]. None finds it: where both images differ.
        settings: None for the defaults.
        body: of the photo, see `found_mask.body_regions`; joined to a mask that is found.

    Raises:
        FiceError: an image is too small, the mask is empty or covers everything, the images do not match, or
            they differ nearly everywhere.
        ValueError: the shapes do not match.
    """
    settings = settings or RestoreSettings()
    size = (photo.shape[-2], photo.shape[-1])
    if mask is not None and mask.shape != (1, *size):
        raise ValueError(f"the mask is {tuple(mask.shape)}, but must be (1, {size[0]}, {size[1]})")
    _check_sizes(photo, edited)
    with without_grad():
        _check_mask(mask)
        found = register(photo, edited, mask)
        _check_match(found, settings.least_confidence)
        warnings = list(_doubts(found))
        if mask is None:
            where = find_mask(photo, edited, found.alignment, settings, body)
            if where is None:
                warnings.append("the images show the same: nothing was taken from the edit")
                return Restored(photo.clone(), photo.new_zeros(1, *size), found, tuple(warnings))
            _check_extent(where)
        else:
            where = softened(mask.to(photo), settings.feather)
        image, shown = _put_in(photo, edited, where, found, settings)
        warnings += _hidden(where, shown)
        return Restored(image, shown, found, tuple(warnings))


def softened(mask: torch.Tensor, feather: float) -> torch.Tensor:
    """A mask (1, H, W) with a soft border inside, 0 where it was 0; `feather` is a fraction of the height."""
    reach = round(feather * mask.shape[-2] / 2)
    if not reach:
        return mask
    outside = (mask[None] == 0).float()
    soft = 1 - max_filter(outside, reach)
    for pixels in (reach - reach // 2, reach // 2):
        soft = box_filter(soft, pixels) if pixels else soft
    # Thin parts, which have no inside, stay as visible as they were in their middle.
    return torch.minimum(mask, torch.maximum(soft[0], _thin(mask, reach)))


def _thin(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """The parts of a mask (1, H, W) that are narrower than twice the reach."""
    core = 1 - max_filter((mask[None] == 0).float(), reach)
    return torch.where(max_filter(core, reach)[0] > 0, 0.0, mask)


def _put_in(
    photo: torch.Tensor,
    edited: torch.Tensor,
    mask: torch.Tensor,
    found: Registration,
    settings: RestoreSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The photo with the aligned edit inside the mask, and the mask without what the edit does not show."""
    margin = max(_LEAST_MARGIN, round(_MARGIN * max(mask.shape[-2:])))
    result, shown = photo.clone(), torch.zeros_like(mask)
    for _, box in edit_boxes(mask[None], margin):
        rows, columns = box
        aligned = found.alignment.warped(edited, box).to(photo)
        visible = torch.from_numpy(found.alignment.visible(box)).to(mask.device)
        soft = torch.where(_well_inside(visible), mask[:, rows, columns], 0.0)
        patch = photo[:, rows, columns]
        blended = blend_into_photo(
            aligned[None], patch[None], soft[None], settings, settings.match_colour
        )
        result[:, rows, columns] = torch.where(soft > 0, blended[0].clamp(0, 1), patch)
        shown[:, rows, columns] = soft
    return result, shown


def _well_inside(visible: torch.Tensor) -> torch.Tensor:
    """Where a view (H, W) bool holds, without the pixels at its border, which the editor made up."""
    hidden = max_filter((~visible)[None, None].float(), 2)
    return hidden[0, 0] == 0


def _check_sizes(photo: torch.Tensor, edited: torch.Tensor) -> None:
    for name, image in (("photo", photo), ("edit", edited)):
        height, width = image.shape[-2:]
        if min(height, width) < SMALLEST:
            raise FiceError(
                f"the {name} has {width} x {height} pixels, but at least {SMALLEST} a side are needed"
            )


def _check_mask(mask: torch.Tensor | None) -> None:
    if mask is None:
        return
    if not bool((mask > 0).any()):
        raise FiceError("the mask is empty, so nothing may change: paint it white, or leave it out")
    if bool((mask > 0).all()):
        raise FiceError(
            "the mask covers the whole photo, so nothing shows how the edit moved: leave the surroundings "
            "of the garment black, or leave the mask out"
        )


def _check_match(found: Registration, least: float) -> None:
    if found.confidence < least:
        raise FiceError(
            f"the two images do not match: {100 * found.share:.0f} % of their places agree, confidence "
            f"{found.confidence:.2f} where {least:g} is asked for. Is it another photo, another person or a "
            "crop? A mask of the garment helps if much has changed"
        )


def _check_extent(mask: torch.Tensor) -> None:
    share = float((mask > 0.5).float().mean())
    if share > _MOST_CHANGED:
        raise FiceError(
            f"the images differ in {100 * share:.0f} % of the photo, which is no garment: give a mask of "
            "what may change"
        )


def _doubts(found: Registration) -> list[str]:
    lines = []
    if found.confidence < DOUBTFUL:
        lines.append(
            f"it is not certain that the edit lies on the photo (confidence {found.confidence:.2f}): look at "
            "the border of the garment, or give a mask"
        )
    if found.residual > _UNEVEN:
        lines.append(
            f"the edit is warped unevenly: places are still {found.residual:.1f} pixels apart, so edges at "
            "the border of the garment may be doubled"
        )
    return lines


def _hidden(mask: torch.Tensor, shown: torch.Tensor) -> list[str]:
    """What is told about the part of the mask that the edit does not show.

    Raises:
        FiceError: it is most of the mask.
    """
    share = float((mask - shown).sum() / mask.sum())
    if share > _MOST_HIDDEN[1]:
        raise FiceError(
            f"the edit is a crop: it does not show {100 * share:.0f} % of what may change"
        )
    if share > _MOST_HIDDEN[0]:
        return [
            f"{100 * share:.0f} % of the mask lies beyond what the edit shows and stays the photo's"
        ]
    return []

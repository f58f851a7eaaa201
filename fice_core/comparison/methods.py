"""The methods of a comparison by name, and how one is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FiceError
from ..settings import EditSettings, StitchMode

if TYPE_CHECKING:
    from ..models import Models
    from ..networks.clip import Clip
    from ..rivals.contract import Rival


@dataclass(frozen=True)
class Means:
    """What some rivals need beside the models.

    Attributes:
        settings: of the method "ours", and of every stitch.
        own_clip: the CLIP that a rival's authors optimise: a file, a folder or open_clip's
            ARCHITECTURE:WEIGHTS; None for none.
        trunk: a file of torchvision's VGG16; None for none.
        direction_images: random images in which each channel is moved for the global directions.
        direction_channels: only so many channels, from the coarsest on; None for all.
        mapper_steps: of the training of the mapper.
        texts: the prompts of its training.
        cache: the folder of what is computed once; None for the default.
    """

    settings: EditSettings
    own_clip: str | None = None
    trunk: str | None = None
    direction_images: int = 100
    direction_channels: int | None = None
    mapper_steps: int = 600
    texts: tuple[str, ...] = ()
    cache: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder of the cache."""
        return None if self.cache is None else Path(self.cache)


@dataclass(frozen=True)
class Method:
    """One row of the comparison before it is built.

    Attributes:
        build: makes the rival.
        iterates: whether it takes steps, so that their number can be chosen to fit some seconds.
        own_stitch: how its authors bring it back to the photo; "none" if they do not.
        needs_clip: whether it is left out without `Means.own_clip`.
    """

    build: Callable[[Models, Means], Rival]
    iterates: bool = False
    own_stitch: StitchMode = "none"
    needs_clip: bool = False


def _copy(models: Models, means: Means) -> Rival:
    from ..rivals.copying import Copy

    return Copy()


def _reconstruction(models: Models, means: Means) -> Rival:
    from ..rivals.reconstruction import Reconstruction

    return Reconstruction()


def _styleclip(models: Models, means: Means, own: bool = False) -> Rival:
    from ..rivals.styleclip import LatentOptimisation

    return LatentOptimisation(_own_clip(models, means) if own else None)


def _tedigan(models: Models, means: Means, own: bool = False) -> Rival:
    from ..rivals.tedigan import InstanceOptimisation
    from ..rivals.vgg import load_trunk

    trunk = None if means.trunk is None else load_trunk(means.trunk, models.device)
    return InstanceOptimisation(_own_clip(models, means) if own else None, trunk)


def _directions(models: Models, means: Means, own: bool = False) -> Rival:
    from ..rivals.global_directions import GlobalDirections, matrix

    clip = _own_clip(models, means) if own else None
    found = matrix(
        models.generator,
        clip or models.clip,
        means.direction_images,
        means.direction_channels,
        means.folder,
    )
    return GlobalDirections(found, clip)


def _mapper(models: Models, means: Means) -> Rival:
    from ..rivals.mapper import MappedCode, train

    return MappedCode(train(models, means.texts, means.mapper_steps, means.folder))


def _clip_alone(models: Models, means: Means) -> Rival:
    from ..rivals.fice import clip_alone

    return clip_alone()


def _fice(models: Models, means: Means, without: str | None = None) -> Rival:
    from ..rivals.fice import Fice

    paper = EditSettings.paper()
    return Fice(paper if without is None else paper.with_weights(**{without: 0.0}))


def _ours(models: Models, means: Means) -> Rival:
    from ..rivals.fice import Fice

    return Fice(means.settings)


def _own_clip(models: Models, means: Means) -> Clip:
    from ..models import LOADERS

    clip: Clip = LOADERS["clip"](means.own_clip, device=str(models.device))
    return clip


METHODS: dict[str, Method] = {
    "copy": Method(_copy),
    "reconstruction": Method(_reconstruction),
    "styleclip": Method(_styleclip, True),
    "styleclip own clip": Method(partial(_styleclip, own=True), True, needs_clip=True),
    "tedigan": Method(_tedigan, True),
    "tedigan own clip": Method(partial(_tedigan, own=True), True, needs_clip=True),
    "clip alone": Method(_clip_alone, True),
    "directions": Method(_directions),
    "directions own clip": Method(partial(_directions, own=True), needs_clip=True),
    "mapper": Method(_mapper),
    "fice": Method(_fice, True, "head"),
    **{
        f"fice no {term}": Method(partial(_fice, without=term), True, "head")
        for term in ("pose", "image", "head", "latent")
    },
    "ours": Method(_ours, True),
}
OURS = "ours"


def check_means(means: Means, models: Models) -> None:
    """Read the files that rivals need.

    Raises:
        FiceError: one is missing or holds something else.
    """
    from ..rivals.vgg import load_trunk

    if means.own_clip is not None:
        _own_clip(models, means)
    if means.trunk is not None:
        load_trunk(means.trunk, models.device)


def chosen(names: tuple[str, ...], means: Means) -> list[str]:
    """The methods of a comparison, in the order of the table.

    Args:
        names: those that are asked for; empty for all that can be built.
        means: what there is beside the models.

    Raises:
        FiceError: there is no such method, or it needs a CLIP that is not given.
    """
    for name in names:
        if name not in METHODS:
            raise FiceError(f"there is no variant {name!r}: choose from {', '.join(METHODS)}")
        if METHODS[name].needs_clip and means.own_clip is None:
            raise FiceError(f"{name!r} needs the CLIP of its authors: give it with --rival-clip")
    possible = [n for n, m in METHODS.items() if means.own_clip or not m.needs_clip]
    return [name for name in possible if not names or name in names]

"""The networks that the loss terms use: in bfloat16, compiled, or plain, as the settings say."""

from collections.abc import Callable
from functools import cache, cached_property

import torch

from ..acceleration.bfloat16 import in_bfloat16, multiplies_bfloat16
from ..acceleration.compilation import compiled
from ..acceleration.fusion import with_winograd
from ..latents import LatentStatistics
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..networks.regions import PersonSegmenter
from ..settings import ComputeSettings

ImageEncoder = Callable[[torch.Tensor], torch.Tensor]

# Feature maps that the perceptual term compares: the stem's and those of two stages, at H/2, H/4 and H/8.
# The later stages cost ten times as much and tell regions apart rather than looks.
_FEATURE_MAPS = 3


class Critics:
    """The critics of one inversion. A network is prepared when a term first asks for it.

    Attributes:
        clip, densepose, segmenter: the networks as given; None if there is none.
        statistics: of W; None if no term needs them.
        uses_bfloat16: whether the critics multiply in bfloat16.
    """

    def __init__(
        self,
        settings: ComputeSettings,
        device: torch.device,
        clip: Clip | None = None,
        densepose: DensePose | None = None,
        segmenter: PersonSegmenter | None = None,
        statistics: LatentStatistics | None = None,
    ) -> None:
        self.clip, self.densepose, self.segmenter = clip, densepose, segmenter
        self.statistics = statistics
        self.uses_bfloat16 = settings.mixed_precision and multiplies_bfloat16(device)
        self._compile = settings.execution == "compile"
        self._prepare = cache(in_bfloat16 if self.uses_bfloat16 else with_winograd)

    @cached_property
    def encode_image(self) -> ImageEncoder:
        """Images (N, 3, H, W) to CLIP's features (N, D), as the terms of the text see them."""
        assert self.clip is not None
        return self._mixed(self._prepare(self.clip).encode_image)

    @cached_property
    def encode_image_fast(self) -> ImageEncoder:
        """`encode_image`, compiled where the settings ask for it and it pays."""
        # In float32 compiling gains nothing, and Winograd's convolutions are not for compilers.
        if self._compile and self.uses_bfloat16:
            return compiled(self.encode_image)
        return self.encode_image

    @cached_property
    def find_parts(self) -> ImageEncoder:
        """Images (N, 3, H, W) to DensePose part maps (N, 14, h, w)."""
        assert self.densepose is not None
        return self._mixed(self._prepare(self.densepose))

    @cached_property
    def find_head(self) -> ImageEncoder:
        """Images (N, 3, H, W) to soft head masks (N, 1, H, W)."""
        assert self.segmenter is not None
        segmenter = self._prepare(self.segmenter)
        return self._mixed(lambda images: segmenter(images).head)

    def find_features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The segmenter's first feature maps of images (N, 3, H, W), in float32."""
        assert self.segmenter is not None
        return self.segmenter.features(images, _FEATURE_MAPS)

    def _mixed(self, critic: ImageEncoder) -> ImageEncoder:
        """The critic with products in bfloat16 where that is on, and float32 results."""
        if not self.uses_bfloat16:
            return critic

        def mixed(images: torch.Tensor) -> torch.Tensor:
            with torch.autocast(images.device.type, torch.bfloat16):
                return critic(images).float()

        return mixed

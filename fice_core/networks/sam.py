"""Segment Anything (Kirillov et al., ICCV 2023): masks of objects marked by points, a box or a rough mask.

The network is that of the `segment-anything` package, which is imported when a `Sam` is built. Parameter
names are those of the package, so the published ViT-B, ViT-L and ViT-H files load as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import FiceError
from ..ops.overlap import soft_iou

INSIDE, OUTSIDE, UNUSED = 1, 0, -1
# Logits of a mask prompt are clamped to this value, about the size of SAM's own logits.
_MAX_LOGIT = 10.0


@dataclass(frozen=True)
class Prompts:
    """Prompts for each of N images.

    Coordinates are (x, y) in pixels; (0, 0) is the centre of the top left pixel.

    Attributes:
        points: (N, P, 2).
        labels: of the points, (N, P): 1 inside the mask, 0 outside it, -1 for no point.
        boxes: (N, 4), left, top, right, bottom; a row with NaN means no box.
        masks: rough masks of the whole image, (N, 1, h, w) in [0, 1], any size.

    Raises:
        ValueError: a shape is wrong, or the prompts are for different numbers of images.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None
    masks: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.points is None) != (self.labels is None):
            raise ValueError("points and labels go together: give both or neither")
        if self.points is not None and self.labels is not None:
            _expect("points", self.points, (*self.labels.shape, 2))
        if self.boxes is not None:
            _expect("boxes", self.boxes, (len(self.boxes), 4))
        if self.masks is not None and (self.masks.ndim != 4 or self.masks.shape[1] != 1):
            raise ValueError(f"masks must be (N, 1, h, w), not {tuple(self.masks.shape)}")
        if len({len(value) for value in self._given()}) > 1:
            raise ValueError("points, boxes and masks are for different numbers of images")

    def _given(self) -> list[Tensor]:
        values = (self.points, self.boxes, self.masks)
        return [value for value in values if value is not None]

    def __len__(self) -> int:
        return len(self._given()[0]) if self._given() else 0


class Sam(nn.Module):
    """Segment Anything with prompts in pixels of the image. The defaults are those of ViT-B.

    Args:
        image_size: side in pixels of the network's square input; images are resized and padded to it.
        patch_size: side of one token in pixels.
        embed_dim, depth, num_heads, mlp_dim: of the vision transformer.
        window_size: side in tokens of the attention windows of the blocks.
        global_blocks: indices of the blocks that attend to the whole image instead.
        prompt_dim: features of the image and of the prompts.
        mask_channels: hidden channels of the encoder of mask prompts.
        candidates: number of masks for an ambiguous prompt.
        decoder_depth, decoder_heads, decoder_mlp_dim, decoder_downsample: of the two-way transformer.
        quality_depth, quality_dim: of the head that predicts the quality of a mask.

    Raises:
        FiceError: the package is not installed.
    """

    def __init__(
        self,
        image_size: int = 1024,
        patch_size: int = 16,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_dim: int = 3072,
        window_size: int = 14,
        global_blocks: Sequence[int] = (2, 5, 8, 11),
        prompt_dim: int = 256,
        mask_channels: int = 16,
        candidates: int = 3,
        decoder_depth: int = 2,
        decoder_heads: int = 8,
        decoder_mlp_dim: int = 2048,
        decoder_downsample: int = 2,
        quality_depth: int = 3,
        quality_dim: int = 256,
    ) -> None:
        super().__init__()
        self.config = {
            "image_size": image_size,
            "patch_size": patch_size,
            "embed_dim": embed_dim,
            "depth": depth,
            "num_heads": num_heads,
            "mlp_dim": mlp_dim,
            "window_size": window_size,
            "global_blocks": list(global_blocks),
            "prompt_dim": prompt_dim,
            "mask_channels": mask_channels,
            "candidates": candidates,
            "decoder_depth": decoder_depth,
            "decoder_heads": decoder_heads,
            "decoder_mlp_dim": decoder_mlp_dim,
            "decoder_downsample": decoder_downsample,
            "quality_depth": quality_depth,
            "quality_dim": quality_dim,
        }
        self.image_size = image_size
        modeling = _import_modeling()
        grid = image_size // patch_size
        self.model: Any = modeling.Sam(
            image_encoder=modeling.ImageEncoderViT(
                img_size=image_size,
                patch_size=patch_size,
                embed_dim=embed_dim,
                depth=depth,
                num_heads=num_heads,
                mlp_ratio=(mlp_dim + 0.5) / embed_dim,  # the package rounds the product down
                out_chans=prompt_dim,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=window_size,
                global_attn_indexes=tuple(global_blocks),
            ),
            prompt_encoder=modeling.PromptEncoder(
                embed_dim=prompt_dim,
                image_embedding_size=(grid, grid),
                input_image_size=(image_size, image_size),
                mask_in_chans=mask_channels,
            ),
            mask_decoder=modeling.MaskDecoder(
                num_multimask_outputs=candidates,
                transformer=modeling.TwoWayTransformer(
                    depth=decoder_depth,
                    embedding_dim=prompt_dim,
                    num_heads=decoder_heads,
                    mlp_dim=decoder_mlp_dim,
                    attention_downsample_rate=decoder_downsample,
                ),
                transformer_dim=prompt_dim,
                iou_head_depth=quality_depth,
                iou_head_hidden_dim=quality_dim,
            ),
        )

    def forward(self, images: Tensor, prompts: Prompts, like: Tensor | None = None) -> Tensor:
        """Soft masks (N, 1, H, W) in [0, 1] of the objects that the prompts mark.

        SAM predicts one mask for a clear prompt and three for an ambiguous one. A single point counts
        as ambiguous: of its three masks, the one of the highest predicted quality is returned, as in
        the paper. Any other prompt gets the one mask for clear prompts. With `like`, the mask among
        all four that overlaps most with `like` is returned instead.

        Args:
            images: (N, 3, H, W) in [0, 1].
            prompts: for N images; an image without any prompt gets a mask of zeros.
            like: a rough mask of the object, (N, 1, h, w) in [0, 1], any size.

        Raises:
            ValueError: a shape is wrong.
        """
        _expect("images", images, (len(prompts), 3, *images.shape[2:]))
        if like is not None:
            _expect("like", like, (len(images), 1, *like.shape[2:]))
        masks = [
            self._mask(images[i : i + 1], prompts, i, None if like is None else like[i : i + 1])
            for i in range(len(images))  # one at a time: ViT-H needs gigabytes for one image
        ]
        return torch.cat(masks)

    def _mask(self, image: Tensor, prompts: Prompts, i: int, like: Tensor | None) -> Tensor:
        """The mask of image `i`, (1, 1, H, W)."""
        size = (image.shape[2], image.shape[3])
        resized = self._resized(size)
        points, boxes, masks = self._prompt(prompts, i, size, image)
        if points is None and boxes is None and masks is None:
            return torch.zeros_like(image[:, :1])
        sparse, dense = self.model.prompt_encoder(points=points, boxes=boxes, masks=masks)
        logits, quality = self.model.mask_decoder.predict_masks(
            image_embeddings=self._features(image, resized),
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        # Output 0 is the mask for a clear prompt, the others are those for an ambiguous one.
        single = points is not None and points[0].shape[1] == 1 and boxes is None and masks is None
        if like is not None:
            rough = self._padded(like, resized, logits.shape[-1])
            index = soft_iou(logits.sigmoid(), rough, start_dim=2).argmax(dim=1)
        else:
            index = (
                1 + quality[:, 1:].argmax(dim=1) if single else torch.zeros(1, dtype=torch.int64)
            )
        best = logits[:, index.to(logits.device)]
        mask: Tensor = self.model.postprocess_masks(best, resized, size).sigmoid()
        return mask

    def _features(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Features (1, prompt_dim, grid, grid) of one image in [0, 1], resized to `size`."""
        resized = F.interpolate(
            255 * image, size, mode="bilinear", align_corners=False, antialias=True
        )
        features: Tensor = self.model.image_encoder(self.model.preprocess(resized))
        return features

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of an image of `size` after its longer side is resized to `image_size`."""
        scale = self.image_size / max(size)
        return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)

    def _prompt(
        self, prompts: Prompts, i: int, size: tuple[int, int], like: Tensor
    ) -> tuple[tuple[Tensor, Tensor] | None, Tensor | None, Tensor | None]:
        """Points with labels, box and mask of image `i` in the network's coordinates; None where absent."""
        resized = self._resized(size)
        scale = like.new_tensor([resized[1] / size[1], resized[0] / size[0]])
        points = boxes = masks = None
        if prompts.points is not None and prompts.labels is not None:
            labels = prompts.labels[i].to(like.device)
            used = labels != UNUSED
            if bool(used.any()):
                positions = prompts.points[i].to(like)[used] * scale
                points = (positions[None], labels[used][None])
        if prompts.boxes is not None and bool(prompts.boxes[i].isfinite().all()):
            boxes = prompts.boxes[i : i + 1].to(like) * scale.repeat(2)
        if prompts.masks is not None:
            side = self.model.prompt_encoder.mask_input_size[0]
            soft = self._padded(prompts.masks[i : i + 1].to(like), resized, side)
            masks = torch.logit(soft, eps=1e-6).clamp(-_MAX_LOGIT, _MAX_LOGIT)
        return points, boxes, masks

    def _padded(self, mask: Tensor, resized: tuple[int, int], side: int) -> Tensor:
        """A mask (1, 1, h, w) of the image, resized and padded to (1, 1, side, side).

        The padding is at the right or bottom, as in the network's low-resolution masks.
        """
        scale = side / self.image_size
        inner = (max(1, round(resized[0] * scale)), max(1, round(resized[1] * scale)))
        small = F.interpolate(mask, inner, mode="bilinear", align_corners=False, antialias=True)
        return F.pad(small, (0, side - inner[1], 0, side - inner[0]))


def _expect(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} must be {shape}, not {tuple(value.shape)}")


def _import_modeling() -> Any:
    """The module of the `segment-anything` package that defines the network."""
    try:
        from segment_anything import modeling
    except ImportError as error:
        raise FiceError(
            "the package segment-anything is not installed: pip install segment-anything"
        ) from error
    return modeling


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `Sam` whose state dict this is.

    It does not contain the number of heads of the decoder: the published eight are assumed.

    Raises:
        KeyError: a tensor is missing; its message is the tensor's name.
        FiceError: the vision transformer has no relative positions.
    """
    image, decoder = "image_encoder.", "mask_decoder."
    shape = {key: tuple(value.shape) for key, value in state.items()}
    if image + "blocks.0.attn.rel_pos_h" not in shape:
        raise FiceError(
            "its image encoder has no relative positions; every published ViT-B, ViT-L and ViT-H of "
            "Segment Anything has them"
        )
    embed_dim, _, patch_size, _ = shape[image + "patch_embed.proj.weight"]
    grid = shape[image + "pos_embed"][1]
    depth = _count(shape, image + "blocks.")
    # Attention over windows of t x t tokens has 2 t - 1 relative positions along each axis.
    sides = [(shape[f"{image}blocks.{i}.attn.rel_pos_h"][0] + 1) // 2 for i in range(depth)]
    windows = [side for side in sides if side != grid]
    prompt_dim = shape[decoder + "iou_token.weight"][1]
    first = decoder + "transformer.layers.0."
    return {
        "image_size": grid * patch_size,
        "patch_size": patch_size,
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": embed_dim // shape[image + "blocks.0.attn.rel_pos_h"][1],
        "mlp_dim": shape[image + "blocks.0.mlp.lin1.weight"][0],
        "window_size": windows[0] if windows else grid,
        "global_blocks": [i for i, side in enumerate(sides) if side == grid],
        "prompt_dim": prompt_dim,
        "mask_channels": shape["prompt_encoder.mask_downscaling.3.weight"][0],
        "candidates": shape[decoder + "mask_tokens.weight"][0] - 1,
        "decoder_depth": _count(shape, decoder + "transformer.layers."),
        "decoder_mlp_dim": shape[first + "mlp.lin1.weight"][0],
        "decoder_downsample": prompt_dim
        // shape[first + "cross_attn_token_to_image.q_proj.weight"][0],
        "quality_depth": _count(shape, decoder + "iou_prediction_head.layers."),
        "quality_dim": shape[decoder + "iou_prediction_head.layers.0.weight"][0],
    }


def _count(names: Mapping[str, Any], prefix: str) -> int:
    """Number of numbered children below `prefix`."""
    below = (key.removeprefix(prefix) for key in names if key.startswith(prefix))
    return len({name.split(".")[0] for name in below})

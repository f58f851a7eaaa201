"""CLIP: similarity of images and texts (Radford et al. 2021, arXiv 2103.00020).

The towers are open_clip's. This module adds differentiable preprocessing, the tokenizer, and
`infer_config`, which reads the architecture from the shapes of the weights.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..ops.resize import resize
from .tokenizer import BytePairTokenizer, Tokenizer, WordTokenizer

# Channel statistics of the training images of OpenAI's models and most of open_clip's.
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
_HEAD_WIDTH = 64  # of every published model; the shapes do not tell it


class Clip(nn.Module):
    """An open_clip model with its tokenizer and differentiable preprocessing.

    `clip.model` is the bare open_clip model; `clip.model.logit_scale` is the learned temperature.

    Args:
        embed_dim: width D of the joint space.
        vision_cfg: open_clip's vision settings (`layers`, `width`, `patch_size`, `image_size`...).
        text_cfg: open_clip's text settings (`context_length`, `width`, `heads`, `layers`...).
            With a `vocabulary`, `vocab_size` is set from it.
        quick_gelu: use x * sigmoid(1.702 x) in the transformers. All of OpenAI's weights need it.
        vocabulary: words of a `WordTokenizer`; None means CLIP's byte pairs.
        mean, std: of each channel; images are normalised with them before the vision tower.

    Raises:
        ValueError: open_clip would download a tower.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        embed_dim: int,
        vision_cfg: Mapping[str, Any],
        text_cfg: Mapping[str, Any],
        quick_gelu: bool = False,
        vocabulary: Sequence[str] | None = None,
        mean: Sequence[float] = OPENAI_MEAN,
        std: Sequence[float] = OPENAI_STD,
    ) -> None:
        super().__init__()
        # Imported here: open_clip takes over a second, and `fice --help` must not wait for it.
        from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

        vision, text = dict(vision_cfg), dict(text_cfg)
        if "hf_model_name" in text or vision.get("timm_model_pretrained"):
            raise ValueError("towers that open_clip would have to download are not supported")
        text.setdefault("context_length", 77)
        self.tokenizer: Tokenizer
        if vocabulary is not None:
            self.tokenizer = WordTokenizer(vocabulary, text["context_length"])
            text["vocab_size"] = self.tokenizer.vocab_size
        else:
            self.tokenizer = BytePairTokenizer(text["context_length"])
        self.config: dict[str, Any] = {
            "embed_dim": embed_dim,
            "vision_cfg": vision,
            "text_cfg": text,
            "quick_gelu": quick_gelu,
            "vocabulary": None if vocabulary is None else list(vocabulary),
            "mean": list(mean),
            "std": list(std),
        }
        towers = CLIPVisionCfg(**vision), CLIPTextCfg(**text)
        self.model = CLIP(embed_dim, *towers, quick_gelu=quick_gelu)
        size = vision.get("image_size", 224)
        self.image_size: tuple[int, int] = (size, size) if isinstance(size, int) else tuple(size)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def encode_image(self, images: Tensor) -> Tensor:
        """Image features (N, D), unit norm, differentiable.

        Args:
            images: (N, 3, H, W) in [0, 1]; any size, resized to `image_size` without cropping.
        """
        return F.normalize(self.model.encode_image(self.preprocess(images)), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Text features (M, D), unit norm.

        Raises:
            FiceError: a text has more tokens than the model's context length.
        """
        return self.encode_tokens(self.tokenizer(list(texts)))

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Features (M, D), unit norm, of a token table (M, context_length) of `tokenizer`."""
        return F.normalize(self.model.encode_text(tokens.to(self.mean.device)), dim=-1)

    def unknown_words(self, text: str) -> list[str]:
        """Words of `text` that are not in the vocabulary; always empty for byte pairs."""
        return self.tokenizer.unknown_words(text)

    def preprocess(self, images: Tensor) -> Tensor:
        """Images resized and normalised for the vision tower, (N, 3, *image_size).

        A longer axis is reduced by area averaging. A shorter axis is interpolated linearly without
        antialiasing. This is the authors' rule, applied to each axis separately so that it also
        covers images that are not square.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be (N, 3, H, W), not {tuple(images.shape)}")
        return (resize(images, self.image_size) - self.mean) / self.std


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `Clip` whose bare model has this state dict.

    Covers the layouts that OpenAI published: a ModifiedResNet or a vision transformer, and a text
    transformer, with heads of width 64. OpenAI's files (see `is_openai`) and residual towers get
    QuickGELU. Other vision transformers get GELU, as open_clip trains them.

    Args:
        state: tensors under the keys `visual.*`, `transformer.*`, `token_embedding.weight`...

    Raises:
        KeyError: a tensor that gives one of the sizes is missing.
    """
    residual = "visual.layer1.0.conv1.weight" in state
    if residual:
        grid = _grid(state["visual.attnpool.positional_embedding"])
        vision: dict[str, Any] = {
            "layers": [_count(state, f"visual.layer{i}.") for i in (1, 2, 3, 4)],
            "width": state["visual.layer1.0.conv1.weight"].shape[0],
            "patch_size": None,
            "image_size": grid * 32,
        }
    else:
        width, _, patch, _ = state["visual.conv1.weight"].shape
        vision = {
            "layers": _count(state, "visual.transformer.resblocks."),
            "width": width,
            "head_width": _HEAD_WIDTH,
            "mlp_ratio": state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / width,
            "patch_size": patch,
            "image_size": _grid(state["visual.positional_embedding"]) * patch,
        }
    text_width = state["ln_final.weight"].shape[0]
    text = {
        "context_length": state["positional_embedding"].shape[0],
        "vocab_size": state["token_embedding.weight"].shape[0],
        "width": text_width,
        "heads": max(text_width // _HEAD_WIDTH, 1),
        "layers": _count(state, "transformer.resblocks."),
    }
    return {
        "embed_dim": state["text_projection"].shape[1],
        "vision_cfg": vision,
        "text_cfg": text,
        "quick_gelu": residual or is_openai(state),
    }


def is_openai(state: Mapping[str, Tensor]) -> bool:
    """Whether the tensors look like a file that OpenAI published.

    Such files have three scalars of their own (`input_resolution`...), or float16 matrices beside
    float32 norms.
    """
    if "input_resolution" in state:
        return True
    halves = {key: value.dtype == torch.float16 for key, value in state.items()}
    return halves.get("text_projection", False) and not halves.get("ln_final.weight", True)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Number of indexed children below `prefix`."""
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})


def _grid(positions: Tensor) -> int:
    """Side of the square patch grid of a position table (1 + side^2, width).

    Raises:
        KeyError: the number of rows is not 1 + a square.
    """
    side = math.isqrt(positions.shape[0] - 1)
    if side * side + 1 != positions.shape[0]:
        raise KeyError(f"a position table of {positions.shape[0]} rows is not 1 + a square")
    return side

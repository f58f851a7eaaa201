"""CLIP: how well a picture and a sentence agree (Radford et al. 2021, arXiv 2103.00020).

The towers are open_clip's; this module adds the differentiable preprocessing, the tokenizer and
the reading of an architecture from the shapes of its weights.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..ops.resize import resize
from .tokenizer import BytePairTokenizer, Tokenizer, WordTokenizer

# Statistics of the pictures that OpenAI's models, and most of open_clip's, were trained on.
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
_HEAD_WIDTH = 64  # of every published model; it cannot be seen in the shapes


class Clip(nn.Module):
    """An open_clip model with its tokenizer and a differentiable preprocessing.

    `clip.model` is the bare open_clip model (`clip.model.logit_scale` is the learned temperature).

    Args:
        embed_dim: width D of the joint space.
        vision_cfg: open_clip's vision settings (`layers`, `width`, `patch_size`, `image_size`...).
        text_cfg: open_clip's text settings (`context_length`, `width`, `heads`, `layers`...).
            With a `vocabulary`, `vocab_size` is set from it.
        quick_gelu: x * sigmoid(1.702 x) in the transformers, as all of OpenAI's weights need.
        vocabulary: words of a `WordTokenizer`; None means CLIP's byte pairs.
        mean, std: per-channel statistics subtracted and divided before the vision tower.

    Raises:
        ValueError: for towers that open_clip would fetch from the network.
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
        """Image features, differentiable.

        Args:
            images: (N, 3, H, W) in [0, 1]; any size, squeezed to `image_size` as a whole.

        Returns:
            (N, D), unit norm.
        """
        return F.normalize(self.model.encode_image(self.preprocess(images)), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Text features (M, D), unit norm.

        Raises:
            FiceError: a text is longer than the model's context.
        """
        return self.encode_tokens(self.tokenizer(list(texts)))

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Features (M, D), unit norm, of a token table (M, context_length) of `tokenizer`."""
        return F.normalize(self.model.encode_text(tokens.to(self.mean.device)), dim=-1)

    def unknown_words(self, text: str) -> list[str]:
        """Words of `text` that this model has to skip; always empty for byte pairs."""
        return self.tokenizer.unknown_words(text)

    def preprocess(self, images: Tensor) -> Tensor:
        """Pictures as the vision tower expects them: (N, 3, *image_size), normalised.

        An axis that is too long is averaged over areas; one that is too short is interpolated
        linearly without antialiasing. That is the authors' rule, taken for each axis by itself so
        that tall pictures are right too.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be (N, 3, H, W), not {tuple(images.shape)}")
        return (resize(images, self.image_size) - self.mean) / self.std


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `Clip` whose bare model has this state dict.

    Covers the layouts that OpenAI published: a ModifiedResNet or a vision transformer, and a text
    transformer, with heads of width 64. OpenAI's own files betray themselves by their three stray
    scalars (`input_resolution`...) or by float16 matrices next to float32 norms; they, and residual
    towers, get QuickGELU. Other vision transformers get GELU, as open_clip trains them.

    Args:
        state: tensors by the keys `visual.*`, `transformer.*`, `token_embedding.weight`...

    Raises:
        KeyError: a tensor that the sizes are read from is missing.
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
    """Whether the tensors look like a file that OpenAI published (see `infer_config`)."""
    if "input_resolution" in state:
        return True
    halves = {key: value.dtype == torch.float16 for key, value in state.items()}
    return halves.get("text_projection", False) and not halves.get("ln_final.weight", True)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Number of children, by their index, below `prefix`."""
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})


def _grid(positions: Tensor) -> int:
    """Side of the square patch grid of a position table (1 + side^2, width)."""
    side = math.isqrt(positions.shape[0] - 1)
    if side * side + 1 != positions.shape[0]:
        raise KeyError(f"a position table of {positions.shape[0]} rows is not 1 + a square")
    return side

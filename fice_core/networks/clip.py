"""CLIP: similarity of images and texts (Radford et al. 2021, arXiv 2103.00020).

The towers are open_clip's, whose vision towers may be timm's. This module adds differentiable
preprocessing, the tokenizer, and `infer_config`, which reads the architecture from the shapes of the
weights.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..ops.color import channel_statistics
from ..ops.resize import resize
from .tokenizer import BytePairTokenizer, StoredTokenizer, Tokenizer, WordTokenizer

# Channel statistics of the training images of OpenAI's models and most of open_clip's.
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
BYTE_PAIRS = 49408  # vocabulary of CLIP's own tokenizer
# Widths of heads, which the shapes do not tell: 64 in most published towers, else by the tower's width.
_HEAD_WIDTH = 64
_VISION_HEADS = {1280: 80, 1408: 88, 1664: 104, 1792: 112}
_TEXT_HEADS = {1152: 72}


class Clip(nn.Module):
    """An open_clip model with its tokenizer and differentiable preprocessing.

    `clip.model` is the bare open_clip model; `clip.model.logit_scale` is the learned temperature.

    Args:
        embed_dim: width D of the joint space.
        vision_cfg: open_clip's vision settings (`layers`, `width`, `patch_size`, `image_size`...). With
            `timm_kwargs`, the tower is timm's `timm_model_name` with these arguments and no projection.
        text_cfg: open_clip's text settings (`context_length`, `width`, `heads`, `layers`...).
            With a `vocabulary`, `vocab_size` is set from it.
        quick_gelu: use x * sigmoid(1.702 x) in the transformers. All of OpenAI's weights need it.
        vocabulary: words of a `WordTokenizer`; None means CLIP's byte pairs.
        mean, std: of each channel; images are normalised with them before the vision tower.
        tokenizer: arguments of a `StoredTokenizer` but for the context length; it replaces CLIP's byte
            pairs.
        logit_bias: whether the model has the bias of a sigmoid loss. Features do not depend on it.

    Raises:
        ValueError: open_clip would download a tower, or the vocabulary has another size than CLIP's
            byte pairs and there is no tokenizer for it.
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
        tokenizer: Mapping[str, Any] | None = None,
        logit_bias: bool = False,
    ) -> None:
        super().__init__()
        # Imported here: open_clip takes over a second, and `fice --help` must not wait for it.
        from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

        vision, text = dict(vision_cfg), dict(text_cfg)
        timm_name = str(vision.get("timm_model_name") or "")
        if (
            "hf_model_name" in text
            or vision.get("timm_model_pretrained")
            or not re.fullmatch(r"[\w.-]*", timm_name)  # timm downloads `hf-hub:name`
        ):
            raise ValueError("towers that open_clip would have to download are not supported")
        text.setdefault("context_length", 77)
        self.tokenizer: Tokenizer
        if vocabulary is not None:
            self.tokenizer = WordTokenizer(vocabulary, text["context_length"])
            text["vocab_size"] = self.tokenizer.vocab_size
        elif tokenizer is not None:
            self.tokenizer = StoredTokenizer(context_length=text["context_length"], **tokenizer)
        elif text.get("vocab_size", BYTE_PAIRS) == BYTE_PAIRS:
            self.tokenizer = BytePairTokenizer(text["context_length"])
        else:
            raise ValueError(
                f"a vocabulary of {text['vocab_size']}, which CLIP's byte pairs do not have"
            )
        self.config: dict[str, Any] = {
            "embed_dim": embed_dim,
            "vision_cfg": vision,
            "text_cfg": text,
            "quick_gelu": quick_gelu,
            "vocabulary": None if vocabulary is None else list(vocabulary),
            "mean": list(mean),
            "std": list(std),
        }
        # Left out where they do nothing: files of today then are those of older versions.
        self.config |= {} if tokenizer is None else {"tokenizer": dict(tokenizer)}
        self.config |= {"logit_bias": True} if logit_bias else {}
        bias = 0.0 if logit_bias else None
        timm_kwargs = vision.get("timm_kwargs")
        settings = CLIPVisionCfg(**(vision if timm_kwargs is None else _PLACEHOLDER))
        self.model = CLIP(
            embed_dim, settings, CLIPTextCfg(**text), quick_gelu=quick_gelu, init_logit_bias=bias
        )
        if timm_kwargs is not None:
            self.model.visual = TimmTower(timm_name, timm_kwargs)
        size = vision.get("image_size", 224)
        self.image_size: tuple[int, int] = (size, size) if isinstance(size, int) else tuple(size)
        average, spread = channel_statistics(mean, std)
        self.register_buffer("mean", average, persistent=False)
        self.register_buffer("std", spread, persistent=False)

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


# open_clip builds timm's towers with their own sizes only, so a tower of other sizes replaces this one.
_PLACEHOLDER: dict[str, Any] = {"layers": 0, "width": 64, "patch_size": 1, "image_size": 1}


class TimmTower(nn.Module):
    """A vision tower of timm with given sizes: images (N, 3, H, W) -> pooled features (N, D).

    Args:
        name: of timm's model.
        kwargs: arguments that replace those of the model.
    """

    def __init__(self, name: str, kwargs: Mapping[str, Any]) -> None:
        super().__init__()
        import timm

        self.trunk = timm.create_model(name, pretrained=False, num_classes=0, **kwargs)

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.trunk(images)
        return pooled


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `Clip` whose bare model has this state dict.

    Covers open_clip's own towers: a ModifiedResNet or a vision transformer, and a text transformer.
    Heads have the width that published towers of the same width have. OpenAI's files (see `is_openai`)
    and residual towers get QuickGELU. Other vision transformers get GELU, as open_clip trains them.

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
            "head_width": _VISION_HEADS.get(width, _HEAD_WIDTH),
            "mlp_ratio": _mlp_ratio(state, "visual.transformer.resblocks.0.", width),
            "patch_size": patch,
            "image_size": _grid(state["visual.positional_embedding"]) * patch,
        }
        if "visual.transformer.resblocks.0.ls_1.gamma" in state:
            vision["ls_init_value"] = 1.0  # any value: the file's replaces it
        if "visual.ln_pre.weight" not in state:
            vision["no_ln_pre"] = True
    return {
        "embed_dim": _text_projection(state)[0],
        "vision_cfg": vision,
        "text_cfg": infer_text_config(state),
        "quick_gelu": residual or is_openai(state),
        **({"logit_bias": True} if "logit_bias" in state else {}),
    }


def infer_text_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """open_clip's settings of the text tower of this state dict.

    Raises:
        KeyError: a tensor that gives one of the sizes is missing.
    """
    width = state["ln_final.weight"].shape[0]
    text: dict[str, Any] = {
        "context_length": state["positional_embedding"].shape[0],
        "vocab_size": state["token_embedding.weight"].shape[0],
        "width": width,
        "heads": max(width // _TEXT_HEADS.get(width, _HEAD_WIDTH), 1),
        "layers": _count(state, "transformer.resblocks."),
    }
    ratio = _mlp_ratio(state, "transformer.resblocks.0.", width)
    if ratio != 4.0:  # open_clip's default
        text["mlp_ratio"] = ratio
    if "transformer.resblocks.0.ls_1.gamma" in state:
        text["ls_init_value"] = 1.0
    return text | _text_projection(state)[1]


def is_openai(state: Mapping[str, Tensor]) -> bool:
    """Whether the tensors look like a file that OpenAI published.

    Such files have three scalars of their own (`input_resolution`...), or float16 matrices beside
    float32 norms.
    """
    if "input_resolution" in state:
        return True
    halves = {key: value.dtype == torch.float16 for key, value in state.items()}
    return halves.get("text_projection", False) and not halves.get("ln_final.weight", True)


def _text_projection(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Width of the joint space, and the settings of a projection that is not a bare matrix."""
    if "text_projection" in state:
        return state["text_projection"].shape[1], {}
    bias = "text_projection.bias" in state
    return state["text_projection.weight"].shape[0], {"proj_bias": bias}


def _mlp_ratio(state: Mapping[str, Tensor], block: str, width: int) -> float:
    """The ratio from which open_clip and timm compute the hidden width of the block's MLP."""
    hidden = state[f"{block}mlp.c_fc.weight"].shape[0]
    ratio: float = hidden / width
    return ratio if int(width * ratio) == hidden else (hidden + 0.5) / width  # they round down


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

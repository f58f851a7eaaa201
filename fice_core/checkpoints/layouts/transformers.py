"""Translates the CLIP and SigLIP models of transformers to open_clip's keys and settings.

The layers are the same under other names. Four things differ: queries, keys and values have a matrix
each, CLIP's projections are transposed, SigLIP's vision tower is timm's in open_clip, and `config.json`
names the activation, the heads and the epsilon of the norms.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import FiceError, printable
from ...networks.clip import BYTE_PAIRS, infer_config, infer_text_config
from ..reading.records import DerivedRecord, Stored, tensor_of
from .clip_settings import ClipSettings, channel_values, read_json

CONFIG_FILE = "config.json"
TEXT_MARK = "text_model.embeddings.token_embedding.weight"
VISION_MARK = "vision_model.embeddings.patch_embedding.weight"
_NAFLEX_PATCHES = 2  # axes of SigLIP 2's patch embedding for images of any shape, a linear layer
_KINDS = ("clip", "siglip", "siglip2")  # `model_type` of config.json
_CLIP_EPS, _SIGLIP_EPS = 1e-5, 1e-6
_TIMM_SIGLIP = "vit_base_patch16_siglip_224"  # timm's name; its sizes are replaced

# Keys of one block, and of what is around the blocks: transformers' name, open_clip's name.
_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_TIMM_BLOCK = {
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "self_attn.out_proj": "attn.proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_TEXT = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "head.weight": "text_projection.weight",  # of SigLIP
    "head.bias": "text_projection.bias",
}
_VISION = {
    "embeddings.class_embedding": "visual.class_embedding",
    "embeddings.patch_embedding.weight": "visual.conv1.weight",
    "embeddings.position_embedding.weight": "visual.positional_embedding",
    **{
        f"{theirs}.{leaf}": f"visual.{ours}.{leaf}"
        for theirs, ours in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post"))
        for leaf in ("weight", "bias")
    },
}
_TIMM_VISION = {
    f"{theirs}.{leaf}": f"visual.trunk.{ours}.{leaf}"
    for theirs, ours in (
        ("embeddings.patch_embedding", "patch_embed.proj"),
        ("post_layernorm", "norm"),
        ("head.attention.out_proj", "attn_pool.proj"),
        ("head.layernorm", "attn_pool.norm"),
        ("head.mlp.fc1", "attn_pool.mlp.fc1"),
        ("head.mlp.fc2", "attn_pool.mlp.fc2"),
    )
    for leaf in ("weight", "bias")
} | {"head.probe": "visual.trunk.attn_pool.latent"}
_DROPPED = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")
_ACTIVATIONS: dict[str, tuple[bool, str | None]] = {  # QuickGELU, and timm's name of the others
    "quick_gelu": (True, None),
    "gelu": (False, "gelu"),
    "gelu_pytorch_tanh": (False, "gelu_tanh"),
    "gelu_new": (False, "gelu_tanh"),
}


def is_transformers(state: Mapping[str, Stored]) -> bool:
    """Whether the tensors are those of a whole CLIP or SigLIP model of transformers."""
    return TEXT_MARK in state and VISION_MARK in state


def is_siglip(state: Mapping[str, Stored]) -> bool:
    """Whether the tensors, in transformers' layout, are those of SigLIP."""
    return "vision_model.head.probe" in state


def translate(state: Mapping[str, Stored]) -> dict[str, Stored]:
    """The tensors under open_clip's keys, not read yet. Keys that this layout does not have stay.

    Raises:
        FiceError: the model is SigLIP 2 for images of any shape.
        KeyError: a matrix of a query, key or value is missing; the message is its key.
        ValueError: they do not fit together.
    """
    siglip = is_siglip(state)
    if siglip and len(state[VISION_MARK].shape) == _NAFLEX_PATCHES:
        raise FiceError(
            "a SigLIP 2 model for images of any shape (NaFlex) is not supported; use one of a fixed size"
        )
    ours: dict[str, Stored] = {}
    for key, stored in state.items():
        if key in _DROPPED or re.search(r"\.self_attn\.[kv]_proj\.", key):
            continue
        if match := re.fullmatch(r"(.*\.self_attn)\.q_proj\.(weight|bias)", key):
            parts = [state[f"{match[1]}.{part}_proj.{match[2]}"] for part in "qkv"]
            name = _renamed(match[1].removesuffix(".self_attn"), siglip)
            ours[_joined_name(name, match[2])] = _joined(parts, key)
        elif key in ("text_projection.weight", "visual_projection.weight") and not siglip:
            name = "text_projection" if key.startswith("text") else "visual.proj"
            ours[name] = _transposed(stored, key)
        elif siglip and key.startswith("vision_model.head.attention.in_proj_"):
            ours |= dict(_split(stored, key.rsplit("_", 1)[1], key))
        elif siglip and key == "vision_model.embeddings.position_embedding.weight":
            ours["visual.trunk.pos_embed"] = _reshaped(stored, (1, *stored.shape))
        elif key in ("logit_scale", "logit_bias"):
            ours[key] = _reshaped(stored, ())
        else:
            ours[_renamed(key, siglip)] = stored
    return ours


def settings(
    state: Mapping[str, Tensor], folder: Path, siglip: bool
) -> tuple[ClipSettings, str | None]:
    """Settings of a translated model, and why `config.json` was not used, if there is one.

    Args:
        state: the tensors, translated; their shapes are enough.
        folder: where the file is; its `config.json` and `preprocessor_config.json` are read.
        siglip: whether it is SigLIP.

    Raises:
        FiceError: `config.json` names something that is not supported, or is missing where the published
            models do not tell.
        KeyError: a tensor that gives one of the sizes is missing.
    """
    config = _siglip_config(state) if siglip else infer_config(state)
    stored, ignored = read_json(folder / CONFIG_FILE), None
    if stored is not None and (ignored := _misfit(stored, config)):
        stored, ignored = None, f"{CONFIG_FILE}: {ignored}"
    if stored is not None and (stored.get("model_type") or "clip") not in _KINDS:
        raise FiceError(
            f"{CONFIG_FILE} describes a model of another kind ({printable(str(stored['model_type']), 40)}) "
            f"with the tensors of CLIP; {', '.join(_KINDS)} are supported"
        )
    if stored is None:
        if not siglip and config["text_cfg"]["vocab_size"] != BYTE_PAIRS:
            raise FiceError(
                f"its vocabulary has {config['text_cfg']['vocab_size']} tokens, not the {BYTE_PAIRS} of "
                f"CLIP's byte pairs: put its {CONFIG_FILE} beside it, and with it tokenizer.json and "
                "tokenizer_config.json"
            )
        found = _assumed(config, siglip)
    else:
        _apply(stored, config, siglip)
        found = ClipSettings(config, CONFIG_FILE)
        _apply_preprocessing(folder, found)
    if siglip or config["text_cfg"]["vocab_size"] != BYTE_PAIRS:
        # SigLIP 2 was trained on texts in lower case, SigLIP on texts without punctuation too.
        first = siglip and config["text_cfg"]["vocab_size"] < 2 * 10**5
        clean = "canonicalize" if first else "lower" if siglip else "whitespace"
        found = ClipSettings(config, found.source, found.assumed, "", clean)
    return found, ignored


def _renamed(key: str, siglip: bool) -> str:
    """open_clip's key for a key of transformers; unknown keys stay."""
    tower, _, rest = key.partition(".")
    if tower not in ("text_model", "vision_model"):
        return key
    timm = siglip and tower == "vision_model"
    if match := re.fullmatch(r"encoder\.layers\.(\d+)(?:\.(.*)\.(weight|bias))?", rest):
        number, layer, leaf = match.groups()
        prefix = "visual." if tower == "vision_model" else ""
        block = (
            f"visual.trunk.blocks.{number}" if timm else f"{prefix}transformer.resblocks.{number}"
        )
        if layer is None:
            return block
        name = (_TIMM_BLOCK if timm else _BLOCK).get(layer)
        return f"{block}.{name}.{leaf}" if name else key
    names = _TEXT if tower == "text_model" else _TIMM_VISION if timm else _VISION
    return names.get(rest, key)


def _joined_name(block: str, leaf: str) -> str:
    """Key of the joined matrix or bias of queries, keys and values of a block."""
    return f"{block}.attn.qkv.{leaf}" if ".trunk." in block else f"{block}.attn.in_proj_{leaf}"


def _joined(parts: list[Stored], key: str) -> DerivedRecord:
    """The parts, one below the other."""
    shapes = {tuple(part.shape) for part in parts}
    (shape, *others) = shapes
    if others or not shape:
        raise ValueError(f"{key} is {shape}")
    return DerivedRecord(
        (sum(part.shape[0] for part in parts), *shape[1:]),
        parts[0].dtype,
        lambda: torch.cat([tensor_of(part) for part in parts]),
    )


def _split(stored: Stored, leaf: str, key: str) -> Iterator[tuple[str, Stored]]:
    """Queries, and keys with values, of the joined matrix or bias of SigLIP's attention pool."""
    shape = tuple(stored.shape)
    if not shape or shape[0] % 3:
        raise ValueError(f"{key} is {shape}")
    third = shape[0] // 3
    pool = "visual.trunk.attn_pool"
    yield f"{pool}.q.{leaf}", _rows(stored, 0, third)
    yield f"{pool}.kv.{leaf}", _rows(stored, third, 3 * third)


def _rows(stored: Stored, start: int, end: int) -> DerivedRecord:
    shape = (end - start, *stored.shape[1:])
    return DerivedRecord(shape, stored.dtype, lambda: tensor_of(stored)[start:end])


def _transposed(stored: Stored, key: str) -> DerivedRecord:
    if len(stored.shape) != 2:
        raise ValueError(f"{key} is {tuple(stored.shape)}")
    return DerivedRecord(
        (stored.shape[1], stored.shape[0]), stored.dtype, lambda: tensor_of(stored).t()
    )


def _reshaped(stored: Stored, shape: tuple[int, ...]) -> Stored:
    """The tensor in another shape of as many elements; as it is if it has others."""
    if torch.Size(shape).numel() != torch.Size(stored.shape).numel():
        return stored
    return DerivedRecord(shape, stored.dtype, lambda: tensor_of(stored).reshape(shape))


def _siglip_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of `Clip` for a translated SigLIP model; the text tower's heads as in its vision tower."""
    trunk = "visual.trunk."
    dim, _, patch, _ = state[f"{trunk}patch_embed.proj.weight"].shape
    grid = round(state[f"{trunk}pos_embed"].shape[1] ** 0.5)
    hidden = state[f"{trunk}blocks.0.mlp.fc1.weight"].shape[0]
    ratio = hidden / dim if int(hidden / dim * dim) == hidden else (hidden + 0.5) / dim
    blocks = {key.split(".")[3] for key in state if key.startswith(f"{trunk}blocks.")}
    text = infer_text_config(state) | {
        "no_causal_mask": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": _SIGLIP_EPS},
    }
    return {
        "embed_dim": state["text_projection.weight"].shape[0],
        "vision_cfg": {
            "timm_model_name": _TIMM_SIGLIP,
            "image_size": grid * patch,
            "timm_kwargs": {
                "img_size": grid * patch,
                "patch_size": patch,
                "embed_dim": dim,
                "depth": len(blocks),
                "num_heads": max(dim // (72 if dim == 1152 else 64), 1),
                "mlp_ratio": ratio,
            },
        },
        "text_cfg": text,
        "quick_gelu": False,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "logit_bias": "logit_bias" in state,
    }


def _assumed(config: dict[str, Any], siglip: bool) -> ClipSettings:
    """Settings without `config.json`: those of the published models of these sizes."""
    if siglip:
        _set_activation(config, "gelu_pytorch_tanh", siglip)
        return ClipSettings(config, "the shapes", ["SigLIP's activation (GELU by tanh) and heads"])
    # OpenAI's models and those tuned from them have QuickGELU, LAION's large ones GELU.
    quick = config["vision_cfg"]["width"] < 1280
    config["quick_gelu"] = quick
    name = "QuickGELU" if quick else "GELU"
    return ClipSettings(
        config, "the shapes", [f"the activation {name}", "the heads", "OpenAI's mean and std"]
    )


def _misfit(stored: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Why `config.json` belongs to another model, or None."""
    kind = stored.get("model_type")
    if not isinstance(stored.get("vision_config"), dict) or not isinstance(
        stored.get("text_config"), dict
    ):
        return (
            f"it describes another kind of model ({kind})" if kind else "it describes no CLIP model"
        )
    vision = config["vision_cfg"].get("timm_kwargs") or config["vision_cfg"]
    sizes = {
        ("vision_config", "hidden_size"): vision.get("embed_dim", vision.get("width")),
        ("vision_config", "num_hidden_layers"): vision.get("depth", vision.get("layers")),
        ("text_config", "hidden_size"): config["text_cfg"]["width"],
        ("text_config", "num_hidden_layers"): config["text_cfg"]["layers"],
        ("text_config", "vocab_size"): config["text_cfg"]["vocab_size"],
    }
    for (part, name), size in sizes.items():
        given = stored[part].get(name, size)
        if given != size:
            return f"its {part}.{name} is {given}, but the tensors have {size}"
    return None


def _apply(stored: Mapping[str, Any], config: dict[str, Any], siglip: bool) -> None:
    """Set activation, heads, epsilon, image size and the end of texts as `config.json` says.

    Raises:
        FiceError: one of them is not supported.
    """
    defaults = {"hidden_act": "gelu_pytorch_tanh" if siglip else "quick_gelu"}
    vision, text = (defaults | dict(stored[part]) for part in ("vision_config", "text_config"))
    if vision["hidden_act"] != text["hidden_act"]:
        raise FiceError(
            f"{CONFIG_FILE}: the towers have different activations, {vision['hidden_act']} and "
            f"{text['hidden_act']}; this is not supported"
        )
    _set_activation(config, vision["hidden_act"], siglip)
    eps = _SIGLIP_EPS if siglip else _CLIP_EPS
    ours = config["vision_cfg"]
    width = ours["timm_kwargs"]["embed_dim"] if siglip else ours["width"]
    heads = _whole(vision, "num_attention_heads", 12, width)
    if siglip:
        if vision.get("layer_norm_eps", eps) != eps:
            raise FiceError(f"{CONFIG_FILE}: an epsilon other than {eps} is not supported")
        ours["timm_kwargs"]["num_heads"] = heads
        side, patch = (
            vision.get("image_size", ours["image_size"]),
            ours["timm_kwargs"]["patch_size"],
        )
        if isinstance(side, int) and side // patch == ours["image_size"] // patch:
            ours["image_size"] = ours["timm_kwargs"]["img_size"] = side
    else:
        ours["head_width"] = width // heads
        if vision.get("layer_norm_eps", eps) != eps:
            ours["norm_kwargs"] = {"eps": float(vision["layer_norm_eps"])}
    tower = config["text_cfg"]
    tower["heads"] = _whole(text, "num_attention_heads", 12 if siglip else 8, tower["width"])
    if text.get("layer_norm_eps", eps) != eps:
        tower["norm_kwargs"] = {"eps": float(text["layer_norm_eps"])}
    end = text.get("eos_token_id", 2)
    # transformers takes 2 for the largest id, for the sake of OpenAI's first files.
    if not siglip and isinstance(end, int) and end not in (2, tower["vocab_size"] - 1):
        tower |= {"pool_type": "eos", "eos_id": end}


def _set_activation(config: dict[str, Any], name: Any, siglip: bool) -> None:
    if name not in _ACTIVATIONS or (siglip and name == "quick_gelu"):
        raise FiceError(
            f"{CONFIG_FILE}: the activation {name!r} is not supported; known are "
            f"{', '.join(_ACTIVATIONS)}"
        )
    config["quick_gelu"], timm_name = _ACTIVATIONS[name]
    if siglip:
        config["vision_cfg"]["timm_kwargs"]["act_layer"] = timm_name
    if timm_name == "gelu_tanh":
        config["text_cfg"]["act_kwargs"] = {"approximate": "tanh"}
        if not siglip:
            config["vision_cfg"]["act_kwargs"] = {"approximate": "tanh"}


def _whole(part: Mapping[str, Any], name: str, default: int, width: int) -> int:
    """A number of heads that divides the width."""
    heads = part.get(name, default)
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise FiceError(f"{CONFIG_FILE}: {name} is {heads!r} for a width of {width}")
    return heads


def _apply_preprocessing(folder: Path, found: ClipSettings) -> None:
    """Mean and std from `preprocessor_config.json`, or those of the published models.

    Raises:
        FiceError: they are no such numbers.
    """
    source = "preprocessor_config.json"
    stored = read_json(folder / source)
    if stored is None:
        if (folder / source).exists():
            found.assumed.append(f"mean and std of published models ({source} is not readable)")
        source = "processor_config.json"
        stored = (read_json(folder / source) or {}).get("image_processor")
    if not isinstance(stored, dict):
        return
    for name, key in (("mean", "image_mean"), ("std", "image_std")):
        if stored.get(key) is not None:
            found.config[name] = channel_values(stored[key], name, source)
    if stored.get("do_normalize") is False:
        found.config.update(mean=[0.0] * 3, std=[1.0] * 3)

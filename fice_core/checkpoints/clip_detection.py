"""Detects CLIP models and finds the settings that the shapes of their tensors do not tell.

These are the heads, the activation, the pooling, the tokenizer, and the mean and std of the images. They
come from the first of:

1. the architecture that the user names,
2. `open_clip_config.json`, or transformers' `config.json`, in the folder of the file,
3. the name of the file, if open_clip distributes weights under it,
4. the code of a TorchScript archive, which names the activation,
5. the widths of published towers. What remains is assumed, and a note says so.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import FiceError
from ..networks.clip import BYTE_PAIRS, infer_config, infer_text_config, is_openai
from .found import Found, below, is_average, note_of_choice, shapes_only, word
from .layouts import open_clip, transformers
from .layouts.clip_settings import ClipSettings, read_json, read_tokenizer
from .reading.reader import Contents
from .reading.records import DerivedRecord, ObjectRecord, Stored, tensor_of

_HOW = (
    "name its architecture (--clip-architecture, or the input of Load CLIP), or put its "
    f"{open_clip.CONFIG_FILE} or {transformers.CONFIG_FILE} beside it"
)
_KNOWN_WIDTHS = {384, 512, 768, 896, 1024, 1280, 1408, 1664, 1792}  # of published vision towers
_KNOWN_TEXT_WIDTHS = {256, 384, 512, 640, 768, 1024, 1152, 1280}
_TOKENS = "token_embedding.weight"
_VISUAL = re.compile(r"(?<![^.])visual\.")


def find_prefix(tensors: Mapping[str, Stored]) -> str | None:
    """Prefix of the tensors of a CLIP model with both halves, or None; an average ("ema") is preferred."""
    return min(_prefixes(tensors), key=lambda prefix: not is_average(prefix), default=None)


def find_clip(
    prefix: str,
    tensors: Mapping[str, Stored],
    contents: Contents,
    architecture: str | None = None,
    tokenizer_folder: Path | None = None,
) -> Found:
    """The CLIP model below a prefix, with its settings.

    Args:
        prefix: from `find_prefix`.
        tensors: all tensors of the file.
        contents: the file.
        architecture: an open_clip name, ARCHITECTURE or ARCHITECTURE:TAG.
        tokenizer_folder: where the files of its tokenizer are; by default the folder of the file.

    Raises:
        FiceError: there is no such architecture.
    """
    chosen = None if architecture is None else open_clip.architecture_settings(architecture)
    state = below(tensors, prefix)
    what = "a CLIP model"
    try:
        if problem := _foreign(state):
            return Found("clip", f"{what} ({problem[0]})", {}, state, problem=problem[1])
        in_transformers = transformers.is_transformers(state)
        siglip = in_transformers and transformers.is_siglip(state)
        state = transformers.translate(state) if in_transformers else _with_text_at_root(state)
        shapes = shapes_only(state)
        folder, ignored = contents.path.parent, None
        if chosen is None and in_transformers:
            chosen, ignored = transformers.settings(shapes, folder, siglip)
        elif chosen is None:
            chosen, ignored = _beside(shapes, folder)
        chosen = chosen or _by_name(shapes, contents) or _by_shapes(shapes, contents)
        if architecture is not None and is_openai(shapes):
            chosen.config["quick_gelu"] = True  # also where the name says otherwise
        chosen.config["logit_bias"] = "logit_bias" in shapes
        what = f"a CLIP model ({describe(chosen.config)})"
        if chosen.tokenizer is not None:
            chosen.config["tokenizer"] = read_tokenizer(chosen, tokenizer_folder or folder)
    except FiceError as error:
        return Found("clip", what, {}, state, problem=str(error))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = str(error).strip("'\"") or type(error).__name__
        return Found("clip", what, {}, state, problem=f"it is incomplete: {reason}")
    details = {
        "layout": "transformers'" if in_transformers else "open_clip's",
        "settings from": chosen.source,
    }
    notes = [*note_of_choice(_prefixes(tensors), prefix)]
    if ignored:
        details["not used"] = ignored
        notes.append(f"is read without the configuration beside it: {ignored}")
    if chosen.assumed:
        details["assumed"] = ", ".join(chosen.assumed)
        notes.append(f"does not say everything; assumed: {details['assumed']}. To be sure, {_HOW}")
    return Found("clip", what, chosen.config, state, details, tuple(notes))


def _prefixes(tensors: Mapping[str, Stored]) -> Iterator[str]:
    # One pass over the keys: a file may have very many.
    of_vision = {key[: match.start()] for key in tensors for match in _VISUAL.finditer(key)}
    for key in tensors:
        if not f".{key}".endswith(f".{_TOKENS}"):
            continue
        head = key.removesuffix(_TOKENS)
        prefix = head.removesuffix("text_model.embeddings.")
        if prefix != head:
            if prefix + transformers.VISION_MARK in tensors:
                yield prefix
            continue
        if f".{head}".endswith(".text."):
            head = head.removesuffix("text.")
        if head in of_vision:
            yield head


def _foreign(state: Mapping[str, Stored]) -> tuple[str, str] | None:
    """Name and advice of a CLIP model that is not in the layout of open_clip or transformers."""
    if "text.cls_emb" in state or any(key.startswith("text_decoder.") for key in state):
        return "CoCa", "CoCa models are not supported; use a CLIP model"
    if "visual.cls_token" in state:
        return (
            "EVA-CLIP, its authors' layout",
            "this layout is not supported; use open_clip's file of the same model (timm/eva02_...)",
        )
    if "visual.attn_pool.probe" in state:
        return (
            "Perception Encoder, its authors' layout",
            "this layout is not supported; use open_clip's file of the same model (timm/PE-Core-...)",
        )
    return None


def _with_text_at_root(state: Mapping[str, Stored]) -> dict[str, Stored]:
    """The tensors under OpenAI's keys; newer files have the text tower below `text.`."""
    ours = {key.removeprefix("text."): stored for key, stored in state.items()}
    for key in ("logit_scale", "logit_bias"):
        if key in ours and tuple(ours[key].shape) == (1,):
            ours[key] = _scalar(ours[key])
    return ours


def _scalar(stored: Stored) -> DerivedRecord:
    return DerivedRecord((), stored.dtype, lambda: tensor_of(stored).reshape(()))


def _beside(shapes: Mapping[str, Tensor], folder: Path) -> tuple[ClipSettings | None, str | None]:
    """Settings from `open_clip_config.json` beside the file, and why they were not used."""
    name = open_clip.CONFIG_FILE
    stored = read_json(folder / name)
    if stored is None:
        return None, None
    try:
        model = stored.get("model_cfg", stored)
        if "multimodal_cfg" in model or "hf_model_name" in model["text_cfg"]:
            return None, f"{name} describes a model of another kind"
        found = open_clip.model_settings(model, stored.get("preprocess_cfg") or {}, name)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, FiceError):
            raise
        return None, f"{name} is not readable"
    if misfit := _misfit(found.config, shapes):
        return None, f"{name} describes another model ({misfit})"
    return found, None


def _by_name(shapes: Mapping[str, Tensor], contents: Contents) -> ClipSettings | None:
    """Settings of the published weights that are distributed under the name of the file."""
    name = open_clip.published_name(contents.name)
    if name is None:
        return None
    found = open_clip.architecture_settings(name)
    if _misfit(found.config, shapes):
        return None
    return replace(found, source=f"its name, that of {name}")


def _by_shapes(shapes: Mapping[str, Tensor], contents: Contents) -> ClipSettings:
    """Settings from the shapes, the code of a TorchScript archive, and what published models have.

    Raises:
        FiceError: the shapes do not tell enough.
    """
    if _is_timm(shapes):
        raise FiceError(
            f"its vision tower is one of timm, and its tensors do not tell which: {_HOW}"
        )
    config = infer_config(shapes)
    vision, text = config["vision_cfg"], config["text_cfg"]
    residual = isinstance(vision["layers"], list)
    if text["vocab_size"] != BYTE_PAIRS:
        raise FiceError(
            f"its vocabulary has {text['vocab_size']} tokens, not the {BYTE_PAIRS} of CLIP's byte "
            f"pairs: {_HOW}, and with it tokenizer.json and tokenizer_config.json"
        )
    if vision.get("no_ln_pre"):
        raise FiceError(f"its tensors do not tell how its vision tower pools: {_HOW}")
    assumed = []
    recorded = _recorded_activation(contents)
    if recorded is not None:
        config["quick_gelu"] = recorded
    elif not is_openai(shapes):
        assumed.append(
            "the activation QuickGELU"
            if residual
            else "the activation GELU, OpenAI's pooling, mean and std"
        )
    if not residual and vision["width"] not in _KNOWN_WIDTHS:
        assumed.append(f"vision heads of width {vision['head_width']}")
    if text["width"] not in _KNOWN_TEXT_WIDTHS:
        assumed.append(f"{text['heads']} text heads")
    return ClipSettings(config, "the shapes of the tensors", assumed)


def _misfit(config: Mapping[str, Any], shapes: Mapping[str, Tensor]) -> str | None:
    """The first size in which settings and tensors differ, or None."""
    text = infer_text_config(shapes)
    pairs = [(f"text_cfg.{name}", config["text_cfg"], text, name) for name in ("width", "layers")]
    pairs += [("text_cfg.vocab_size", config["text_cfg"], text, "vocab_size")]
    timm = bool(config["vision_cfg"].get("timm_model_name"))
    if timm != _is_timm(shapes):
        return "a vision tower of timm" if timm else "a vision tower of open_clip"
    if not timm:
        inferred = infer_config(shapes)
        names = ("width", "layers", "patch_size", "image_size")
        vision = config["vision_cfg"], inferred["vision_cfg"]
        pairs += [(f"vision_cfg.{name}", *vision, name) for name in names]
        pairs += [("embed_dim", config, inferred, "embed_dim")]
    for label, given, true, name in pairs:
        if given.get(name, true[name]) != true[name]:
            return f"its {label} is {given[name]}, but the tensors have {true[name]}"
    return None


def _is_timm(shapes: Mapping[str, Tensor]) -> bool:
    return any(key.startswith("visual.trunk.") for key in shapes)


def _recorded_activation(contents: Contents) -> bool | None:
    """Whether a TorchScript archive has QuickGELU; None if it names no activation, or both."""
    if contents.format != "TorchScript":
        return None
    names, pending, visited = set(), [contents.tree], set()
    while pending:
        node = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, ObjectRecord):
            names.add(node.name.rsplit(".", 1)[-1])
            node = node.state
        if isinstance(node, dict):
            pending.extend(node.values())
    quick, plain = "QuickGELU" in names, "GELU" in names
    return quick if quick != plain else None


def describe(config: Mapping[str, Any]) -> str:
    """A CLIP model in a few words: tower, image size and number of features."""
    vision = config["vision_cfg"]
    timm = vision.get("timm_model_name")
    own = "residual" if isinstance(vision.get("layers"), list) else "transformer"
    tower = word(timm) if timm else own
    size, features = vision.get("image_size", 224), config["embed_dim"]
    return f"{tower} tower, {word(size)} px, {word(features)} features"

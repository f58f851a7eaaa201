"""open_clip's catalogue: settings of architectures by name, and the download of published weights."""

import difflib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import FiceError
from ...networks.clip import BYTE_PAIRS
from .clip_settings import ClipSettings, channel_values

CONFIG_FILE = "open_clip_config.json"
_NAME = re.compile(r"(?P<architecture>[\w.-]+):(?P<tag>[\w.-]+)")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def split_name(text: str) -> tuple[str, str] | None:
    """(architecture, tag) of a name such as `RN50x4-quickgelu:openai`; None if it must be a file.

    Raises:
        FiceError: the text is an architecture without a tag, which does not tell the weights.
    """
    import open_clip

    match = _NAME.fullmatch(text)
    if match and len(match["architecture"]) > 1:  # a single letter is a Windows drive
        return match["architecture"], match["tag"]
    if text in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(text) or ["openai"]
        raise FiceError(
            f"{text} names an architecture without weights: give a file, or {text}:{tags[0]} to "
            "let open_clip download published weights"
        )
    return None


def architecture_names() -> list[str]:
    """Names of the architectures that can be read, in order; open_clip, slow to import, is not imported."""
    spec = find_spec("open_clip")
    folders = [] if spec is None else spec.submodule_search_locations or []
    files = [path for folder in folders for path in Path(folder).glob("model_configs/*.json")]
    usable = []
    for path in files:
        model = json.loads(path.read_text(encoding="utf-8"))
        if "multimodal_cfg" not in model and "hf_model_name" not in model.get("text_cfg", {}):
            usable.append(path.stem)
    return sorted(usable)


def architecture_settings(name: str) -> ClipSettings:
    """Settings of an architecture of open_clip, or of published weights, ARCHITECTURE:TAG.

    Mean and std are those of the weights, or those that all published weights of the architecture have.

    Raises:
        FiceError: there is no such architecture or tag, or its text tower is not that of CLIP.
    """
    import open_clip

    architecture, _, tag = name.partition(":")
    names = open_clip.list_models()
    config = open_clip.get_model_config(architecture) if architecture in names else None
    if config is None:
        close = difflib.get_close_matches(architecture, names, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise FiceError(f"open_clip has no architecture {architecture!r}{hint}")
    settings = model_settings(config, {}, f"the architecture {name}")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag:
        settings.config.update(_published(architecture, tag))
        return settings
    norms = {
        (tuple(published["mean"]), tuple(published["std"]))
        for published in (open_clip.get_pretrained_cfg(architecture, each) for each in tags)
        if "mean" in published and "std" in published
    }
    if len(norms) == 1:
        ((mean, std),) = norms
        settings.config.update(mean=list(mean), std=list(std))
    elif norms:
        settings.assumed.append(
            f"OpenAI's mean and std (published weights of {architecture} differ; name yours as "
            f"{architecture}:{tags[0]})"
        )
    return settings


def model_settings(
    model: Mapping[str, Any], preprocessing: Mapping[str, Any], source: str
) -> ClipSettings:
    """Settings in the form of open_clip's configurations.

    Args:
        model: `model_cfg` of `open_clip_config.json`, or a configuration of the catalogue.
        preprocessing: its `preprocess_cfg`.
        source: where they come from, in a few words.

    Raises:
        FiceError: it is not a CLIP of two towers that this package can build.
        LookupError, TypeError, ValueError: it has another form.
    """
    vision, text = dict(model["vision_cfg"]), dict(model["text_cfg"])
    if "multimodal_cfg" in model:
        raise FiceError(f"{source} is a CoCa model, which is not supported; use a CLIP model")
    if "hf_model_name" in text:
        raise FiceError(
            f"the text tower of {source} is {text['hf_model_name']} of transformers, which is not "
            "supported; use a CLIP model with open_clip's own text tower"
        )
    vision["timm_model_pretrained"] = False  # the file has all weights
    if not vision.get("timm_model_name"):
        del vision["timm_model_pretrained"]
    name, kwargs = text.pop("hf_tokenizer_name", None), text.pop("tokenizer_kwargs", None) or {}
    if text.pop("tokenizer_mode", None):
        raise FiceError(f"the tokenizer of {source} has a mode that is not supported")
    config: dict[str, Any] = {
        "embed_dim": model["embed_dim"],
        "vision_cfg": vision,
        "text_cfg": text,
        "quick_gelu": bool(model.get("quick_gelu", False)),
    }
    if model.get("init_logit_bias") is not None:
        config["logit_bias"] = True
    for key in ("mean", "std"):
        if preprocessing.get(key):
            config[key] = channel_values(preprocessing[key], key, source)
    if name is None and text.get("vocab_size", BYTE_PAIRS) != BYTE_PAIRS:
        name = ""
    return ClipSettings(
        config,
        source,
        tokenizer=name,
        clean=kwargs.get("clean", "whitespace"),
        strips_separator=bool(kwargs.get("strip_sep_token", False)),
    )


@cache
def _file_names() -> dict[str, str]:
    """Published weights, ARCHITECTURE:TAG, by the names of their files.

    OpenAI's are left out: files of many models bear names such as ViT-B-32.pt.
    """
    import open_clip

    found: dict[str, str] = {}
    for architecture, tag in open_clip.list_pretrained():
        url = open_clip.get_pretrained_cfg(architecture, tag).get("url", "")
        if url and "openaipublic" not in url:
            found.setdefault(url.rsplit("/", 1)[1], f"{architecture}:{tag}")
    return found


def published_name(file_name: str) -> str | None:
    """The published weights, ARCHITECTURE:TAG, that are distributed in a file of this name."""
    return _file_names().get(file_name)


def download(architecture: str, tag: str) -> Path:
    """Published weights from open_clip's cache or the internet, with their tokenizer if they have one.

    This is the only code of the project that may use the internet, and only if a user gives a tag.

    Returns:
        The file.

    Raises:
        FiceError: there are no such weights, or the download failed.
    """
    import open_clip

    architecture_settings(architecture)
    _published(architecture, tag)
    try:
        return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(architecture, tag)))
    except Exception as error:  # a downloader may raise anything if the network or the disk fails
        raise FiceError(f"cannot download {architecture}:{tag}: {_first_line(error)}") from error


def download_tokenizer(name: str) -> Path:
    """The folder with the tokenizer of a hub repository, from the cache or the internet.

    Raises:
        FiceError: the download failed.
    """
    from open_clip.pretrained import download_pretrained_from_hf

    try:
        files = [download_pretrained_from_hf(name, filename=file) for file in _TOKENIZER_FILES]
        return Path(files[0]).parent
    except Exception as error:  # as above
        raise FiceError(f"cannot download the tokenizer {name}: {_first_line(error)}") from error


def _published(architecture: str, tag: str) -> dict[str, Any]:
    """Arguments of `Clip` (`mean`, `std`, `quick_gelu`) of published weights.

    Raises:
        FiceError: there are no such weights.
    """
    import open_clip

    published = open_clip.get_pretrained_cfg(architecture, tag)
    if not published:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise FiceError(f"open_clip has no weights {tag!r} for {architecture}; it has: {tags}")
    settings: dict[str, Any] = {
        key: list(published[key]) for key in ("mean", "std") if key in published
    }
    if tag == "openai" or published.get("quick_gelu"):
        settings["quick_gelu"] = True
    return settings


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__

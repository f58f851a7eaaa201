"""open_clip's catalogue: architectures by name, and the download of published weights."""

import difflib
import re
from pathlib import Path
from typing import Any

from ...errors import FiceError

_NAME = re.compile(r"(?P<architecture>[\w.-]+):(?P<tag>[\w.-]+)")


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


def architecture_config(name: str) -> dict[str, Any]:
    """Constructor arguments of `Clip` for an architecture of open_clip.

    Raises:
        FiceError: there is no such architecture, or its text tower is not that of CLIP.
    """
    import open_clip

    config = open_clip.get_model_config(name) if name in open_clip.list_models() else None
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise FiceError(f"open_clip has no architecture {name!r}{hint}")
    text = config["text_cfg"]
    if "multimodal_cfg" in config or "hf_model_name" in text or "hf_tokenizer_name" in text:
        raise FiceError(
            f"{name} does not read text the way CLIP does (byte pairs into a transformer of "
            "open_clip); choose another architecture"
        )
    return {
        "embed_dim": config["embed_dim"],
        "vision_cfg": config["vision_cfg"],
        "text_cfg": text,
        "quick_gelu": config.get("quick_gelu", False),
    }


def download(architecture: str, tag: str) -> tuple[Path, dict[str, Any]]:
    """Published weights from open_clip's cache or the internet, and the settings that they need.

    This is the only code of the project that may use the internet, and only if a user gives a tag.

    Returns:
        The file, and arguments of `Clip` that differ from those of the architecture (`mean`, `std`,
        `quick_gelu`).

    Raises:
        FiceError: there are no such weights, or the download failed.
    """
    import open_clip

    architecture_config(architecture)
    published = open_clip.get_pretrained_cfg(architecture, tag)
    if not published:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise FiceError(f"open_clip has no weights {tag!r} for {architecture}; it has: {tags}")
    try:
        path = Path(open_clip.download_pretrained(published))
    except Exception as error:  # a downloader may raise anything if the network or the disk fails
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FiceError(f"cannot download {architecture}:{tag}: {reason}") from error
    settings = {key: published[key] for key in ("mean", "std", "quick_gelu") if key in published}
    if tag == "openai":
        settings["quick_gelu"] = True
    return path, settings

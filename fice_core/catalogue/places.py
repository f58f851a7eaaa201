"""Places of this machine where models may lie: this project's folder, ComfyUI's, the Hub's cache."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FiceError
from ..files import read_bytes

_VARIABLE = "FICE_MODELS"
_COMFYUI = "COMFYUI_PATH"
# ComfyUI's folders of diffusion models and of what belongs to them: none of them is read.
_FOREIGN = {
    "checkpoints", "diffusion_models", "unet", "loras", "vae", "vae_approx", "controlnet", "configs",
    "upscale_models", "embeddings", "style_models", "gligen", "hypernetworks", "photomaker", "diffusers",
    "latent_upscale_models", "audio_encoders", "model_patches", "t2i_adapter", "llm", "LLM", "ipadapter",
    "animatediff_models", "insightface", "ultralytics", "facerestore_models", "frame_interpolation",
}  # fmt: skip
#: folders of a pack in which it keeps models that it has fetched
_OF_PACKS = ("ckpts", "checkpoints", "models", "weights", "pretrained")
_DEPTH = 4  # of folders below a place


@dataclass(frozen=True)
class Place:
    """A folder to look into.

    Attributes:
        name: in a few words.
        folder: it exists.
        depth: how many folders deep models may lie.
    """

    name: str
    folder: Path
    depth: int = _DEPTH


def own_folder() -> Path:
    """Where `fice models get` puts models: FICE_MODELS, or `fice-models` in the user's home."""
    return Path(os.environ.get(_VARIABLE) or Path.home() / "fice-models")


def comfyui_folders() -> list[Path]:
    """Every ComfyUI that is found: at COMFYUI_PATH, around this pack, and in the usual places."""
    home, here = Path.home(), Path(__file__).resolve()
    tried = [Path(path)] if (path := os.environ.get(_COMFYUI)) else []
    tried += [parent.parent for parent in here.parents if parent.name == "custom_nodes"]
    tried += [home / "comfy" / "ComfyUI", home / "ComfyUI", home / "Documents" / "ComfyUI"]
    found = (path for path in tried if (path / "models").is_dir())
    return [*{path.resolve(): None for path in found}]


def places(more: tuple[Path, ...] = ()) -> list[Place]:
    """The existing folders where models may lie, each once.

    Args:
        more: further folders, which come first.
    """
    found = [Place("given", folder) for folder in more]
    found += [Place("FICE's folder", own_folder())]
    for comfyui in comfyui_folders():
        found += _of_comfyui(comfyui)
    found += [Place("the Hub's cache", _hub_cache(), depth=3)]
    known: dict[Path, Place] = {}
    for place in found:
        if place.folder.is_dir():
            known.setdefault(place.folder.resolve(), place)
    return [*known.values()]


def _of_comfyui(comfyui: Path) -> Iterator[Place]:
    """ComfyUI's own folders, those of extra_model_paths.yaml, and those of other packs."""
    for folder in _folders(comfyui / "models"):
        if folder.name not in _FOREIGN:
            yield Place("ComfyUI", folder)
    for pack in _folders(comfyui / "custom_nodes"):
        for name in _OF_PACKS:
            if (pack / name).is_dir():
                yield Place(f"the pack {pack.name}", pack / name)
    for folder in _extra_paths(comfyui / "extra_model_paths.yaml"):
        yield Place("extra_model_paths.yaml", folder)


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _extra_paths(file: Path) -> Iterator[Path]:
    """The folders that ComfyUI's settings name for CLIP and for this pack's networks."""
    if not file.is_file():
        return
    try:
        import yaml
    except ImportError:  # huggingface_hub and ComfyUI need it
        return
    try:
        stored = yaml.safe_load(read_bytes(file))
    except (FiceError, ValueError, yaml.YAMLError):
        return
    for section in stored.values() if isinstance(stored, dict) else ():
        if isinstance(section, dict):
            yield from _section(section, file.parent)


def _section(section: dict[str, Any], around: Path) -> Iterator[Path]:
    base = around / os.path.expanduser(str(section.get("base_path") or "."))
    for name, value in section.items():
        if name == "clip" or str(name).startswith("fice_"):
            for line in str(value).splitlines():
                if line.strip():
                    yield base / line.strip()


def _hub_cache() -> Path:
    """Where huggingface_hub keeps what it has fetched, as its documentation says."""
    if path := os.environ.get("HF_HUB_CACHE"):
        return Path(path)
    home = os.environ.get("HF_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "huggingface"
    )
    return Path(home) / "hub"

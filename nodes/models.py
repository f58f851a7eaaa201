"""Where model files are found, and the demonstration networks that need none."""

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import folder_paths

from ..fice_core import checkpoints
from ..fice_core.catalogue.kinds import SUFFIXES
from ..fice_core.errors import FiceError
from ..fice_core.models import DEMO_WEIGHTS, LOADERS, model_files
from .device import manage
from .sockets import Loaded

#: first entry of every dropdown
DEMO = "demonstration model (built in)"
DEMO_SET = "demonstration models (built in)"
_SUFFIXES = {*SUFFIXES}
#: what the folder of each kind is for
CONTENTS = {
    "generator": "a StyleGAN2 generator (generator.pt, an NVIDIA .pkl, .safetensors)",
    "encoder": "an e4e encoder (e4e.pt, .safetensors)",
    "densepose": "a DensePose network (densepose.pkl of detectron2's model zoo, .safetensors)",
    "segmenter": "a segmenter (segmentator.pt, or the folder of a SegFormer that parses clothes)",
    "clip": "a CLIP network (RN50x4.pt, .safetensors)",
    "sam": "Segment Anything (such as sam_vit_b_01ec64.pth)",
}
_LOADERS: dict[str, Callable[..., Any]] = {**LOADERS, "sam": checkpoints.load_sam}
#: folders that we share with ComfyUI or other packs: their names
_SHARED = {"clip": "clip", "sam": "sams"}


def folder_name(kind: str) -> str:
    """ComfyUI's name for the folder of a kind of network, as in extra_model_paths.yaml."""
    return _SHARED.get(kind, f"fice_{kind}")


def folder(kind: str) -> str:
    """The folder of a kind of network, relative to ComfyUI's models."""
    return _SHARED.get(kind, f"fice/{kind}")


def register_folders() -> None:
    """Register models/fice/generator and the others with ComfyUI; known paths stay."""
    for kind in CONTENTS:
        if kind == "clip":
            continue  # ComfyUI's own
        name = folder_name(kind)
        place = os.path.join(folder_paths.models_dir, *folder(kind).split("/"))
        paths, suffixes = folder_paths.folder_names_and_paths.get(name, ([], set()))
        paths = paths if place in paths else [*paths, place]
        # Without extensions ComfyUI lists every file, so they are set even if the paths are known.
        folder_paths.folder_names_and_paths[name] = (paths, set(suffixes) | _SUFFIXES)


def choices(kind: str) -> list[str]:
    """Entries of the dropdown: the demonstration model if there is one, then the user's files.

    Nothing is downloaded from here: a node has no place to ask, and ComfyUI may be offline.
    """
    files = folder_paths.get_filename_list(folder_name(kind))
    usable = [name for name in files if Path(name).suffix.lower() in _SUFFIXES]
    if kind == "sam":
        return usable
    return [DEMO, *usable]


def missing(kind: str, name: str) -> str | None:
    """The error message if there is no such file, else None."""
    if name == DEMO or folder_paths.get_full_path(folder_name(kind), name):
        return None
    places = " or ".join(folder_paths.get_folder_paths(folder_name(kind)))
    otherwise = "" if kind == "sam" else f", or choose {DEMO!r}"
    return f"there is no file {name!r}: put {CONTENTS[kind]} into {places}{otherwise}"


def load(kind: str, name: str, **options: Any) -> Loaded[Any]:
    """The network of an entry of the dropdown.

    Args:
        kind: of the network.
        name: the entry.
        options: further arguments of its loader, for files of the user.

    Raises:
        FiceError: no such file, or it holds something else.
    """
    if name == DEMO:
        return demo(kind)
    complaint = missing(kind, name)
    if complaint:
        raise FiceError(complaint)
    path = folder_paths.get_full_path(folder_name(kind), name)
    return manage(lambda: _LOADERS[kind](path, **options))


def sets() -> list[str]:
    """Entries of the dropdown of sets: the demonstration models, then the folders below models/fice."""
    try:
        folders = sorted(entry.name for entry in _sets_folder().iterdir() if entry.is_dir())
    except OSError:
        folders = []
    return [DEMO_SET, *(name for name in folders if name not in CONTENTS)]


def set_folder(name: str, path: str) -> Path | None:
    """The folder of a set: `path` if it is given, else by its entry; None for the demonstration models."""
    if path.strip():
        return Path(path.strip())
    return None if name == DEMO_SET else _sets_folder() / name


def _sets_folder() -> Path:
    return Path(folder_paths.models_dir) / "fice"


def load_set(place: Path | None) -> dict[str, Loaded[Any]]:
    """The networks of a folder by kind, without an encoder if it has none; None for the demonstration.

    Raises:
        FiceError: another network is missing, or a file holds something else.
    """
    if place is None:
        return {kind: demo(kind) for kind in LOADERS}
    # all files are found before the first is read
    files = model_files(place)
    loaded = {
        kind: manage(partial(_LOADERS[kind], path))
        for kind, path in files.items()
        if kind != "encoder"
    }
    if "encoder" in files:
        average = loaded["generator"].network.w_avg
        loaded["encoder"] = manage(partial(_LOADERS["encoder"], files["encoder"], average=average))
    return loaded


@cache
def demo(kind: str) -> Loaded[Any]:
    """A demonstration network. It is small, so it is read once and kept."""
    return manage(lambda: _LOADERS[kind](DEMO_WEIGHTS / f"{kind}.safetensors"))


def mixed(loaded: Mapping[str, Loaded[Any]]) -> list[str]:
    """A warning if demonstration networks are used with a generator of the user, else nothing."""
    if loaded["generator"] is demo("generator"):
        return []
    names = [kind for kind, network in loaded.items() if network is demo(kind)]
    if not names:
        return []
    return [
        f"the generator is your own, but the demonstration model is used for {', '.join(names)}, which "
        "knows demonstration images only: connect your own"
    ]


def stamp(kind: str, name: str) -> str:
    """Text that changes when the file of the entry changes."""
    path = folder_paths.get_full_path(folder_name(kind), name)
    if path is None:
        return name
    status = os.stat(path)
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def folder_stamp(place: Path | None) -> str:
    """Text that changes when a file in the folder or in one of its folders changes."""
    if place is None:
        return DEMO_SET
    files = [path for path in (*place.glob("*"), *place.glob("*/*")) if path.is_file()]
    return " ".join(
        f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sorted(files)
    )

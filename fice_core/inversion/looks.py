"""Random codes and how CLIP sees their images: made once for every seed, and remembered on disk.

They depend on the generator, on CLIP and on the seed, but on no photo and no text. With networks of the
published sizes they take as long as an edit.
"""

import contextlib
import hashlib
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import safetensors
import torch

from ..errors import FiceError
from ..files import KIND_KEY, cache_folder, make_folder, write_safetensors
from ..networks.clip import Clip
from ..networks.digest import add_tensors
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from .critics import ImageEncoder

#: variable of the environment that names the folder on disk; "off" remembers nothing there
FOLDER = "FICE_STARTS"
_MOST_BYTES = 64 * 2**20  # of all files in the folder; the ones unused for longest go first
_FORMAT = 1  # raised whenever the same networks get other features
_KIND = "looks"
_NAME = re.compile(r"[0-9a-f]{32}\.safetensors")

OnPiece = Callable[[torch.Tensor, torch.Tensor], None]


class Drawn(NamedTuple):
    """Everything that decides the features of random codes, besides generator and CLIP."""

    seed: int
    candidates: int
    at_once: int
    uses_bfloat16: bool
    device: torch.device


# Of each generator, the last ones.
_MEMORY: WeakKeyDictionary[Generator, WeakKeyDictionary[Clip, tuple[Drawn, torch.Tensor]]] = (
    WeakKeyDictionary()
)


class RandomLooks:
    """Random codes, and CLIP's features of their images.

    Args:
        generator, clip: the networks.
        encode: CLIP's features of images, as the inversion computes them.
        drawn: what else decides the features.
        on_disk: whether they are also looked for on disk and written there. What is damaged or cannot be
            written is made anew, without a word.

    Attributes:
        codes: (M, num_ws, w_dim).
        pieces: pieces of `drawn.at_once` images that have still to be looked at; 0 if the features are
            known.
    """

    def __init__(
        self, generator: Generator, clip: Clip, encode: ImageEncoder, drawn: Drawn, on_disk: bool
    ) -> None:
        self._generator, self._clip, self._encode, self._drawn = generator, clip, encode, drawn
        rng = torch.Generator().manual_seed(drawn.seed)
        z = torch.randn(drawn.candidates, generator.z_dim, generator=rng)
        self.codes = generator.map(z.to(drawn.device))
        self._file: Path | None = None
        self._features = self._from_memory()
        if self._features is None and on_disk:
            self._file = _file_of(generator, clip, drawn)
            self._features = self._from_disk()
        self.pieces = 0 if self._features is not None else -(-drawn.candidates // drawn.at_once)

    def features(self, on_piece: OnPiece) -> torch.Tensor:
        """CLIP's features of all images, (M, D), of unit norm.

        Args:
            on_piece: called with the images of every piece, (n, 3, H, W) in [0, 1], and their features. An
                exception that it raises is passed on, and nothing is remembered.
        """
        if self._features is None:
            found = []
            with without_grad():
                for codes in self.codes.split(self._drawn.at_once):
                    images = self._generator.synthesize(codes).clamp(0, 1)
                    found.append(self._encode(images))
                    on_piece(images, found[-1])
            self._features = torch.cat(found)
            if self._file is not None:
                _write(self._file, self._features)
        known = _MEMORY.setdefault(self._generator, WeakKeyDictionary())
        known[self._clip] = self._drawn, self._features
        return self._features

    def _from_memory(self) -> torch.Tensor | None:
        known = _MEMORY.get(self._generator)
        if known is None or self._clip not in known:
            return None
        drawn, features = known[self._clip]
        return features if drawn == self._drawn else None

    def _from_disk(self) -> torch.Tensor | None:
        features = None if self._file is None else _read(self._file)
        if features is None or len(features) != self._drawn.candidates:
            return None
        return features.to(self._drawn.device)


def _file_of(generator: Generator, clip: Clip, drawn: Drawn) -> Path | None:
    """The file of these features; None if nothing is to be remembered on disk.

    Its name is a digest of the networks, of what was drawn, and of what decides the last bits of a result.
    """
    if os.environ.get(FOLDER, "").lower() == "off":
        return None
    try:
        folder = cache_folder("starts", FOLDER)
    except RuntimeError:  # the user has no home
        return None
    digest = hashlib.sha256(repr((_FORMAT, _KIND, drawn, *_computation())).encode())
    for network in (generator, clip.model.visual if isinstance(clip, Clip) else clip):
        # the text of a module has its settings, and for some an address in memory
        digest.update(re.sub(r" at 0x[0-9a-f]+", "", str(network)).encode())
        add_tensors(digest, network)
    for owner in (generator, clip):
        digest.update(repr(getattr(owner, "config", None)).encode())
    return folder / f"{digest.hexdigest()[:32]}.safetensors"


def _computation() -> list[object]:
    """What decides the last bits: version, processor and threads."""
    found: list[object] = [
        torch.__version__,
        platform.machine(),
        torch.backends.cpu.get_cpu_capability(),
        torch.get_num_threads(),
    ]
    with contextlib.suppress(RuntimeError):  # torch refuses to tell after some of its own settings
        found += [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]
    if torch.cuda.is_available():
        found += [torch.cuda.get_device_name(), torch.backends.cudnn.version()]
    return found


def _read(file: Path) -> torch.Tensor | None:
    """The features in a file; None if there is no such file, or a damaged one."""
    try:
        with torch.inference_mode(False), safetensors.safe_open(file, framework="pt") as stored:
            features: torch.Tensor = stored.get_tensor("features")
            intact = (stored.metadata() or {}).get("sha256") == _checksum(features)
    except Exception:  # a damaged header makes the reader raise anything
        return None
    with contextlib.suppress(OSError):  # nobody may write here
        os.utime(file)  # it is used
    return features if intact and features.ndim == 2 and features.isfinite().all() else None


def _write(file: Path, features: torch.Tensor) -> None:
    stored = features.detach().float().cpu().contiguous()
    if stored.nbytes > _MOST_BYTES:
        return
    with contextlib.suppress(FiceError, OSError):  # an edit needs no memory
        make_folder(file.parent)
        metadata = {KIND_KEY: _KIND, "sha256": _checksum(stored)}
        write_safetensors(file, {"features": stored}, metadata)
        _forget_old(file.parent)


def _checksum(features: torch.Tensor) -> str:
    return hashlib.sha256(features.numpy().data).hexdigest()


def _forget_old(folder: Path) -> None:
    """Remove the files that were unused for longest, until the rest is small enough."""
    files = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    used = {path: path.stat() for path in files}
    total = 0
    for path in sorted(files, key=lambda path: used[path].st_mtime, reverse=True):
        total += used[path].st_size
        if total > _MOST_BYTES:
            path.unlink(missing_ok=True)

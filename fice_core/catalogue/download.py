"""Fetches published networks from the Hugging Face Hub. Nothing else of this project opens a connection,
but open_clip where a CLIP is named by architecture and weights."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import FiceError, printable
from ..files import make_folder
from .published import Published

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 22
_ASIDE = ".download"  # folder of what is not whole yet
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def fetch(
    model: Published,
    folder: Path,
    offline: bool = False,
    bars: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """Fetch a published network; returns the file of its weights.

    A download that was cut goes on where it ended. A file that is there is compared with the Hub's and
    fetched again only if it differs. The Hub tells the SHA-256 of its large files, with which they are
    compared.

    Args:
        model: from `published`.
        folder: its files go into `folder/KIND/NAME/`.
        offline: open no connection; so does HF_HUB_OFFLINE.
        bars: show progress on stderr.
        tell: called with a line for every file.

    Raises:
        FiceError: it is not on the Hub, there is no connection, the Hub refuses, the disk is full, or the
            file is not what the Hub says it is.
    """
    if not model.repository:
        raise FiceError(
            f"{model.name} cannot be fetched by name: get {model.form} from {model.page} and put it into "
            f"{folder / model.kind}"
        )
    place = folder / model.kind / model.name
    if offline or is_offline():
        if (place / model.weights).is_file():
            tell(f"{place / model.weights}: is there; offline, so it is not compared")
            return place / model.weights
        raise FiceError(
            f"offline, so {model.name} is not fetched: get {', '.join(model.files)} from {model.page} on "
            f"another machine and put them into {place}"
        )
    hub = _library()
    make_folder(place)
    with _quiet(hub.utils, bars):
        for name in model.files:
            tell(_fetched(hub, model, name, place))
    shutil.rmtree(place / _ASIDE, ignore_errors=True)
    return place / model.weights


def is_offline() -> bool:
    """Whether the environment forbids connections, by huggingface_hub's own variables."""
    return any(
        os.environ.get(name, "").strip().upper() in {"1", "TRUE", "YES", "ON"} for name in _OFFLINE
    )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _fetched(hub: Any, model: Published, name: str, place: Path) -> str:
    """Fetch one file to `place`, under its name without folders; returns a line about it."""
    target = place / name.rpartition("/")[2]
    optional = name != model.files[0] and name != "config.json"
    try:
        address = (
            os.environ.get("HF_ENDPOINT") or None
        )  # the library reads it once, when it is imported
        url = hub.hf_hub_url(model.repository, name, endpoint=address)
        told = hub.get_hf_file_metadata(url, endpoint=address)
        expected = told.etag if told.etag and _SHA256.fullmatch(told.etag) else None
        if target.is_file() and _agrees(target, told.size, expected):
            return f"{target}: is there"
        # The library keeps the folders of the repository, and a part of a cut download, in a folder of ours.
        path = Path(
            hub.hf_hub_download(
                model.repository,
                name,
                local_dir=place / _ASIDE,
                revision=told.commit_hash or None,
                endpoint=address,
            )
        )
    except Exception as error:  # of the library, of its HTTP client, or of the file system
        missing = type(error).__name__ in ("EntryNotFoundError", "RemoteEntryNotFoundError")
        if optional and missing:
            return f"{name}: {model.repository} has no such file"
        raise FiceError(_said(error, model, name)) from error
    if not _agrees(path, told.size, expected):
        path.unlink(missing_ok=True)
        raise FiceError(
            f"{name} of {model.repository} arrived damaged (its size or SHA-256 is not the Hub's): run the "
            "command again"
        )
    os.replace(path, target)
    checked = "SHA-256 checked" if expected else "size checked"
    return f"{target}: {target.stat().st_size / 1e6:.1f} MB, {checked}"


def _agrees(path: Path, size: int | None, digest: str | None) -> bool:
    if size is not None and path.stat().st_size != size:
        return False
    return digest is None or sha256_of(path) == digest


def _said(error: Exception, model: Published, name: str) -> str:
    """One line about a failed download: whether the Hub was reached, and what to do."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    page = f"{model.page} in a browser"
    if status in (401, 403):
        return (
            f"the Hub refuses {model.repository} (HTTP {status}): accept its terms at {page}, then log in "
            "with `hf auth login`"
        )
    if status == 404 or type(error).__name__.endswith(("EntryNotFoundError", "NotFoundError")):
        return f"the Hub has no {name} in {model.repository} any more: look at {page}"
    if isinstance(error, OSError) and getattr(error, "errno", None) is not None:
        return f"cannot store {name}: {printable(error.strerror or str(error), 200)}"
    reason = printable((str(error).strip().splitlines() or [type(error).__name__])[0], 160)
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    return (
        f"cannot fetch {model.name} from {address} ({reason}): "
        f"check the connection and run the command again, or open {page}"
    )


def _library() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.utils
    except ImportError as error:
        raise FiceError(
            "downloads need the package huggingface_hub: pip install huggingface_hub"
        ) from error
    return huggingface_hub


@contextmanager
def _quiet(tools: Any, bars: bool) -> Iterator[None]:
    """A block in which the library logs errors alone, and shows progress bars only if `bars`."""
    verbosity, hide = (
        tools.logging.get_verbosity(),
        not bars and not tools.are_progress_bars_disabled(),
    )
    tools.logging.set_verbosity_error()
    if hide:
        tools.disable_progress_bars()
    try:
        yield
    finally:
        tools.logging.set_verbosity(verbosity)
        if hide:
            tools.enable_progress_bars()

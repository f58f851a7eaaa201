"""Settings of a CLIP model and where they come from."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import FiceError, printable

_MAX_JSON = 64 << 20  # bytes; the largest tokenizer, SigLIP 2's, has 34 million


@dataclass(frozen=True)
class ClipSettings:
    """Settings of a CLIP model.

    Attributes:
        config: arguments of `Clip`, without a tokenizer.
        source: where they come from, in a few words.
        assumed: what no file says and is taken for granted, in a few words each.
        tokenizer: hub name of the tokenizer, "" if it has none; None for CLIP's byte pairs.
        clean: open_clip's name of what the tokenizer does to a text first.
        strips_separator: whether the tokenizer's separator becomes 0.
    """

    config: dict[str, Any]
    source: str
    assumed: list[str] = field(default_factory=list)
    tokenizer: str | None = None
    clean: str = "whitespace"
    strips_separator: bool = False


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if there is no such file or it holds something else."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_JSON:
            return None
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def channel_values(values: Any, name: str, source: str) -> list[float]:
    """A mean or standard deviation of the colours, one number for each of three channels.

    Args:
        values: what a configuration says.
        name: "mean" or "std".
        source: the name of the configuration.

    Raises:
        FiceError: it is no such thing.
    """
    numbers = [
        float(value) if isinstance(value, int | float) else math.nan
        for value in (values if isinstance(values, list | tuple) else ())
    ]
    lowest = 1e-3 if name == "std" else -10.0
    if len(numbers) != 3 or not all(lowest <= value <= 10.0 for value in numbers):
        raise FiceError(
            f"{source}: the {name} of the images is {printable(str(values), 60)}; three "
            f"{'positive ' if name == 'std' else ''}numbers were expected, of levels from 0 to 1"
        )
    return numbers


def read_tokenizer(settings: ClipSettings, folder: Path) -> dict[str, Any]:
    """Arguments of `StoredTokenizer` from the files of a hub download.

    Args:
        settings: those of the CLIP model.
        folder: where `tokenizer.json` and `tokenizer_config.json` are.

    Raises:
        FiceError: they are missing or do not say how rows are padded.
    """
    description = read_json(folder / "tokenizer.json")
    if description is None:
        name = f" ({settings.tokenizer})" if settings.tokenizer else ""
        raise FiceError(
            f"it reads texts with a tokenizer of its own{name}, not with CLIP's byte pairs: put "
            "tokenizer.json and tokenizer_config.json of its download beside it"
        )
    options: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        options |= read_json(folder / name) or {}
    ids = _token_ids(description)

    def id_of(token: str) -> int | None:
        value = options.get(f"{token}_token")
        return ids.get(str(value.get("content") if isinstance(value, dict) else value))

    pad_id = id_of("pad")
    if pad_id is None:
        raise FiceError(
            "its tokenizer does not say how texts are padded: put tokenizer_config.json of its "
            "download beside it"
        )
    return {
        "description": (folder / "tokenizer.json").read_text(encoding="utf-8"),
        "pad_id": pad_id,
        "clean": settings.clean,
        "left": options.get("padding_side") == "left",
        "zeroed": id_of("sep") if settings.strips_separator else None,
    }


def _token_ids(description: dict[str, Any]) -> dict[str, int]:
    """Ids of the tokens that `tokenizer.json` adds or has in its vocabulary."""
    model = description.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    ids: dict[str, int] = {}
    if isinstance(vocabulary, dict):
        ids |= vocabulary
    elif isinstance(vocabulary, list):  # of pairs (token, score)
        ids |= {str(pair[0]): i for i, pair in enumerate(vocabulary) if isinstance(pair, list)}
    added = description.get("added_tokens")
    for token in added if isinstance(added, list) else []:
        if isinstance(token, dict):
            ids[str(token.get("content"))] = token.get("id", 0)
    return ids

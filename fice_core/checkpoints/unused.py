"""Tensors of a file that the built network does not use.

A tensor inside a part of the network means that the file computes something else than what was built, so
it is refused. A part of its own beside the network is told. What training, detection and loading leave in
published files is neither.
"""

import re
from collections.abc import Iterable

from ..errors import FiceError
from ..networks.densepose import UNUSED as DETECTION

# Tensors that never change what is computed, by the kind of network.
_CONFIDENCES = tuple(name for name in DETECTION if "densepose_predictor" in name)
_HARMLESS = {
    "generator": r".*\.resample_filter|.*\.(blur|upsample)\.kernel",
    "encoder": r"latent_avg",
    "densepose": "|".join(f"{re.escape(name)}.*" for name in DETECTION if name not in _CONFIDENCES),
    "segmenter": r"(loss|aux_classifier)\..*",
    "segformer": r"auxiliary_head\..*",
    "clip": r"input_resolution|context_length|vocab_size|(.*\.)?(attn_mask|position_ids|logit_bias)",
    "sam": r"pixel_(mean|std)",
}
_TOLD = {"densepose": "|".join(f"{re.escape(name)}.*" for name in _CONFIDENCES)}
# Parts of a network under the names of another layout, of which nothing may stay untranslated.
_PARTS = {
    "clip": {"text_model", "vision_model", "text", "visual_projection"},
    "generator": {"conv1", "convs", "to_rgb1", "to_rgbs", "style", "input", "noises"},
}
_COUNTERS = r".*\.num_batches_tracked|(.*\.)?n_averaged"
_SHOWN = 3


def check_unused(kind: str, stored: Iterable[str], used: Iterable[str], source: str) -> str | None:
    """A note of tensors that are not used, or None.

    Args:
        kind: one of `native.NETWORKS`.
        stored: keys of the file's tensors, below the prefix of the network.
        used: keys of the network's state dict.
        source: the file's name, for messages.

    Raises:
        FiceError: the network does not compute what the file's does.
    """
    used = set(used)
    harmless = re.compile(f"{_COUNTERS}|{_HARMLESS[kind]}")
    unused = [key for key in stored if key not in used and not harmless.fullmatch(key)]
    if not unused:
        return None
    parts = {key.split(".")[0] for key in used} | _PARTS.get(kind, set())
    told = re.compile(_TOLD.get(kind, r"(?!)"))
    inside = [key for key in unused if key.split(".")[0] in parts and not told.fullmatch(key)]
    if inside:
        raise FiceError(
            f"{source}: this {kind} has {_listed(inside)} that the architecture known here does not have; "
            "without them it would compute something else, so it is refused"
        )
    return f"has {_listed(unused)} that are not used"


def _listed(keys: list[str]) -> str:
    names = ", ".join(keys[:_SHOWN])
    return f"{len(keys)} tensors ({names}{', ...' if len(keys) > _SHOWN else ''})"

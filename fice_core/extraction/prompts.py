"""What a line of text asks for: one prompt, or several with weights, and what to move away from."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..errors import FiceError
from ..networks.clip import Clip
from ..ops.autograd import without_grad

_WEIGHTED = re.compile(r"\(\s*(.*?)\s*:\s*([-+]?[0-9.]+)\s*\)", re.DOTALL)
_HINT = "describe the garment, as in 'a red striped shirt'"
_VANISHED = 1e-4  # length of a sum of unit vectors below which its direction means nothing


class Phrase(NamedTuple):
    """One prompt and how much it counts beside the others of its line."""

    text: str
    weight: float


def lines_of(text: str) -> list[str]:
    """The prompts of a text box, one a line, without blank lines.

    Raises:
        FiceError: nothing is left.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise FiceError(f"the prompt is empty: {_HINT}")
    return lines


def parse(line: str) -> list[Phrase]:
    """The prompts of a line, separated by "|"; "(text:1.5)" gives one a weight other than 1.

    Raises:
        FiceError: a prompt is empty, or a weight is negative or no number.
    """
    phrases = []
    for piece in line.split("|"):
        text, weight = piece.strip(), 1.0
        found = _WEIGHTED.fullmatch(text)
        if found:
            text, weight = found[1], _number(found[2], piece)
        if not text:
            raise FiceError(f"the prompt is empty: {_HINT}")
        phrases.append(Phrase(text, weight))
    return phrases


def encode(
    clip: Clip, lines: Sequence[str], negative: str = "", negative_weight: float = 0.5
) -> torch.Tensor:
    """Unit-norm features (M, D), one row a line: the weighted sum of its prompts' features.

    Args:
        lines: see `parse`.
        negative: a prompt to move away from, in the same notation; its features are subtracted.
        negative_weight: how much of them, against 1 for the line itself; 0 leaves it out.

    Raises:
        FiceError: an empty or overlong prompt, or prompts that cancel one another out.
    """
    with without_grad():
        features = torch.stack([_direction(clip, line) for line in lines])
        if not negative.strip() or not negative_weight:
            return features
        away = features - negative_weight * _direction(clip, negative)
        if float(away.norm(dim=1).min()) < _VANISHED:
            raise FiceError(
                f"the negative prompt {negative!r} cancels a prompt out: they ask for the same"
            )
        return F.normalize(away, dim=1)


def unknown_words(clip: Clip, lines: Sequence[str]) -> list[str]:
    """One warning for every prompt with words that the network has never seen."""
    texts = dict.fromkeys(phrase.text for line in lines for phrase in parse(line))
    found = {text: clip.unknown_words(text) for text in texts}
    return [
        f"these words of {text!r} are unknown and ignored: {', '.join(words)}"
        for text, words in found.items()
        if words
    ]


def _direction(clip: Clip, line: str) -> torch.Tensor:
    """The line's unit-norm feature, (D,)."""
    phrases = parse(line)
    features = clip.encode_text([phrase.text for phrase in phrases])
    if len(phrases) == 1 and phrases[0].weight > 0:
        return features[0]  # not touched by arithmetic, which could change its last bit
    weights = torch.tensor([p.weight for p in phrases], device=features.device)
    mean = weights @ features
    if float(mean.norm()) < _VANISHED:
        raise FiceError(f"the prompts of {line!r} cancel out: raise one of their weights")
    return F.normalize(mean, dim=0)


def _number(text: str, piece: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value < 0:
        raise FiceError(
            f"the weight in {piece.strip()!r} must be a number >= 0, as in '(a red shirt:1.5)'"
        )
    return value

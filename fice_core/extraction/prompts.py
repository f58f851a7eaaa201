"""Features of prompts: weighted combinations and negative prompts."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..errors import FiceError
from ..networks.clip import Clip
from ..networks.tokenizer import WordTokenizer, split_words
from ..ops.autograd import without_grad

_WEIGHTED = re.compile(r"\(\s*(.*?)\s*:\s*([-+]?[0-9.]+)\s*\)", re.DOTALL)
#: What texts are called in messages: wherever they come from, an option, a column or an input of a node.
PROMPT, NEGATIVE, WORN = "prompt", "negative prompt", "text of what is worn"
_HINT = "describe the garment, as in 'a red striped shirt'"
# Known to the demonstration models, but no description.
_FUNCTION_WORDS = {"a", "an", "and", "in", "is", "of", "on", "one", "the", "with", "without"}
_FUNCTION_WORDS |= {"he", "she", "someone", "wearing", "wears"}
_MAX_WEIGHT = 1000
_WEIGHT = f"a number from 0 to {_MAX_WEIGHT} in plain digits, as in '(a red shirt:1.5)'"
_WEIGHTS = "a weight is for a whole prompt in brackets, as in '(a red shirt:1.5)'"
# Notations of other programs, which are read as text here, and what is said of them.
_FOREIGN = (
    (re.compile(r"\([^()]*:\s*[-+]?\d+,\d*\s*\)"), f"the weight has a comma: {_WEIGHTS}"),
    (re.compile(r"\([^()]*:\s*[-+]?[\d.]+\s*\)"), f"the weight is for some words: {_WEIGHTS}"),
    (re.compile(r":\s*\d*\.\d+\s*$"), f"the weight has no brackets: {_WEIGHTS}"),
    (re.compile(r"\(\([^()]*\)\)|\[[^\[\]]*\]"), f"brackets stress no word: {_WEIGHTS}"),
    (re.compile(r"<[^<>:]+:[^<>]*>"), "<...> adds no network: describe the garment"),
    (re.compile(r"\([^()]*:[^()]*\)"), f"the weight after the colon must be {_WEIGHT}"),
    (re.compile(r"::|(?<!\S)--\w"), "'::' and '--' set nothing: describe the garment"),
    (re.compile(r"\bembedding:|__\w+__"), "no other text is put in: describe the garment"),
    (re.compile(r"(?<!\S)(?:BREAK|AND)(?!\S)"), "BREAK and AND separate nothing: '|' does"),
)
_CHOICE = re.compile(r"\{[^{}]*\}")
_MAX_SEARCHED = 2000  # characters of a prompt in which notations are looked for
_MAX_SHOWN = 200  # characters of a prompt in a message
_MIN_LENGTH = 1e-4  # of a sum of unit vectors; the direction of a shorter one is arbitrary


class Phrase(NamedTuple):
    """One prompt of a line and its weight relative to the others."""

    text: str
    weight: float


def lines_of(text: str) -> list[str]:
    """The lines of a text box without the blank ones.

    Raises:
        FiceError: all lines are blank.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise FiceError(f"the prompt is empty: {_HINT}")
    return lines


def parse(line: str, name: str = PROMPT) -> list[Phrase]:
    """The prompts of a line, separated by "|"; "(text:1.5)" sets a weight other than 1.

    Args:
        line: one text.
        name: what it is called in messages.

    Raises:
        FiceError: a prompt is empty, a weight is no number from 0 to 1000, or there is a control character
            other than a tab or a line break.
    """
    _check_characters(line, name)
    phrases = []
    for piece in line.split("|"):
        text, weight = piece.strip(), 1.0
        match = _WEIGHTED.fullmatch(text)
        if match and _is_balanced(match[1]):
            text, weight = match[1], _number(match[2], piece)
        if not text:
            raise FiceError(f"the {name} is empty: {_HINT}")
        phrases.append(Phrase(text, weight))
    return phrases


def _check_characters(line: str, name: str) -> None:
    """Refuse what no text has.

    Raises:
        FiceError: there is a control character other than a tab or a line break, or a lone surrogate.
    """
    for character in line:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r":
            what = "a null character" if character == "\0" else "a control character"
            raise FiceError(f"the {name} {_quoted(line)} has {what}, {character!a}: delete it")


def encode(
    clip: Clip,
    lines: Sequence[str],
    negative: str = "",
    negative_weight: float = 0.5,
    name: str = PROMPT,
) -> torch.Tensor:
    """Unit-norm features (M, D), one row per line: the normalised weighted sum of its prompts' features.

    Args:
        clip: the CLIP model.
        lines: see `parse`.
        negative: a prompt to move away from, in the same notation; its feature is subtracted.
        negative_weight: its weight, where the line has weight 1; 0 ignores it.
        name: what a line is called in messages.

    Raises:
        FiceError: a prompt is empty, too long or of unknown words only, or prompts cancel each other out.
    """
    with without_grad():
        features = torch.stack([_direction(clip, line, name) for line in lines])
        if not negative.strip() or not negative_weight:
            return features
        away = features - negative_weight * _direction(clip, negative, NEGATIVE)
        if float(away.norm(dim=1).min()) < _MIN_LENGTH:
            raise FiceError(
                f"the negative prompt {_quoted(negative)} cancels a prompt out: they mean the same"
            )
        return F.normalize(away, dim=1)


def remarks(clip: Clip, lines: Sequence[str], negative: str = "", worn: str = "") -> list[str]:
    """Warnings about texts: foreign notation, brackets that do not match, unknown words.

    Args:
        clip: the CLIP model.
        lines: the prompts.
        negative, worn: the negative prompt and the text of what is worn; they may be empty.
    """
    others = {name: text for name, text in ((NEGATIVE, negative), (WORN, worn)) if text.strip()}
    said = notation(lines)
    for name, text in others.items():
        said += notation([text], name)
    return [*said, *unknown_words(clip, [*lines, *others.values()])]


def notation(lines: Sequence[str], name: str = PROMPT) -> list[str]:
    """One warning for every line with a notation of another program, or with unmatched brackets.

    All of it is read as text. `name` is what a line is called.
    """
    found = {line: _said_of(line) for line in lines}
    return [f"in the {name} {_quoted(line)} {said}" for line, said in found.items() if said]


def _said_of(line: str) -> str | None:
    if _CHOICE.search(line):
        return "braces choose nothing: give a prompt for every choice"
    texts = [phrase.text for phrase in parse(line)]
    if not all(map(_is_balanced, texts)):
        return f"the brackets do not match: {_WEIGHTS}"
    for text in texts:
        shown = text[:_MAX_SEARCHED].lower() if text.isupper() else text[:_MAX_SEARCHED]
        for pattern, said in _FOREIGN:
            if pattern.search(shown):
                return said
    return None


def _is_balanced(text: str) -> bool:
    """Whether every bracket of a text is closed by one of its kind."""
    expected: list[str] = []
    for character in text:
        if character in "([{":
            expected.append(")]}"["([{".index(character)])
        elif character in ")]}" and (not expected or expected.pop() != character):
            return False
    return not expected


def unknown_words(clip: Clip, lines: Sequence[str]) -> list[str]:
    """One warning for every prompt with words that are not in the network's vocabulary."""
    texts = dict.fromkeys(phrase.text for line in lines for phrase in parse(line))
    unknown = {text: clip.unknown_words(text) for text in texts}
    return [
        f"these words of {_quoted(text)} are unknown and ignored: {_cut(', '.join(words))}"
        for text, words in unknown.items()
        if words
    ]


def _quoted(text: str) -> str:
    return repr(_cut(text))


def _cut(text: str) -> str:
    """A text, without its end if it is long, for a message."""
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _direction(clip: Clip, line: str, name: str) -> torch.Tensor:
    """Unit-norm feature of a line, (D,)."""
    phrases = parse(line, name)
    features = clip.encode_text([phrase.text for phrase in phrases])
    for phrase in phrases:
        _check_known(clip, phrase.text, name)
    if len(phrases) == 1 and phrases[0].weight > 0:
        return features[0]  # normalising it again could change its last bit
    weights = torch.tensor([p.weight for p in phrases], device=features.device)
    mean = weights @ features
    if float(mean.norm()) < _MIN_LENGTH:
        raise FiceError(
            f"the parts of the {name} {_quoted(line)} cancel out: raise one of their weights"
        )
    return F.normalize(mean, dim=0)


def _check_known(clip: Clip, text: str, name: str) -> None:
    """Refuse a text of which a closed vocabulary leaves nothing; it would be edited as the empty text.

    Raises:
        FiceError: the demonstration CLIP knows no word that says something.
    """
    if not isinstance(getattr(clip, "tokenizer", None), WordTokenizer):
        return
    if not set(split_words(text)) - set(clip.unknown_words(text)) - _FUNCTION_WORDS:
        raise FiceError(
            f"the demonstration models know no word of the {name} {_quoted(text)}: {_HINT}, in English"
        )


def _number(text: str, piece: str) -> float:
    """The weight in `text`; FiceError quotes `piece` if it is no weight."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _MAX_WEIGHT:
        raise FiceError(f"the weight in {_quoted(piece.strip())} must be {_WEIGHT}")
    return value

"""English captions for demonstration figures, in varied wording, and the words that they use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import torch
from skimage.color import rgb2lab
from torch import Tensor

from ..networks.tokenizer import split_words
from .attributes import (
    COLOURS,
    NECKLINES,
    PATTERNS,
    SLEEVES,
    Attributes,
    neckline_class,
    pattern_class,
    sleeve_class,
)

CONTEXT_LENGTH = 28

#: spellings of each colour; the first is its name
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "grey": ("grey", "gray"),
    "teal": ("teal", "turquoise"),
    "purple": ("purple", "violet"),
}
_PATTERN_BEFORE = {
    "plain": ("", "", "plain", "solid"),
    "stripes": ("striped", "stripy"),
    "dots": ("polka dot", "dotted", "spotted"),
    "checks": ("checked", "plaid", "gingham", "checkered"),
    "print": ("graphic", "printed", "graphic print"),
}
_PATTERN_AFTER = {
    "plain": ("", "without a pattern", "in one colour"),
    "stripes": ("with stripes", "with horizontal stripes"),
    "dots": ("with dots", "with polka dots", "with spots"),
    "checks": ("with checks", "with a check pattern"),
    "print": ("with a graphic print", "with a print", "with a print on the chest"),
}
_NOUNS = {
    "sleeveless": ("tank top", "sleeveless top", "sleeveless shirt", "tank"),
    "short": (
        "t-shirt",
        "tee",
        "short sleeve shirt",
        "short-sleeved top",
        "short sleeve top",
        "tshirt",
    ),
    "long": ("long sleeve shirt", "long-sleeved top", "long sleeve top", "long sleeve tee"),
    "sweater": ("sweater", "long sleeve sweater", "jumper", "knitted sweater", "pullover"),
    "any": ("shirt", "top", "garment"),
}
_NECK_BEFORE = {
    "crew": ("crew neck", "round neck"),
    "v": ("v-neck", "v neck"),
    "collar": ("collared",),
}
_NECK_AFTER = {
    "crew": ("with a round neck", "with a crew neckline"),
    "v": ("with a v-neck", "with a v neckline"),
    "collar": ("with a collar", "with a collar and buttons"),
}
_OPENINGS = (
    "", "", "a", "a", "a", "a person in a", "a person wearing a", "someone wearing a",
    "a photo of a person wearing a", "a woman in a", "a man in a", "a picture of a", "she wears a",
    "he is wearing a", "wearing a",
)  # fmt: skip


def nearest_colour(rgb: Tensor) -> tuple[list[str], Tensor]:
    """Names of the nearest of the twelve colours in CIELAB, and by how much nearer than the second.

    rgb (N, 3) in [0, 1] -> N names, margins (N,) in CIELAB units (CIE 1976 distance).
    """
    names = list(COLOURS)
    table = torch.from_numpy(
        rgb2lab(torch.tensor(list(COLOURS.values()), dtype=torch.float64).numpy())
    )
    lab = torch.from_numpy(rgb2lab(rgb.double().numpy()))
    nearest, index = torch.cdist(lab, table).topk(2, largest=False)
    return [names[i] for i in index[:, 0]], (nearest[:, 1] - nearest[:, 0]).to(rgb)


@dataclass(frozen=True)
class Wording:
    """Captions and what each says: `mentions` (M, 5) int64, the class index of colour, pattern, sleeve,
    neckline and knit (0 jersey, 1 sweater), -1 where the caption is silent."""

    texts: list[str]
    mentions: Tensor

    def truth(self, figures: Tensor) -> tuple[Tensor, Tensor]:
        """Which captions are true of which figures, by their `classes` (N, 5).

        Returns (M, N) bool tensors: `true` where all that is mentioned holds, `false` where something
        mentioned does not. Neither is set where a figure is undecided in something mentioned.
        """
        said = self.mentions[:, None] >= 0
        same = self.mentions[:, None] == figures[None]
        undecided = figures[None] < 0
        return (same | ~said).all(-1), (said & ~same & ~undecided).any(-1)


def classes(attributes: Attributes) -> Tensor:
    """(N, 5) int64: colour, pattern, sleeve, neckline, knit; -1 where a figure is undecided."""
    names, margins = nearest_colour(attributes.colour)
    colour = torch.tensor([list(COLOURS).index(name) for name in names])
    colour = torch.where(margins > 4, colour, torch.full_like(colour, -1))
    knit = torch.where(attributes.knit > 0.7, 1, torch.where(attributes.knit < 0.3, 0, -1))
    return torch.stack(
        [
            colour,
            pattern_class(attributes),
            sleeve_class(attributes),
            neckline_class(attributes),
            knit,
        ],
        1,
    )


class _Dice:
    """Choices from an explicit generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def one(self, options: tuple[str, ...]) -> str:
        return options[int(torch.randint(len(options), (), generator=self.generator))]

    def chance(self, p: float) -> bool:
        return float(torch.rand((), generator=self.generator)) < p


def _sentence(figure: list[int], dice: _Dice) -> tuple[str, list[int]]:
    """One caption for a figure of these `classes`, and what it mentions."""
    colour, pattern, sleeve, neck, knit = figure
    mentions = [-1] * 5
    kind = "any"
    if sleeve >= 0 and dice.chance(0.92):
        kind, mentions[2] = SLEEVES[sleeve], sleeve
        if knit == 1 and kind == "long":
            kind, mentions[4] = "sweater", 1
    noun = dice.one(_NOUNS[kind])
    before: list[str] = []
    after: list[str] = []
    if colour >= 0 and dice.chance(0.94):
        name = list(COLOURS)[colour]
        before.append(dice.one(COLOUR_WORDS.get(name, (name,))))
        mentions[0] = colour
    if pattern >= 0 and dice.chance(0.92):
        name = PATTERNS[pattern]
        words = (
            dice.one(_PATTERN_BEFORE[name]) if dice.chance(0.65) else dice.one(_PATTERN_AFTER[name])
        )
        (after if words.startswith(("with", "in ")) else before).append(words)
        mentions[1] = pattern if words else -1
    if neck >= 0 and dice.chance(0.35):
        name = NECKLINES[neck]
        if dice.chance(0.5):
            before.append(dice.one(_NECK_BEFORE[name]))
        else:
            after.append(dice.one(_NECK_AFTER[name]))
        mentions[3] = neck
    if kind == "any" and sleeve >= 0 and dice.chance(0.5):
        after.append(
            {0: "without sleeves", 1: "with short sleeves", 2: "with long sleeves"}[sleeve]
        )
        mentions[2] = sleeve
    if dice.chance(0.25):
        before.reverse()
    text = " ".join(word for word in (dice.one(_OPENINGS), *before, noun, *after) if word)
    return re.sub(r"\ba (?=[aeiou])", "an ", text), mentions


def wording(attributes: Attributes, generator: torch.Generator, each: int = 1) -> Wording:
    """`each` captions for every figure, in order, with what they say."""
    dice = _Dice(generator)
    pairs = [_sentence(row, dice) for row in classes(attributes).tolist() for _ in range(each)]
    return Wording(
        [text for text, _ in pairs], torch.tensor([said for _, said in pairs]).reshape(-1, 5)
    )


def captions(attributes: Attributes, generator: torch.Generator, each: int = 1) -> list[list[str]]:
    """`each` captions for every figure, true to it: what is only half there is not mentioned."""
    texts = wording(attributes, generator, each).texts
    return [texts[i : i + each] for i in range(0, len(texts), each)]


def prompt(colour: str, pattern: str, sleeve: str) -> str:
    """The plain prompt for a wish: "a red striped long sleeve shirt"."""
    noun = {"sleeveless": "tank top", "short": "t-shirt", "long": "long sleeve shirt"}[sleeve]
    words = " ".join(
        word
        for word in (
            colour,
            _PATTERN_BEFORE[pattern][-1] if pattern == "plain" else _PATTERN_BEFORE[pattern][0],
            noun,
        )
        if word
    )
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word that captions are made of, sorted: what the demonstration CLIP knows."""
    tables = (_PATTERN_BEFORE, _PATTERN_AFTER, _NOUNS, _NECK_BEFORE, _NECK_AFTER)
    phrases = [p for table in tables for options in table.values() for p in options]
    phrases += [*_OPENINGS, *COLOURS, *(w for ws in COLOUR_WORDS.values() for w in ws)]
    phrases += ["an", "without sleeves", "with short sleeves", "with long sleeves"]
    return tuple(sorted({word for phrase in phrases for word in split_words(phrase)}))

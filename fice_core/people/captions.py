"""English captions for people, true to them and in varied wording."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
from skimage.color import rgb2lab

from . import wording as w
from .attributes import NECKLINES, PATTERNS, Person
from .colours import COLOURS
from .maths import Array

CLEAR = 4.0  # CIELAB units by which a colour's name must be nearer than the next one
FAINT = 0.015  # strength of a pattern below which it is not seen, even white on black


@dataclass(frozen=True)
class Facts:
    """What can be said of a person's garments; None where it is between two kinds."""

    colour: str | None
    pattern: str | None
    sleeve: str | None
    neckline: str | None
    kind: str | None
    fabric: str | None
    lower: str | None
    lower_colour: str | None
    gender: int | None


NOTHING = Facts(*[None] * len(fields(Facts)))


@cache
def _table() -> Array:
    return np.asarray(rgb2lab(np.array(list(COLOURS.values()))))


def colour_name(rgb: Array) -> tuple[str, float]:
    """The nearest of the twelve colours in CIELAB to an sRGB colour, and by how much it is nearer."""
    distance = np.linalg.norm(_table() - rgb2lab(np.asarray(rgb, float)[None]), axis=1)
    order = np.argsort(distance)
    return list(COLOURS)[int(order[0])], float(distance[order[1]] - distance[order[0]])


def _clear_colour(rgb: Array) -> str | None:
    name, margin = colour_name(rgb)
    return name if margin > CLEAR else None


def _between(value: float, low: float = 0.15, high: float = 0.75) -> bool | None:
    """False below `low`, True above `high`, None between."""
    return True if value > high else False if value < low else None


def _sleeve(length: float) -> str | None:
    for name, low, high in zip(
        w.SLEEVES, (-1, 0.15, 0.56, 0.90), (0.06, 0.46, 0.75, 2), strict=True
    ):
        if low <= length <= high:
            return name
    return None


def facts(person: Person) -> Facts:
    """What is plainly true of a person."""
    top, texture = person.top, person.top_texture
    strongest = int(texture.pattern.argmax())
    present = _between(float(texture.pattern[strongest]), FAINT, 0.75)
    pattern = None if present is None else PATTERNS[strongest] if present else "plain"
    sleeve = _sleeve(top.sleeve)
    best = int(top.neckline.argmax())
    neckline = NECKLINES[best] if top.neckline[best] > 0.75 else None
    if neckline == "collar" and top.collar < 0.75:
        neckline = None
    feminine = _between(person.body.feminine, 0.1, 0.9)
    gender = None if feminine is None else int(feminine)
    satin, knit = _between(top.gloss), _between(top.knit)
    fabric = (
        "satin"
        if satin
        else "knit"
        if knit
        else None
        if satin is None or knit is None
        else "cotton"
    )
    bottom = person.bottom
    skirt, denim = _between(bottom.skirt), _between(bottom.denim)
    lower = (
        "skirt"
        if skirt
        else None
        if skirt is None or denim is None
        else "jeans"
        if denim
        else "trousers"
    )
    kind = _kind(person, sleeve, gender)
    return Facts(
        colour=_clear_colour(texture.colour),
        pattern=pattern,
        sleeve=sleeve,
        neckline=neckline,
        kind=kind,
        fabric=fabric,
        lower=None if kind == "dress" or top.dress > 0.1 else lower,
        lower_colour=_clear_colour(person.bottom_texture.colour) if lower != "jeans" else "blue",
        gender=gender,
    )


def _kind(person: Person, sleeve: str | None, gender: int | None) -> str | None:
    top = person.top
    dress, collar, knit = _between(top.dress), _between(top.collar), _between(top.knit)
    if dress or dress is None:
        return "dress" if dress else None
    if collar is None or knit is None:
        return None
    if collar:
        polo = _between(1 - top.closure, 0.1, 0.4)
        if polo is None:
            return None
        return "polo" if polo else "blouse" if gender == 1 else "shirt"
    if knit:
        hood = _between(top.hood)
        return None if hood is None else "hoodie" if hood else "sweater"
    return w.BY_SLEEVE.get(sleeve or "")


class _Dice:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def one(self, options: tuple[str, ...]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, p: float) -> bool:
        return float(self.rng.random()) < p


def _implied(kind: str, sleeve: str | None) -> bool:
    """Whether the kind's words already tell the sleeve."""
    return kind in w.BY_SLEEVE.values() or (kind in ("sweater", "hoodie") and sleeve == "long")


def _noun(known: Facts, dice: _Dice, said: dict[str, Any]) -> tuple[str, str | None]:
    """A word for the garment, and the kind that its reader may take as known."""
    if known.kind is None or not dice.chance(0.88):
        return ("garment" if known.kind == "dress" else dice.one(w.ANY_KIND)), None
    noun = dice.one(w.KINDS[known.kind])
    if noun in w.LOOSE:
        if sleeve := w.LOOSE[noun]:
            said["sleeve"] = sleeve
    else:
        said["kind"] = known.kind
    return noun, known.kind


def told(known: Facts, rng: np.random.Generator) -> tuple[str, Facts]:
    """One caption, and the facts that it tells; each fact is told or left out by chance."""
    dice = _Dice(rng)
    said: dict[str, Any] = {}
    before: list[str] = []
    after: list[str] = []

    def tell(field: str, words: str, place: list[str]) -> None:
        if words:
            place.append(words)
            said[field] = getattr(known, field)

    noun, kind = _noun(known, dice, said)
    if known.colour and dice.chance(0.92):
        name = dice.one(w.COLOUR_WORDS[known.colour]) if dice.chance(0.4) else known.colour
        tell("colour", name, before)
    if known.pattern and dice.chance(0.9):
        if dice.chance(0.65):
            tell("pattern", dice.one(w.PATTERN_BEFORE[known.pattern]), before)
        else:
            tell("pattern", dice.one(w.PATTERN_AFTER[known.pattern]), after)
    if known.sleeve and not (kind and _implied(kind, known.sleeve)) and dice.chance(0.6):
        index = w.SLEEVES.index(known.sleeve)
        if dice.chance(0.5):
            tell("sleeve", dice.one(w.SLEEVE_BEFORE[index]), before)
        else:
            tell("sleeve", dice.one(w.SLEEVE_AFTER[index]), after)
    if known.neckline and kind not in ("hoodie", "shirt", "blouse", "polo") and dice.chance(0.35):
        if dice.chance(0.5):
            tell("neckline", dice.one(w.NECK_BEFORE[known.neckline]), before)
        else:
            tell("neckline", dice.one(w.NECK_AFTER[known.neckline]), after)
    if known.fabric and dice.chance(0.3) and "knit" not in noun:
        tell("fabric", dice.one(w.FABRICS[known.fabric]), before)
    if known.lower and dice.chance(0.25):
        words, coloured = _lower_words(known, dice)
        tell("lower", "and " + words, after)
        if coloured:
            said["lower_colour"] = coloured
    if dice.chance(0.2):
        before.reverse()
    opening = dice.one(w.OPENINGS)
    if known.gender is not None and dice.chance(0.25):
        opening = dice.one(w.GENDERED[known.gender])
        said["gender"] = known.gender
    text = " ".join(word for word in (opening, *before, noun, *after) if word)
    return re.sub(r"\ba (?=[aeiou])", "an ", text), replace(NOTHING, **said)


def caption(known: Facts, rng: np.random.Generator) -> str:
    """One caption; each fact is told or left out by chance."""
    return told(known, rng)[0]


def _lower_words(known: Facts, dice: _Dice) -> tuple[str, str | None]:
    """Words for the lower garment, and its colour if they name it."""
    assert known.lower is not None
    words = dice.one(w.LOWERS[known.lower])
    if not known.lower_colour or not dice.chance(0.6):
        return words, None
    if known.lower == "skirt":
        return f"a {known.lower_colour} skirt", known.lower_colour
    return f"{known.lower_colour} {words}", known.lower_colour


def captions(person: Person, rng: np.random.Generator, each: int = 1) -> list[str]:
    """`each` captions of a person, true to it: what is only half there is not mentioned."""
    known = facts(person)
    return [caption(known, rng) for _ in range(each)]


def prompt(colour: str, pattern: str, sleeve: str, dress: bool = False) -> str:
    """The plain prompt for a wish: "a red striped long sleeve top"; `sleeve` is one of `wording.SLEEVES`."""
    index = w.SLEEVES.index(sleeve)
    kind = w.BY_SLEEVE.get(sleeve)
    name = w.KINDS[kind][0] if kind else f"{w.SLEEVE_BEFORE[index][0]} top"
    noun = f"{w.SLEEVE_BEFORE[index][-1]} dress" if dress else name
    adjective = "plain" if pattern == "plain" else w.PATTERN_BEFORE[pattern][0]
    text = f"a {colour} {adjective} {noun}"
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word that captions are made of, lower case, sorted."""
    tables = (
        w.COLOUR_WORDS, w.PATTERN_BEFORE, w.PATTERN_AFTER, w.KINDS, w.NECK_BEFORE, w.NECK_AFTER,
        w.FABRICS, w.LOWERS,
    )  # fmt: skip
    phrases = [p for table in tables for options in table.values() for p in options]
    for group in (
        *w.SLEEVE_BEFORE,
        *w.SLEEVE_AFTER,
        *w.GENDERED,
        w.OPENINGS,
        w.ANY_KIND,
        tuple(COLOURS),
    ):
        phrases += group
    phrases += ["an", "and", "a skirt"]
    return tuple(sorted({word for phrase in phrases for word in re.findall(r"[a-z]+", phrase)}))

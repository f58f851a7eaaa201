"""Where photos and texts come from: data sets, or the people of known truth that `fice evaluate` renders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..datasets import open_photos, open_texts
from ..errors import FiceError
from ..evaluation.case import Cases
from ..evaluation.evaluator import cases_for, side_of
from ..models import Models
from ..networks.clip import Clip
from .pairs import Pair, draw

DEMO = "demo"
#: tokens of a text at most, with those that begin and end it, as in the paper
LONGEST = 76
#: what counts as women's and men's tops in Fashion-Gen
TOPS = ("tops", "shirts", "sweaters", "jackets & coats")
_FILTERS: dict[str, Mapping[str, Collection[str]]] = {
    "fashion-gen": {"category": TOPS, "gender": ("men", "women")}
}


@dataclass(frozen=True)
class Photos:
    """Photos by name, and what is known about the people in them.

    Attributes:
        worn: what each person wears, "" where nobody says, by the photo's name.
        cases: the people of known truth, one a photo; None for others.
    """

    worn: Mapping[str, str]
    _read: Mapping[str, object]
    cases: Cases | None = None

    def image(self, name: str) -> Tensor:
        """A photo, (3, H, W) in [0, 1].

        Raises:
            FiceError: there is no such photo.
        """
        if name not in self._read:
            raise FiceError(f"the photos have none of the name {name!r}, which the pairs ask for")
        found = self._read[name]
        return found if isinstance(found, Tensor) else found.image()[0]  # type: ignore[attr-defined]


def open_source(
    spec: str, split: str | None, models: Models, count: int, seed: int
) -> tuple[Photos, list[Pair] | None]:
    """The photos of a spec; with those of known truth, the pairs that come with them.

    Args:
        spec: "demo", or as `datasets.open_photos` takes it.
        split: of the data set; None for all.
        models: decide who is rendered for "demo", and how large.
        count, seed: of the people of "demo".

    Raises:
        FiceError: see `datasets.open_photos` and `evaluation.cases_for`.
    """
    if spec != DEMO:
        samples = open_photos(spec, split)
        worn = {sample.name: (*sample.captions, "")[0] for sample in samples}
        return Photos(worn, {sample.name: sample for sample in samples}), None
    cases = cases_for(models, count, seed)
    side = side_of(models)
    images: dict[str, Tensor] = {}
    pairs = []
    rows = zip(cases.prompts, cases.wanted, strict=True)
    for number, (text, (colour, pattern, sleeve)) in enumerate(rows):
        name = f"demo-{seed}-{count}-{number:04d}"
        images[name] = cases.sitting(slice(number, number + 1), side).truth.images[0]
        pairs.append(Pair(name, text, "", colour, pattern, sleeve))
    return Photos(dict.fromkeys(images, ""), images, cases), pairs


def texts_of(spec: str, clip: Clip) -> tuple[list[str], int]:
    """The texts of a spec that can be asked for, each once, and how many are longer than `LONGEST` tokens.

    Of Fashion-Gen, only those of women's and men's tops count. Longer texts are left out, not cut.

    Raises:
        FiceError: there are none, or see `datasets.open_texts`.
    """
    layout = spec.partition(":")[0]
    found = dict.fromkeys(one.text for one in open_texts(spec, only=_FILTERS.get(layout)))
    kept = [text for text in found if _fits(clip, text)]
    if not kept:
        raise FiceError(f"no text of {spec} has at most {LONGEST} tokens")
    return kept, len(found) - len(kept)


def _fits(clip: Clip, text: str) -> bool:
    try:
        tokens = clip.tokenizer([text])
    except FiceError:
        return False
    return int((tokens != 0).sum()) <= LONGEST


def pairs_of(photos: Photos, texts: Sequence[str], count: int, seed: int) -> list[Pair]:
    """Pairs of photos and texts by `pairs.draw`."""
    names = list(photos.worn)
    return draw(names, [photos.worn[name] for name in names], texts, count, seed)

"""How often a measurement says what is worn: people in garments asked for, composed or rendered.

    python benchmarks/bench_measuring.py [--each 2] [--size 256]     # the gallery's people, recoloured
    python benchmarks/bench_measuring.py --renders DIR --count 50    # also rendered with other sleeves

Prints, for colour, pattern and sleeves, how often the measurement is right; how often a wish that is not
fulfilled is told; and what it misses. Renders need the extra `people` and are kept in DIR.
"""

import argparse
import collections
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fice_core.demo.gallery import gallery
from fice_core.evaluation.cases import PATTERNS
from fice_core.evaluation.garments import measure, shows_arms
from fice_core.people.captions import Facts, colour_name, facts
from fice_core.people.code import sample_codes
from fice_core.people.colours import COLOURS
from fice_core.people.compose import compose
from fice_core.people.dressing import dressed
from fice_core.people.maths import Array
from fice_core.people.portrait import Portrait, portrait, resampled
from fice_core.people.record import Record
from fice_core.people.sampling import person_from_code
from fice_core.people.wording import SLEEVES

SEED = 6_000_007
Case = tuple[str, Portrait, Array, Facts, str]  # name, who, image, what is worn, the ink's colour


def worn(record: Record, code: Array, size: int) -> tuple[Array, Facts, str]:
    """The image of a record in the textures of a code, what it shows, and the colour of the ink."""
    person = person_from_code(code)
    image = compose(record, person.top_texture, person.bottom_texture)
    return resampled(image, size), facts(person), colour_name(person.top_texture.ink)[0]


def wish(rng: np.random.Generator) -> tuple[str, str]:
    """A colour and a pattern."""
    return list(COLOURS)[rng.integers(len(COLOURS))], PATTERNS[rng.integers(len(PATTERNS))]


def recoloured(each: int, size: int) -> Iterator[Case]:
    """The gallery's people in their own clothes, and in `each` other colours and patterns."""
    rng = np.random.default_rng(SEED)
    for sitter in gallery():
        who, record = sitter.portrait(size), sitter.record()
        codes = [sitter.code, *(dressed(sitter.code, *wish(rng)) for _ in range(each))]
        for code in codes:
            yield (sitter.name, who, *worn(record, code, size))


def rendered(folder: Path, count: int, size: int) -> Iterator[Case]:
    """People who are not in the gallery, rendered again in another garment."""
    import zipfile

    from fice_core.people.gallery import write_blobs
    from fice_core.people.record import from_bytes, to_bytes

    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        rng = np.random.default_rng([SEED, k])
        own = sample_codes(1, rng)[0]
        other = dressed(own, *wish(rng), SLEEVES[k % len(SLEEVES)])
        records = []
        for name, code in (("own", own), ("other", other)):
            path = folder / f"{k:03d}-{name}.zip"
            if not path.exists():
                from fice_core.people.shoot import shoot

                write_blobs(path, to_bytes(shoot(code, 256)))
            with zipfile.ZipFile(path) as archive:
                records.append(from_bytes({n: archive.read(n) for n in archive.namelist()}))
        who = portrait(records[0]).at(size)
        if shows_arms(who.parts, who.joints):
            yield (f"{k:03d}", who, *worn(records[1], other, size))


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--renders", type=Path)
    parser.add_argument("--count", type=int, default=50)
    options = parser.parse_args()
    cases = (
        rendered(options.renders, options.count, options.size)
        if options.renders
        else recoloured(options.each, options.size)
    )
    rng = np.random.default_rng(0)
    right: dict[str, list[bool]] = collections.defaultdict(list)
    for name, who, image, known, ink in cases:
        if known.colour is None:
            continue
        seen = measure([image], [who], [known.colour])[0]
        pattern = "plain" if known.pattern == "melange" else known.pattern
        checks = {
            # the yarn of a melange mixes two colours
            "colour": None if known.pattern == "melange" else seen.colour == known.colour,
            "pattern": None if pattern is None else seen.pattern == pattern,
            "sleeve": None if known.sleeve is None else seen.sleeve == known.sleeve,
        }
        others = [colour for colour in COLOURS if colour not in (known.colour, ink)]
        other = others[rng.integers(len(others))]
        checks["another colour told"] = measure([image], [who], [other])[0].colour != other
        for what, good in checks.items():
            if good is not None:
                right[what].append(good)
        if False in checks.values():
            print(f"{name}: {known.colour}, {known.pattern}, {known.sleeve}, {known.kind}: {seen}")
    for what, answers in right.items():
        print(f"{what}: {sum(answers)} of {len(answers)}")


if __name__ == "__main__":
    main()

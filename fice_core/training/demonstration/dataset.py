"""Rendered people in several sets of clothes, composed once and read by every training stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ...errors import FiceError
from ...files import make_folder
from ...people.attributes import PATTERNS, Person, Texture
from ...people.captions import Facts, facts
from ...people.classes import SUBSAMPLES
from ...people.code import CODE_DIM, slices
from ...people.compose import cloth_sums, compose
from ...people.maths import Array
from ...people.numbers import numbers
from ...people.pool import Pool, people_in
from ...people.record import Record
from ...people.sampling import person_from_code
from ...people.textures import ink, period

OUTFITS = 6  # images of each person
#: of all patterns in training images: metres after which they repeat; and the motif, which makes prints stars
PATTERN_PERIOD, PATTERN_MOTIF = 0.04, 0.4
#: periods in metres of the waves on cloth, see `waves`; each is twice the next, up to that of the patterns
WAVES = tuple(PATTERN_PERIOD * 2**k for k in (4, 3, 2, 1, 0))
#: what is kept of each person, one array a shard
FIELDS = (
    "classes",
    "parts",
    "body",
    "head",
    "garment",
    "images",
    "codes",
    "numbers",
    "patterns",
    "marks",
    "waves",
)
_DONE = "done.json"


@dataclass(frozen=True)
class Batch:
    """n images of people.

    Attributes:
        index: of the images in the data set, (n,).
        images: (n, 3, S, S) in [0, 1].
        numbers: attributes of the person as shown, (n, F).
        others: attributes of the same person in other colours and patterns, (n, F).
        classes: index of the named class that covers most of a pixel, (n, S, S).
        parts: DensePose's 24 parts, 0 for the background, (n, S, S).
        body, head, garment: coverage, (n, 1, S, S) in [0, 1].
        patterns: strengths of the patterns as shown, without plain, (n, P) in [0, 1].
        marks: where each pattern would put its ink, see `marks`; bytes, (n, P, S, S) uint8.
        waves: of the garment coordinates, see `waves`; times 127, (n, 4 W, S/2, S/2) int8.
    """

    index: Tensor
    images: Tensor
    numbers: Tensor
    others: Tensor
    classes: Tensor
    parts: Tensor
    body: Tensor
    head: Tensor
    garment: Tensor
    patterns: Tensor
    marks: Tensor
    waves: Tensor

    def ink(self) -> Tensor:
        """The ink on the garments as shown, whatever its colour, (n, 1, S, S) in [0, 1]."""
        shown = self.patterns[..., None, None] * (self.marks.float() / 255)
        return shown.amax(1, keepdim=True)


def recoloured(code: Array, other: Array) -> Array:
    """`code` with the colours and patterns of the garments of `other`, both (CODE_DIM,).

    Only the texture changes: the same light falls on the same cloth. A code is normalised as a whole, so the
    exchanged numbers keep their length: everything else stays as it was.
    """
    where = slices()
    trousers = where["lower"].start + 2  # two numbers: the colours of trousers and of jeans
    changed = np.r_[where["colour"], where["pattern"], trousers : trousers + 2]
    result = code.copy()
    length = np.linalg.norm(code[changed]) / np.linalg.norm(other[changed])
    result[changed] = other[changed] * length
    return result


def _random(code: Array, *seed: int) -> np.random.Generator:
    """The random numbers of one person for one purpose."""
    return np.random.default_rng([*seed, *np.abs(code[:4] * 1e6).astype(np.int64)])


def outfits(code: Array, seed: int) -> Array:
    """The codes (OUTFITS, CODE_DIM) of a person in its own and in other colours and patterns."""
    rng = _random(code, seed)
    codes = [code, *(recoloured(code, rng.standard_normal(CODE_DIM)) for _ in range(OUTFITS - 1))]
    return np.stack(codes)


def settled(person: Person) -> Person:
    """The person in patterns of one size and motif and in one place.

    Stripes at any height and of any width need features of every frequency and phase, and no prompt asks
    for them.
    """

    def fixed(texture: Texture) -> Texture:
        return _fixed(texture, PATTERNS[1 + int(texture.pattern[1:].argmax())])

    return replace(
        person,
        top_texture=fixed(person.top_texture),
        bottom_texture=fixed(person.bottom_texture),
    )


def _fixed(texture: Texture, name: str) -> Texture:
    """The texture with the size, motif and place that the pattern `name` has in training images."""
    scale = PATTERN_PERIOD / period(name, PATTERN_MOTIF)
    return replace(texture, scale=scale, motif=PATTERN_MOTIF, phase=np.zeros_like(texture.phase))


def marks(record: Record, person: Person) -> Array:
    """Where each pattern would put its ink on a person's upper garment or dress, (P, S, S) in [0, 1].

    It does not depend on what the garment shows. P patterns, without plain.
    """
    inks = [
        ink(name, _fixed(person.top_texture, name), record.uv, record.panel)
        for name in PATTERNS[1:]
    ]
    return _shares(record, person, np.stack(inks, 1))


def waves(record: Record, person: Person) -> Array:
    """Sines and cosines of the garment coordinates u and v on the same cloth, (4 W, S, S) in [-1, 1].

    In the order of `WAVES`. From long waves, which follow from where the garment is, features of each
    shorter one follow by doubling the angle.
    """
    u, v = record.uv[:, 0] + 0.011 * record.panel, record.uv[:, 1]
    angles = [2 * np.pi * x / length for length in WAVES for x in (u, v)]
    values = [f(angle) for angle in angles for f in (np.sin, np.cos)]
    return _shares(record, person, np.stack(values, 1))


def _shares(record: Record, person: Person, values: Array) -> Array:
    """Values (N, C) at the points of the cloth, (C, S, S): means over the pixel, 0 off the upper garment."""
    values[record.panel >= 128] *= person.top.dress
    return cloth_sums(record, values)[0].transpose(2, 0, 1) / SUBSAMPLES**2


def _halved(images: Array) -> Array:
    """Images (C, S, S) at half the size."""
    c, s, _ = images.shape
    return np.asarray(images.reshape(c, s // 2, 2, s // 2, 2).mean((2, 4)))


def _bytes(share: Array) -> Array:
    return np.asarray(np.rint(255 * share), np.uint8)


def _composed(record: Record, seed: int) -> dict[str, Array]:
    """Truth, images (OUTFITS, 3, S, S) uint8, and codes and attributes of a record's outfits."""
    code = np.asarray(record.code, np.float64)
    codes, rng = outfits(code, seed), _random(code, seed, 1)
    worn = [settled(person_from_code(code)) for code in codes]
    images = [compose(record, p.top_texture, p.bottom_texture, rng) for p in worn]
    return {
        "classes": record.all_coverage().argmax(0).astype(np.uint8),
        "parts": record.parts,
        "body": _bytes(record.region("body")),
        "head": _bytes(record.region("head")),
        "garment": _bytes(record.region("garment")),
        "images": np.stack([_bytes(image).transpose(2, 0, 1) for image in images]),
        "codes": codes.astype(np.float32),
        "numbers": np.stack([numbers(p) for p in worn]),
        "patterns": np.stack([p.top_texture.pattern[1:] for p in worn]).astype(np.float32),
        "marks": _bytes(marks(record, worn[0])),
        "waves": np.rint(127 * _halved(waves(record, worn[0]))).astype(np.int8),
    }


def _compose_shard(people: Pool, indices: range, folder: Path, seed: int) -> None:
    rows = [_composed(people[index], seed) for index in indices]
    make_folder(folder)
    for name in FIELDS:
        np.save(folder / f"{name}.npy", np.stack([row[name] for row in rows]))
    (folder / _DONE).write_text(json.dumps({"people": len(indices)}))


def compose_all(renders: Path, folder: Path, seed: int = 0) -> None:
    """Compose every person of the folder `renders` that `folder` does not have yet.

    Raises:
        FiceError: `renders` holds no rendered people.
    """
    people = Pool(renders)
    shards, first = [], 0
    for shard in people.shards:
        count = len(people_in(shard))
        shards.append((folder / shard.stem, range(first, first + count)))
        first += count
    missing = [(path, span) for path, span in shards if not _complete(path, len(span))]
    for path, span in tqdm(missing, desc="compose people", unit="shard"):
        _compose_shard(people, span, path, seed)


def _complete(path: Path, count: int) -> bool:
    done = path / _DONE
    if not done.exists() or not all((path / f"{name}.npy").exists() for name in FIELDS):
        return False
    return bool(json.loads(done.read_text())["people"] == count)


class People:
    """The composed people of a folder, read from disk as they are asked for.

    `len(people)` images: `OUTFITS` of each person, one after the other.

    Raises:
        FiceError: the folder has none.
    """

    def __init__(self, folder: Path) -> None:
        shards = sorted(path.parent for path in folder.glob(f"*/{_DONE}"))
        if not shards:
            raise FiceError(f"{folder} has no composed people: render some first")
        self._arrays = [
            {name: np.load(shard / f"{name}.npy", mmap_mode="r") for name in FIELDS}
            for shard in shards
        ]
        lengths = [len(shard["images"]) for shard in self._arrays]
        self._where = [(s, k) for s, n in enumerate(lengths) for k in range(n)]

    def __len__(self) -> int:
        return OUTFITS * len(self._where)

    @property
    def size(self) -> int:
        """Width and height of the images in pixels."""
        return int(self._arrays[0]["images"].shape[-1])

    @cached_property
    def numbers(self) -> Tensor:
        """The attributes of all images, (len, F)."""
        rows = [
            torch.from_numpy(np.array(shard["numbers"])).flatten(0, 1) for shard in self._arrays
        ]
        return torch.cat(rows)

    @cached_property
    def patterns(self) -> Tensor:
        """The strengths of the patterns of all images, (len, P)."""
        rows = [
            torch.from_numpy(np.array(shard["patterns"])).flatten(0, 1) for shard in self._arrays
        ]
        return torch.cat(rows)

    @cached_property
    def facts(self) -> list[Facts]:
        """What can be said of each image."""
        rows = [np.array(shard["codes"]).reshape(-1, CODE_DIM) for shard in self._arrays]
        return [facts(person_from_code(code.astype(np.float64))) for code in np.concatenate(rows)]

    def _gather(self, name: str, people: list[int]) -> Tensor:
        rows = [self._arrays[s][name][k] for s, k in (self._where[i] for i in people)]
        return torch.from_numpy(np.stack(rows))

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """The images of these indices; `generator` chooses the other outfits, None takes the next ones."""
        people = (index // OUTFITS).tolist()
        outfit = (index % OUTFITS).tolist()
        if generator is None:
            turn = torch.ones(len(index), dtype=torch.long)
        else:
            turn = torch.randint(OUTFITS, (len(index),), generator=generator)
        other = index - index % OUTFITS + (index + turn) % OUTFITS
        images = [
            self._arrays[s]["images"][k, o]
            for (s, k), o in zip((self._where[i] for i in people), outfit, strict=True)
        ]
        soft = {
            n: self._gather(n, people)[:, None].float() / 255 for n in ("body", "head", "garment")
        }
        hard = {n: self._gather(n, people).long() for n in ("classes", "parts")}
        return Batch(
            index=index,
            images=torch.from_numpy(np.stack(images)).float() / 255,
            numbers=self.numbers[index],
            others=self.numbers[other],
            **soft,
            **hard,
            patterns=self.patterns[index],
            marks=self._gather("marks", people),
            waves=self._gather("waves", people),
        )

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield random batches without end."""
        while True:
            index = torch.randint(len(self), (size,), generator=generator)
            yield self.batch(index, generator)

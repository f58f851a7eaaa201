"""Persons in a photo: where the generator's frame has to lie around each of them.

No detector is needed. The generator itself says how a person fills its frame: the head and body
regions of its average picture are the layout that is looked for. The segmenter looks at the photo
through windows of the size that it was trained on, coarse ones first, and the layout is laid over the
regions it finds, at every place and in many sizes. The best places are looked at again, closely.
"""

import math
from dataclasses import replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F

from ..extraction.extractors import segment_regions, synthesize
from ..framing import Frame
from ..networks.segmenter import Regions, Segmenter
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..ops.batching import MAX_BATCH
from ..ops.resize import resize

#: persons smaller than this, from head to the frame's lower edge in pixels of the photo, are no use
SMALLEST = 32
#: agreement in [0, 1] of regions and layout from which on something is a person
AGREEMENT = 0.5

_TEMPLATE = 24  # height in pixels of the layout when it is compared
_SAMPLES = 8
_TRUNCATION = 0.5
_LEVELS = 4  # of windows, each half as wide: persons down to a 27th of the photo
_STEP = 1.12  # ratio of neighbouring sizes
_LEAST_VISIBLE = 0.4  # share of the layout's person that must lie within the photo
_OVERLAP = 0.45  # of two frames, from which on they show the same person


class Person(NamedTuple):
    """Where a person is: the frame, and how well the regions in it agree with the layout, in [0, 1]."""

    frame: Frame
    agreement: float


_layouts: WeakKeyDictionary[Generator, torch.Tensor] = WeakKeyDictionary()


def person_template(generator: Generator, segmenter: Segmenter) -> torch.Tensor:
    """Mean head and body in the generator's pictures: (1, 2, H, W) in [0, 1], on the CPU.

    Computed once for a generator.
    """
    if generator not in _layouts:
        device = next(generator.parameters()).device
        z = torch.randn(_SAMPLES, generator.z_dim, generator=torch.Generator().manual_seed(0))
        with without_grad():
            codes = generator.map(z.to(device), _TRUNCATION)
            regions = segment_regions(segmenter, synthesize(generator, codes, clamp=True))
            _layouts[generator] = _people(regions).mean(dim=0, keepdim=True).cpu()
    return _layouts[generator]


def find_persons(generator: Generator, segmenter: Segmenter, photo: torch.Tensor) -> list[Person]:
    """The persons in a photo, the largest first.

    Args:
        generator, segmenter: frozen networks on one device.
        photo: (1, 3, H, W) in [0, 1], on any device.

    Returns:
        None at all where nothing agrees with the layout, or all are smaller than `SMALLEST` pixels.
    """
    with without_grad():
        wanted = person_template(generator, segmenter)
        found: list[Person] = []
        for level in range(_levels(photo)):
            scene = _Scene.of(generator, segmenter, photo, level)
            candidates = _apart(scene.matches(wanted, 0.6 * AGREEMENT))
            close = [_look_closely(segmenter, photo, c, wanted) for c in candidates]
            found = _apart([*found, *(p for p in close if p.agreement >= AGREEMENT)])
            if found:
                break
        height = [person.frame.box[3] - person.frame.box[1] for person in found]
        kept = [p for p, pixels in zip(found, height, strict=True) if pixels >= SMALLEST]
        return sorted(kept, key=lambda person: person.frame.scale)


def agreement(
    generator: Generator, segmenter: Segmenter, photo: torch.Tensor, frame: Frame
) -> float:
    """How well a person fills the frame: 1 as the layout, 0 not at all."""
    with without_grad():
        wanted = person_template(generator, segmenter)
        people = _people_in(segmenter, photo, frame)
        size = _template_size(frame.resolution)
        inside = _inside(frame, size)
        score = _scores(resize(people, size), inside, resize(wanted, size))
        return float(score.amax())


def _people(regions: Regions) -> torch.Tensor:
    """Head and body, (N, 2, H, W)."""
    return torch.cat([regions.head, regions.body], dim=1)


def _people_in(segmenter: Segmenter, photo: torch.Tensor, frame: Frame) -> torch.Tensor:
    """Head and body in one frame of a photo, (1, 2, *frame.resolution), on the CPU."""
    view = frame.fit(photo).to(next(segmenter.parameters()).device)
    return _people(segment_regions(segmenter, view)).cpu()


def _levels(photo: torch.Tensor) -> int:
    """How many times the windows are halved before a person of `SMALLEST` pixels fills a third."""
    return min(_LEVELS, max(1, math.ceil(math.log2(max(photo.shape[-2:]) / (3 * SMALLEST)))))


def _template_size(resolution: tuple[int, int]) -> tuple[int, int]:
    return _TEMPLATE, max(1, round(_TEMPLATE * resolution[1] / resolution[0]))


def _inside(frame: Frame, size: tuple[int, int]) -> torch.Tensor:
    """1 where the frame shows the photo, 0 where it reaches beyond: (1, 1, *size)."""
    left, right, top, bottom = frame.padding
    width, height = frame.box[2] - frame.box[0], frame.box[3] - frame.box[1]
    full = torch.zeros(1, 1, *size)
    y = (torch.arange(size[0]) + 0.5) * height / size[0]
    x = (torch.arange(size[1]) + 0.5) * width / size[1]
    rows, columns = (y > top) & (y < height - bottom), (x > left) & (x < width - right)
    full[0, 0] = (rows[:, None] & columns[None, :]).float()
    return full


class _Scene(NamedTuple):
    """Head and body all over a photo, (1, 2, h, w), and the box (as `Frame.box`) that they cover."""

    people: torch.Tensor
    inside: torch.Tensor
    around: Frame
    pixels: float  # of the photo in one of the map

    @classmethod
    def of(
        cls, generator: Generator, segmenter: Segmenter, photo: torch.Tensor, level: int
    ) -> "_Scene":
        """Look at the photo through windows of a 2^level-th of the whole that overlap by half."""
        device = next(segmenter.parameters()).device
        size, (tall, wide) = (photo.shape[2], photo.shape[3]), generator.resolution
        parts = 2**level
        whole = Frame.covering(size, (tall * parts, wide * parts), (0, 0, size[1], size[0]))
        seen = whole.fit(photo)
        shown = _inside(whole, whole.resolution)
        corners = [
            (y, x)
            for y in range(0, tall * (parts - 1) + 1, tall // 2)
            for x in range(0, wide * (parts - 1) + 1, wide // 2)
            if shown[..., y : y + tall, x : x + wide].any()
        ]
        people = torch.zeros(1, 2, *whole.resolution)
        weight = torch.zeros(1, 1, *whole.resolution)
        trust = _hat(tall)[:, None] * _hat(wide)[None, :]
        for start in range(0, len(corners), MAX_BATCH):
            piece = corners[start : start + MAX_BATCH]
            views = [seen[..., y : y + tall, x : x + wide] for y, x in piece]
            regions = segment_regions(segmenter, torch.cat(views).to(device))
            for (y, x), found in zip(piece, _people(regions).cpu(), strict=True):
                people[..., y : y + tall, x : x + wide] += trust * found
                weight[..., y : y + tall, x : x + wide] += trust
        people = people / weight.clamp_min(1e-6)
        rows, columns = (4 * parts * side for side in _template_size(generator.resolution))
        return cls(
            resize(people, (rows, columns)),
            resize(shown, (rows, columns)),
            replace(whole, resolution=generator.resolution),
            (whole.box[3] - whole.box[1]) / rows,
        )

    def matches(self, wanted: torch.Tensor, threshold: float) -> list[Person]:
        """Where the layout (1, 2, H, W) agrees with the regions, in sizes that a window shows well."""
        found: list[Person] = []
        template = _template_size(self.around.resolution)
        shape = resize(wanted, template)
        # Of a window, which 4 templates fill: what is larger was seen through coarser ones.
        smallest, largest = 1.2 * _TEMPLATE, 6 * _TEMPLATE
        count = max(1, math.ceil(math.log(largest / smallest) / math.log(_STEP)))
        for k in range(count):
            tall = smallest * _STEP**k  # the frame's height in pixels of the map
            found += self._matches_of_size(shape, tall, threshold)
        return found

    def _matches_of_size(self, shape: torch.Tensor, tall: float, threshold: float) -> list[Person]:
        rows, columns = shape.shape[-2:]
        height, width = self.people.shape[-2:]
        small = (max(1, round(height * rows / tall)), max(1, round(width * rows / tall)))
        people, inside = resize(self.people, small), resize(self.inside, small)
        people = people * inside
        margin = (columns // 2, columns // 2, rows // 2, rows // 2)
        people, inside = F.pad(people, margin), F.pad(inside, margin)
        if people.shape[-2] < rows or people.shape[-1] < columns:
            return []
        scores = _scores(people, inside, shape)
        peaks = (scores == F.max_pool2d(scores, 5, 1, 2)) & (scores > threshold)
        found = []
        down, across = height / small[0] * self.pixels, width / small[1] * self.pixels
        for _, _, y, x in peaks.nonzero().tolist():
            left = self.around.box[0] + (x - margin[0]) * across
            top = self.around.box[1] + (y - margin[2]) * down
            box = frame_box(left, top, rows * down, self.around.resolution)
            if _overlaps(box, self.around.size):
                frame = Frame(self.around.size, self.around.resolution, box)
                found.append(Person(frame, float(scores[0, 0, y, x])))
        return found


def _hat(count: int) -> torch.Tensor:
    """A weight that falls towards both ends, never to 0."""
    return 1.02 - torch.linspace(-1, 1, count).abs()


def frame_box(
    left: float, top: float, height: float, resolution: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A frame's box in whole pixels, of the generator's proportions."""
    tall = max(2, round(height))
    wide = max(1, round(tall * resolution[1] / resolution[0]))
    x, y = round(left), round(top)
    return x, y, x + wide, y + tall


def _overlaps(box: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    return box[0] < size[1] and box[1] < size[0] and box[2] > 0 and box[3] > 0


def _scores(people: torch.Tensor, inside: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """Agreement with the layout for every place of its upper left corner, (1, 1, h, w) in [0, 1].

    The geometric mean of the soft Jaccard indices of head and body, counted within the photo, and
    lowered where little of the layout is within it.
    """
    rows, columns = shape.shape[-2:]
    window = torch.ones(1, 1, rows, columns)
    shared = F.conv2d(people, shape.transpose(0, 1), groups=2)
    seen = F.conv2d(people, window.expand(2, -1, -1, -1), groups=2)
    expected = F.conv2d(inside, shape.transpose(0, 1))
    # Soft maps of the very same shape share less than they hold: their squares.
    sharp = F.conv2d(inside, shape.square().transpose(0, 1))
    jaccard = shared / (seen + sharp - shared).clamp_min(1e-3)
    total = shape.sum(dim=(2, 3))[..., None, None]
    visible = (expected.sum(dim=1, keepdim=True) / total.sum()).clamp(max=1)
    scores = jaccard.clamp(0, 1).prod(dim=1, keepdim=True).sqrt() * visible.sqrt().sqrt()
    return torch.where(visible >= _LEAST_VISIBLE, scores, 0.0)


def _look_closely(
    segmenter: Segmenter,
    photo: torch.Tensor,
    person: Person,
    wanted: torch.Tensor,
) -> Person:
    """Look at the place again through the frame itself and a wider one; move to where it fits best."""
    best = Person(person.frame, 0.0)
    frame = person.frame
    template = _template_size(frame.resolution)
    size, shape = (3 * template[0], 3 * template[1]), resize(wanted, template)
    for wider in (1.4, 1.15):
        left, top, right, bottom = frame.box
        height = (bottom - top) * wider
        grown = frame_box(
            (left + right) / 2 - height * frame.resolution[1] / frame.resolution[0] / 2,
            (top + bottom) / 2 - height / 2,
            height,
            frame.resolution,
        )
        view = Frame(frame.size, frame.resolution, grown)
        people = _people_in(segmenter, photo, view)
        scene = _Scene(resize(people, size), _inside(view, size), view, height / size[0])
        found: list[Person] = []
        for k in range(-6, 7):
            tall = size[0] / wider * 1.05**k
            found += scene._matches_of_size(shape, tall, 0.0)
        if not found:
            return best
        best = max(found, key=lambda p: p.agreement)
        frame = best.frame
    return best


def _apart(persons: list[Person]) -> list[Person]:
    """The best of those that overlap."""
    kept: list[Person] = []
    for person in sorted(persons, key=lambda p: -p.agreement):
        if all(_jaccard(person.frame.box, other.frame.box) < _OVERLAP for other in kept):
            kept.append(person)
    return kept


def _jaccard(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> float:
    wide = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    tall = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    shared = wide * tall
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (first, second)]
    return shared / (sum(areas) - shared)

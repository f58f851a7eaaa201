"""Detects the persons in a photo and returns the generator's frame around each of them.

No detector network is needed. The mean head and body masks of the generator's images are a template
of a person in a frame. The segmenter runs on overlapping windows of the size that it was trained on,
the coarsest first. The template is matched with the regions at all positions and in many sizes. The
best matches are refined at a finer resolution.
"""

import math
from dataclasses import replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F

from ..extraction.extractors import segment_regions, synthesize
from ..framing import Frame
from ..networks.regions import PersonSegmenter, Regions
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..ops.batching import MAX_BATCH
from ..ops.resize import resize

#: smallest height of a frame in pixels of the photo; smaller persons are ignored
SMALLEST = 32
#: score in [0, 1] of regions and template; from this value on, it is a person
AGREEMENT = 0.5

_TEMPLATE = 24  # height of the template in pixels
_SAMPLES = 8  # images whose mean is the template
_TRUNCATION = 0.5  # of these images
_LEVELS = 4  # of windows, each half as wide as the one before: persons down to a 27th of the photo
_STEP = 1.12  # ratio of successive template sizes
_MIN_VISIBLE = 0.4  # share of the template's person that must lie within the photo
_MARGIN = 1.4  # height of the view of a known person over that of the frame
_MAX_OVERLAP = 0.45  # Jaccard index of two frames; from this value on, they show the same person


class Person(NamedTuple):
    """A person: the frame, and the score in [0, 1] of its regions against the template."""

    frame: Frame
    agreement: float


_templates: WeakKeyDictionary[Generator, torch.Tensor] = WeakKeyDictionary()


def person_template(generator: Generator, segmenter: PersonSegmenter) -> torch.Tensor:
    """Mean head and body masks of the generator's images: (1, 2, H, W) in [0, 1], on the CPU.

    They are computed once per generator.
    """
    if generator not in _templates:
        device = next(generator.parameters()).device
        z = torch.randn(_SAMPLES, generator.z_dim, generator=torch.Generator().manual_seed(0))
        with without_grad():
            codes = generator.map(z.to(device), _TRUNCATION)
            regions = segment_regions(segmenter, synthesize(generator, codes, clamp=True))
            _templates[generator] = _people(regions).mean(dim=0, keepdim=True).cpu()
    return _templates[generator]


def find_persons(
    generator: Generator, segmenter: PersonSegmenter, photo: torch.Tensor
) -> list[Person]:
    """The persons in a photo, the largest first.

    Args:
        generator, segmenter: frozen networks on one device.
        photo: (1, 3, H, W) in [0, 1], on any device.

    Returns:
        An empty list if nothing matches the template, or all persons are smaller than `SMALLEST`
        pixels.
    """
    with without_grad():
        template = person_template(generator, segmenter)
        persons: list[Person] = []
        for level in range(_levels(photo)):
            scene = _Scene.of(generator, segmenter, photo, level)
            candidates = _without_overlaps(scene.matches(template, 0.6 * AGREEMENT))
            refined = [_refined(segmenter, photo, c, template) for c in candidates]
            persons = _without_overlaps(
                [*persons, *(p for p in refined if p.agreement >= AGREEMENT)]
            )
            if persons:
                break
        height = [person.frame.box[3] - person.frame.box[1] for person in persons]
        large = [p for p, pixels in zip(persons, height, strict=True) if pixels >= SMALLEST]
        return sorted(large, key=lambda person: person.frame.scale)


def fit_person(template: torch.Tensor, head: torch.Tensor, body: torch.Tensor) -> Person | None:
    """The frame in which a person of known masks matches a template best; None if nothing does.

    Args:
        template: see `person_template`, (1, 2, H, W); the frame has its aspect ratio and its size.
        head, body: masks (1, 1, h, w) in [0, 1] of a photo with this person.
    """
    resolution = (template.shape[2], template.shape[3])
    size = (head.shape[2], head.shape[3])
    rows, columns = _template_size(resolution)
    shape, known = resize(template, (rows, columns)), torch.cat([head, body], dim=1)
    ys, xs = (known.amax(dim=1)[0] > 0.5).nonzero().T
    if not ys.numel():
        return None
    box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    view = _enlarged(Frame.covering(size, resolution, box))
    best: Person | None = None
    # First sizes from a fifth of the view to more than all of it, then finer ones near the best.
    for step, count, detail in ((1.2, 10, 8), (1.04, 5, 6)):
        around = (detail * rows, detail * columns)
        inside = _inside(view, around)
        scene = _Scene(
            resize(view.crop(known), around) * inside,
            inside,
            view,
            (view.box[3] - view.box[1]) / around[0],
        )
        middle = around[0] / (1.9 if best is None else _MARGIN)
        matches: list[Person] = []
        for k in range(-count // 2, count // 2 + 1):
            matches += scene._matches_of_size(shape, middle * step**k, 0.0)
        if not matches:
            return best
        best = max(matches, key=lambda person: person.agreement)
        view = _enlarged(best.frame)
    return best


def _enlarged(frame: Frame) -> Frame:
    """A frame `_MARGIN` times as high about the same centre."""
    left, top, right, bottom = frame.box
    height = _MARGIN * (bottom - top)
    width = height * frame.resolution[1] / frame.resolution[0]
    corner = ((left + right - width) / 2, (top + bottom - height) / 2)
    return Frame(frame.size, frame.resolution, frame_box(*corner, height, frame.resolution))


def agreement(
    generator: Generator, segmenter: PersonSegmenter, photo: torch.Tensor, frame: Frame
) -> float:
    """Score in [0, 1] of the person in the frame against the template; 1 if they are equal."""
    with without_grad():
        template = person_template(generator, segmenter)
        people = _people_in(segmenter, photo, frame)
        size = _template_size(frame.resolution)
        inside = _inside(frame, size)
        score = _scores(resize(people, size), inside, resize(template, size))
        return float(score.amax())


def _people(regions: Regions) -> torch.Tensor:
    """Masks of head and body, (N, 2, H, W)."""
    return torch.cat([regions.head, regions.body], dim=1)


def _people_in(segmenter: PersonSegmenter, photo: torch.Tensor, frame: Frame) -> torch.Tensor:
    """Masks of head and body in one frame of a photo, (1, 2, *frame.resolution), on the CPU."""
    view = frame.fit(photo).to(next(segmenter.parameters()).device)
    return _people(segment_regions(segmenter, view)).cpu()


def _levels(photo: torch.Tensor) -> int:
    """Number of window sizes, each half the one before, until a person of `SMALLEST` pixels fills a third."""
    return min(_LEVELS, max(1, math.ceil(math.log2(max(photo.shape[-2:]) / (3 * SMALLEST)))))


def _template_size(resolution: tuple[int, int]) -> tuple[int, int]:
    return _TEMPLATE, max(1, round(_TEMPLATE * resolution[1] / resolution[0]))


def _inside(frame: Frame, size: tuple[int, int]) -> torch.Tensor:
    """Mask (1, 1, *size) of a frame: 1 inside the photo, 0 in the padding."""
    left, right, top, bottom = frame.padding
    width, height = frame.box[2] - frame.box[0], frame.box[3] - frame.box[1]
    full = torch.zeros(1, 1, *size)
    y = (torch.arange(size[0]) + 0.5) * height / size[0]
    x = (torch.arange(size[1]) + 0.5) * width / size[1]
    rows, columns = (y > top) & (y < height - bottom), (x > left) & (x < width - right)
    full[0, 0] = (rows[:, None] & columns[None, :]).float()
    return full


class _Scene(NamedTuple):
    """Head and body masks of a whole photo, or of a part of it.

    Attributes:
        people: masks of head and body, (1, 2, h, w).
        inside: 1 inside the photo, 0 in the padding, (1, 1, h, w).
        around: the frame that the masks cover.
        pixels: pixels of the photo per pixel of the masks.
    """

    people: torch.Tensor
    inside: torch.Tensor
    around: Frame
    pixels: float

    @classmethod
    def of(
        cls, generator: Generator, segmenter: PersonSegmenter, photo: torch.Tensor, level: int
    ) -> "_Scene":
        """Masks from windows of 1 / 2^level of the photo's size that overlap by half."""
        device = next(segmenter.parameters()).device
        size, (tall, wide) = (photo.shape[2], photo.shape[3]), generator.resolution
        parts = 2**level
        whole = Frame.covering(size, (tall * parts, wide * parts), (0, 0, size[1], size[0]))
        padded = whole.fit(photo)
        inside = _inside(whole, whole.resolution)
        corners = [
            (y, x)
            for y in range(0, tall * (parts - 1) + 1, tall // 2)
            for x in range(0, wide * (parts - 1) + 1, wide // 2)
            if inside[..., y : y + tall, x : x + wide].any()
        ]
        people = torch.zeros(1, 2, *whole.resolution)
        weight = torch.zeros(1, 1, *whole.resolution)
        blend = _triangle(tall)[:, None] * _triangle(wide)[None, :]
        for start in range(0, len(corners), MAX_BATCH):
            batch = corners[start : start + MAX_BATCH]
            views = [padded[..., y : y + tall, x : x + wide] for y, x in batch]
            regions = segment_regions(segmenter, torch.cat(views).to(device))
            for (y, x), masks in zip(batch, _people(regions).cpu(), strict=True):
                people[..., y : y + tall, x : x + wide] += blend * masks
                weight[..., y : y + tall, x : x + wide] += blend
        people = people / weight.clamp_min(1e-6)
        rows, columns = (4 * parts * side for side in _template_size(generator.resolution))
        return cls(
            resize(people, (rows, columns)),
            resize(inside, (rows, columns)),
            replace(whole, resolution=generator.resolution),
            (whole.box[3] - whole.box[1]) / rows,
        )

    def matches(self, template: torch.Tensor, threshold: float) -> list[Person]:
        """Matches of the template (1, 2, H, W) with the regions, in the sizes that fit a window."""
        persons: list[Person] = []
        shape = resize(template, _template_size(self.around.resolution))
        # A window is 4 templates high. Larger persons are detected in larger windows.
        smallest, largest = 1.2 * _TEMPLATE, 6 * _TEMPLATE
        count = max(1, math.ceil(math.log(largest / smallest) / math.log(_STEP)))
        for k in range(count):
            tall = smallest * _STEP**k  # the frame's height in pixels of the map
            persons += self._matches_of_size(shape, tall, threshold)
        return persons

    def _matches_of_size(self, shape: torch.Tensor, tall: float, threshold: float) -> list[Person]:
        """Local maxima above `threshold` of the template's score, for frames of height `tall`."""
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
        persons = []
        scale_y, scale_x = height / small[0] * self.pixels, width / small[1] * self.pixels
        for _, _, y, x in peaks.nonzero().tolist():
            left = self.around.box[0] + (x - margin[0]) * scale_x
            top = self.around.box[1] + (y - margin[2]) * scale_y
            box = frame_box(left, top, rows * scale_y, self.around.resolution)
            if _overlaps(box, self.around.size):
                frame = Frame(self.around.size, self.around.resolution, box)
                persons.append(Person(frame, float(scores[0, 0, y, x])))
        return persons


def _triangle(count: int) -> torch.Tensor:
    """Weights (count,) that fall linearly towards both ends, but not to 0."""
    return 1.02 - torch.linspace(-1, 1, count).abs()


def frame_box(
    left: float, top: float, height: float, resolution: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The box of a frame in whole pixels, with the generator's aspect ratio."""
    tall = max(2, round(height))
    wide = max(1, round(tall * resolution[1] / resolution[0]))
    x, y = round(left), round(top)
    return x, y, x + wide, y + tall


def _overlaps(box: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    """Whether a box overlaps a photo of `size`."""
    return box[0] < size[1] and box[1] < size[0] and box[2] > 0 and box[3] > 0


def _scores(people: torch.Tensor, inside: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """Score of the template for every position of its upper left corner, (1, 1, h, w) in [0, 1].

    The score is the geometric mean of the soft Jaccard indices of head and body within the photo. It is
    lower if only a small part of the template is within the photo.
    """
    rows, columns = shape.shape[-2:]
    window = torch.ones(1, 1, rows, columns)
    intersection = F.conv2d(people, shape.transpose(0, 1), groups=2)
    area = F.conv2d(people, window.expand(2, -1, -1, -1), groups=2)
    expected = F.conv2d(inside, shape.transpose(0, 1))
    # The intersection of a soft mask with itself is the sum of its squares, not its area.
    squares = F.conv2d(inside, shape.square().transpose(0, 1))
    jaccard = intersection / (area + squares - intersection).clamp_min(1e-3)
    total = shape.sum(dim=(2, 3))[..., None, None]
    visible = (expected.sum(dim=1, keepdim=True) / total.sum()).clamp(max=1)
    scores = jaccard.clamp(0, 1).prod(dim=1, keepdim=True).sqrt() * visible.sqrt().sqrt()
    return torch.where(visible >= _MIN_VISIBLE, scores, 0.0)


def _refined(
    segmenter: PersonSegmenter,
    photo: torch.Tensor,
    person: Person,
    template: torch.Tensor,
) -> Person:
    """The best match near a candidate, after segmenting two enlarged frames around it."""
    best = Person(person.frame, 0.0)
    frame = person.frame
    rows, columns = _template_size(frame.resolution)
    size, shape = (3 * rows, 3 * columns), resize(template, (rows, columns))
    for factor in (1.4, 1.15):
        left, top, right, bottom = frame.box
        height = (bottom - top) * factor
        enlarged = frame_box(
            (left + right) / 2 - height * frame.resolution[1] / frame.resolution[0] / 2,
            (top + bottom) / 2 - height / 2,
            height,
            frame.resolution,
        )
        view = Frame(frame.size, frame.resolution, enlarged)
        people = _people_in(segmenter, photo, view)
        scene = _Scene(resize(people, size), _inside(view, size), view, height / size[0])
        matches: list[Person] = []
        for k in range(-6, 7):
            tall = size[0] / factor * 1.05**k
            matches += scene._matches_of_size(shape, tall, 0.0)
        if not matches:
            return best
        best = max(matches, key=lambda p: p.agreement)
        frame = best.frame
    return best


def _without_overlaps(persons: list[Person]) -> list[Person]:
    """The persons after non-maximum suppression: of those that overlap, the best."""
    best: list[Person] = []
    for person in sorted(persons, key=lambda p: -p.agreement):
        if all(_jaccard(person.frame.box, other.frame.box) < _MAX_OVERLAP for other in best):
            best.append(person)
    return best


def _jaccard(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> float:
    """Jaccard index of two boxes."""
    width = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    intersection = width * height
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (first, second)]
    return intersection / (sum(areas) - intersection)

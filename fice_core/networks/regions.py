"""What every segmenter of persons gives: soft maps of named classes, and background, body and head as sums.

The named classes are the same whatever a network was trained on; `class_name` finds the one that a
parser's own label means.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

CLASSES = ("background", "body", "head")
#: the named classes that are parts of the head; every other one except the background is of the body
HEAD = ("head", "face", "hair", "hat", "glasses")
#: classes of clothes, by which a garment can be told from skin
CLOTHES = ("upper", "lower", "dress")
#: classes that an edit of clothes never changes, beside those of the head
KEPT = ("hands", "shoes", "bag", "scarf", "jewelry")
#: all named classes; `neck` is bare skin of neck and trunk
NAMED = (
    "background", *CLOTHES, "arms", "legs", "neck", *KEPT, *HEAD, "clothes", "torso", "body",
)  # fmt: skip

# What parsers call them beside the name itself, in the singular.
_WORDS = {
    "background": "bg void unlabeled unlabelled other nothing",
    "upper": "upper_clothes upperclothes upper_cloth upper_clothing upper_garment top shirt t_shirt tshirt "
    "blouse sweater cardigan jacket vest coat outer outerwear hoodie cape tie",
    "lower": "lower_clothes lowerclothes lower_cloth lower_clothing lower_garment bottom pant trouser jean "
    "short skirt belt legging",
    "dress": "jumpsuit romper gown one_piece",
    "arms": "arm upper_arm lower_arm forearm",
    "legs": "leg upper_leg lower_leg thigh calf sock stocking tights",
    "neck": "torso_skin neck_skin trunk",
    "hands": "hand glove",
    "shoes": "shoe foot feet footwear boot sandal",
    "bag": "handbag purse backpack wallet umbrella",
    "scarf": "scarves shawl",
    "jewelry": "jewellery earring necklace bracelet watch ring ear_r neck_l",
    "hat": "cap helmet headwear headband",
    "glasses": "sunglasses eyeglasses eyeglass sunglass eye_g",
    "face": "nose eye ear brow eyebrow eye_brow lip u_lip l_lip upper_lip lower_lip mouth tongue teeth "
    "upper_teeth lower_teeth beard face_skin face_neck",
    "clothes": "cloth clothing garment apparel",
    "body": "person human people",
}
_NAME_OF = {word: name for name in NAMED for word in (name, *_WORDS.get(name, "").split())}
_SIDES = {"left", "right", "l", "r"}


class Regions(NamedTuple):
    """Soft segmentation of an image: three (N, 1, H, W) maps in [0, 1] that sum to 1."""

    background: Tensor
    body: Tensor
    head: Tensor


class PersonSegmenter(nn.Module):
    """What the segmenters have in common. A subclass has `logits` and `features`.

    Args:
        channels: the named class of every channel of `logits`; several may share one, such as the left
            and the right shoe. Background, at least one of `HEAD` and one part of the body.

    Attributes:
        labels: the named classes, each once, in the order of the channels.

    Raises:
        ValueError: a region has no channel.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        super().__init__()
        if {*map(group_of, channels)} != {*CLASSES}:
            raise ValueError(
                f"labels must have background, one of {HEAD} and a part of the body, got {tuple(channels)}"
            )
        self.channels = tuple(channels)
        self.labels = tuple(dict.fromkeys(channels))

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) in [0, 1] -> logits (N, C, H, W) in the order of `channels`."""
        raise NotImplementedError

    def features(self, images: Tensor, count: int) -> list[Tensor]:
        """The first `count` feature maps (N, C, h, w) of images (N, 3, H, W) in [0, 1]."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Regions:
        """images (N, 3, H, W) in [0, 1] -> Regions, each (N, 1, H, W)."""
        return regions_of(self.classes(images))

    def classes(self, images: Tensor) -> dict[str, Tensor]:
        """images (N, 3, H, W) in [0, 1] -> soft maps (N, 1, H, W) of all `labels`; they sum to 1."""
        found: dict[str, Tensor] = {}
        for name, soft in zip(
            self.channels, self.logits(images).softmax(1).split(1, dim=1), strict=True
        ):
            found[name] = found[name] + soft if name in found else soft
        return found


def group_of(label: str) -> str:
    """The one of `CLASSES` that a named class is a part of."""
    if label == "background":
        return label
    return "head" if label in HEAD else "body"


def regions_of(classes: Mapping[str, Tensor]) -> Regions:
    """Background, body and head as sums of named maps, (N, 1, H, W) each."""
    groups: dict[str, list[Tensor]] = {name: [] for name in CLASSES}
    for label, classified in classes.items():
        groups[group_of(label)].append(classified)
    return Regions(**{name: sum(maps[1:], maps[0]) for name, maps in groups.items()})


def winners(classes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Where each named map is the largest: bool (N, 1, H, W) each; exactly one is true at every pixel."""
    best = torch.cat([*classes.values()], dim=1).argmax(dim=1, keepdim=True)
    return {name: best == index for index, name in enumerate(classes)}


def named_channels(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """The named class of each of a parser's labels, and the labels that mean none of them.

    Args:
        labels: such as "Upper-clothes", "Left-shoe", or a named class itself.
    """
    words = [_known_word(label) for label in labels]
    names = {_NAME_OF.get(word) for word in words}
    special = {
        # A parser of faces calls the face skin; in others it is bare skin anywhere.
        "skin": "face" if {"nose", "mouth", "lip"} & {*words} else "neck",
        # Beside clothes the torso is what they leave bare.
        "torso": "neck" if names & {*CLOTHES} else "torso",
    }
    channels = [special.get(word) or _NAME_OF.get(word, "") for word in words]
    return channels, [label for label, name in zip(labels, channels, strict=True) if not name]


def _known_word(label: str) -> str:
    """A label in lower case; if it is not known, without left and right, and without a plural's s."""
    parts = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", label).lower())
    one_side = [part for part in parts if part not in _SIDES]
    tried = ["_".join(parts), "_".join(one_side)]
    tried += [word.removesuffix("s") for word in tried]
    return next((word for word in tried if word in _NAME_OF), tried[-1])

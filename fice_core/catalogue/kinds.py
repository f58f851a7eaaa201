"""The kinds of networks that an edit uses, and the names of their files."""

from dataclasses import dataclass

#: endings of files with weights
SUFFIXES = (".safetensors", ".pt", ".pth", ".pkl", ".bin", ".torchscript")


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        name: of the kind, and of a folder that holds its files.
        does: what it does, in a few words.
        stems: names of its file in a folder of models, without suffix, those of the authors first.
        detected: what `checkpoints.describe` calls such files.
        required: whether an edit needs one.
    """

    name: str
    does: str
    stems: tuple[str, ...]
    detected: tuple[str, ...]
    required: bool = True


KINDS = (
    Kind("generator", "makes the images", ("generator",), ("generator",)),
    Kind(
        "encoder",
        "finds the latent code of a photo; without one it is searched, which takes longer",
        ("e4e", "encoder"),
        ("encoder",),
        required=False,
    ),
    Kind("densepose", "finds the body parts", ("densepose",), ("densepose",)),
    Kind(
        "segmenter",
        "finds background, body and head, and clothes if it names them",
        ("segmentator", "segmenter"),
        ("segmenter", "segformer"),
    ),
    Kind("clip", "compares images with text", ("RN50x4", "clip*"), ("clip",)),
)
KIND_OF = {kind.name: kind for kind in KINDS}

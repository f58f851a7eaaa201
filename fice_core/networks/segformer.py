"""SegFormer (Xie et al. 2021) as a segmenter of persons: the clothes parsers that people publish.

The network is that of transformers, which is imported when one is built. Its modules have other names in
every major release, so tensors come and go by the names of the published files, which transformers
translates.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import FiceError
from ..ops.color import channel_statistics
from ..ops.resize import interpolate, resize
from .regions import PersonSegmenter

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STAGES = 4
_COUNTER = "decode_head.batch_norm.num_batches_tracked"  # of training, in some files
# The layers of one block, as published files name them, with the axes of their weights:
# C channels of the stage, M of its hidden layer.
_BLOCK = {
    "layer_norm_1": "C",
    "attention.self.query": "CC",
    "attention.self.key": "CC",
    "attention.self.value": "CC",
    "attention.output.dense": "CC",
    "layer_norm_2": "C",
    "mlp.dense1": "MC",
    "mlp.dense2": "CM",
}


class SegFormer(PersonSegmenter):
    """Soft segmentation by a SegFormer of transformers.

    Args:
        labels: named class of every output, see `PersonSegmenter`.
        architecture: from `infer_config`.
        size: height and width in pixels of the images that it was trained on. Images are resized to it,
            but enlarged to no more than twice their size, so that small images stay fast.
        mean, std: by which the colours of images in [0, 1] are normalised.

    Raises:
        FiceError: transformers is not installed.
        ValueError: see `PersonSegmenter`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        labels: Sequence[str],
        architecture: Mapping[str, Any],
        size: Sequence[int] = (512, 512),
        mean: Sequence[float] = _MEAN,
        std: Sequence[float] = _STD,
    ) -> None:
        super().__init__(labels)
        height, width = size
        if min(height, width) < 1:
            raise ValueError(f"size must be two positive numbers, got {tuple(size)}")
        self.size = (height, width)
        self.config: dict[str, Any] = {
            "labels": list(labels),
            "architecture": dict(architecture),
            "size": [height, width],
            "mean": list(mean),
            "std": list(std),
        }
        library = _library()
        settings = library.SegformerConfig(**architecture, num_labels=len(labels))
        self.model = library.SegformerForSemanticSegmentation(settings)
        average, spread = channel_statistics(mean, std)
        self.register_buffer("mean", average, persistent=False)
        self.register_buffer("std", spread, persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) in [0, 1] -> logits (N, C, H, W) in the order of `channels`."""
        low: Tensor = self.model(self._normalised(resize(images, self.seen_size(images)))).logits
        return interpolate(low, (images.shape[-2], images.shape[-1]))

    def seen_size(self, images: Tensor) -> tuple[int, int]:
        """Height and width in which the network sees images (N, 3, H, W)."""
        height, width = self.size
        return min(height, 2 * images.shape[-2]), min(width, 2 * images.shape[-1])

    def features(self, images: Tensor, count: int) -> list[Tensor]:
        """The outputs of the first `count` of four stages, (N, C, h, w): at a quarter of the images' size
        (N, 3, H, W), an eighth, ...

        Images in [0, 1] are seen in their own size.
        """
        found = self.model.segformer(self._normalised(images), output_hidden_states=True)
        return [*found.hidden_states[:count]]

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def layout(self) -> dict[str, Tensor]:
        """Tensors without data, named and shaped as in a published file of this network."""
        return published_layout(self.config["architecture"], len(self.channels))

    def load_published(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights of a published file; `tensors` are those of `layout`, in float32.

        Raises:
            FiceError: the transformers that is installed reads them otherwise.
        """
        library = _library()
        with _silent():
            self.model, found = library.SegformerForSemanticSegmentation.from_pretrained(
                None,
                config=self.model.config,
                state_dict={_COUNTER: torch.tensor(0), **tensors},
                output_loading_info=True,
            )
        missing = [*found["missing_keys"], *found["unexpected_keys"]]
        if missing:
            raise FiceError(
                f"transformers {library.__version__} does not know the tensor {sorted(missing)[0]} of a "
                "SegFormer: install another version of transformers"
            )

    def published(self) -> dict[str, Tensor]:
        """The weights under the names of a published file."""
        from safetensors.torch import load_file

        with tempfile.TemporaryDirectory() as folder, _silent():
            self.model.save_pretrained(folder)
            state = load_file(Path(folder) / "model.safetensors")
        return state


def published_layout(architecture: Mapping[str, Any], classes: int) -> dict[str, Tensor]:
    """The tensors of a published file, on the meta device, by name.

    Args:
        architecture: from `infer_config`.
        classes: number of outputs.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = shape[:1]

    before, width = 3, architecture["decoder_hidden_size"]
    for stage in range(_STAGES):
        channels = architecture["hidden_sizes"][stage]
        hidden = channels * architecture["mlp_ratios"][stage]
        patch, ratio = architecture["patch_sizes"][stage], architecture["sr_ratios"][stage]
        place = f"segformer.encoder.patch_embeddings.{stage}"
        layer(f"{place}.proj", channels, before, patch, patch)
        layer(f"{place}.layer_norm", channels)
        for block in range(architecture["depths"][stage]):
            place = f"segformer.encoder.block.{stage}.{block}"
            for name, axes in _BLOCK.items():
                layer(f"{place}.{name}", *(channels if axis == "C" else hidden for axis in axes))
            layer(f"{place}.mlp.dwconv.dwconv", hidden, 1, 3, 3)
            if ratio > 1:
                layer(f"{place}.attention.self.sr", channels, channels, ratio, ratio)
                layer(f"{place}.attention.self.layer_norm", channels)
        layer(f"segformer.encoder.layer_norm.{stage}", channels)
        layer(f"decode_head.linear_c.{stage}.proj", width, channels)
        before = channels
    layer("decode_head.linear_fuse", width, _STAGES * width, 1, 1, bias=False)
    layer("decode_head.batch_norm", width)
    shapes |= {f"decode_head.batch_norm.running_{name}": (width,) for name in ("mean", "var")}
    layer("decode_head.classifier", classes, width, 1, 1)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The part `architecture` of the arguments of the `SegFormer` whose published tensors these are.

    The heads of attention are not in the shapes: as in all published models, the first stage has one and
    every head is as wide as that.

    Raises:
        KeyError: a tensor is missing; the message is its key.
        ValueError: the shapes are none of a SegFormer.
    """
    blocks = [key.split(".")[3:5] for key in state if key.startswith("segformer.encoder.block.")]
    depths = [len({number for stage, number in blocks if stage == str(k)}) for k in range(_STAGES)]
    found: dict[str, Any] = {"depths": depths, "num_encoder_blocks": _STAGES}
    found |= {name: [] for name in ("hidden_sizes", "patch_sizes", "sr_ratios", "mlp_ratios")}
    for stage in range(_STAGES):
        patch = state[f"segformer.encoder.patch_embeddings.{stage}.proj.weight"]
        channels, _, side, _ = patch.shape
        place = f"segformer.encoder.block.{stage}.0"
        hidden = state[f"{place}.mlp.dense1.weight"].shape[0]
        if hidden % channels:
            raise ValueError(f"{place}.mlp.dense1.weight has {hidden} rows for {channels} channels")
        reduction = state.get(f"{place}.attention.self.sr.weight")
        found["hidden_sizes"].append(channels)
        found["patch_sizes"].append(side)
        found["sr_ratios"].append(1 if reduction is None else reduction.shape[-1])
        found["mlp_ratios"].append(hidden // channels)
    sizes = found["hidden_sizes"]
    found["num_attention_heads"] = [max(1, size // sizes[0]) for size in sizes]
    found["decoder_hidden_size"] = state["decode_head.linear_fuse.weight"].shape[0]
    return found


def _library() -> Any:
    """The package transformers.

    Raises:
        FiceError: it is not installed.
    """
    try:
        return import_module("transformers")
    except ImportError as error:
        raise FiceError(
            "a SegFormer needs the package transformers, which ComfyUI has: pip install transformers"
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """A block in which transformers shows neither progress bars nor its report of loading."""
    log = import_module("transformers.utils.logging")
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()

"""The average code of e4e encoders, and encoders of other methods with the same tensors."""

from collections.abc import Mapping

import torch

from ...errors import FiceError
from ..reading.reader import Contents
from ..reading.records import DerivedRecord, Stored, look_up, read_tensor, tensor_of
from . import rosinality

_IN_W, _IN_FC = "mapping.w_avg", "synthesis.b4.const"
_OTHERS = {  # by the class of the encoder, as training scripts record it in `opts.encoder_type`
    "GradualStyleEncoder": "a pSp encoder",
    "SingleStyleCodeEncoder": "a pSp encoder of a single style",
    "BackboneEncoderUsingLastLayerIntoW": "a pSp encoder of a single style",
    "BackboneEncoderUsingLastLayerIntoWPlus": "a pSp encoder of a single feature map",
    "ResNetGradualStyleEncoder": "a ReStyle encoder",
    "BackboneEncoder": "a ReStyle encoder",
    "ResNetBackboneEncoder": "a ReStyle encoder",
    "ProgressiveBackboneEncoder": "a ReStyle-e4e encoder",
    "ResNetProgressiveBackboneEncoder": "a ReStyle-e4e encoder",
}
_RGB = 3


def other_kind(tensors: Mapping[str, Stored], prefix: str, contents: Contents) -> str | None:
    """An encoder with the tensors of e4e that computes something else, in a few words; None for e4e.

    pSp does not add the first style to the others. ReStyle sees two images.
    """
    recorded = look_up(contents.tree, ("opts", "encoder_type"))
    if isinstance(recorded, str) and recorded in _OTHERS:
        return _OTHERS[recorded]
    shape = tuple(tensors[f"{prefix}input_layer.0.weight"].shape)
    if len(shape) == 4 and shape[1] != _RGB:
        return f"an encoder of {shape[1]} channels (ReStyle, HyperStyle?), not of {_RGB}"
    return None


def look_into(
    state: Mapping[str, Stored], tensors: Mapping[str, Stored], contents: Contents
) -> tuple[Stored | None, tuple[str, ...], str]:
    """The average code (num_styles, style_dim), notes, and why the encoder cannot be used as it is.

    The average comes from anywhere in the file. Published shapes are (1, n, d), (n, d) and (d,). It is 0
    if the file says that the encoder does not start from it. Else it is the mean of w of the generator in
    the file.

    Raises:
        FiceError: it has another shape.
        KeyError: a style has no linear layer.
    """
    dim = state["styles.0.linear.weight"].shape[0]
    styles = len({key.split(".")[1] for key in state if key.startswith("styles.")})
    notes: list[str] = []
    nvidia = _prefix(tensors, _IN_FC)
    if look_up(contents.tree, ("opts",)) is None and nvidia is None:
        notes.append(
            "does not say whether it is an e4e or a pSp encoder, which have the same tensors; e4e is "
            "assumed"
        )
    average = state.get("latent_avg", stray_average(tensors))
    if average is None:
        if look_up(contents.tree, ("opts", "start_from_latent_avg")) is False:
            return torch.zeros(styles, dim), tuple(notes), ""
        average = _of_generator(tensors, nvidia)
        if average is None:
            problem = "it has no latent_avg, the average code, and no generator to take it from"
            return None, tuple(notes), problem
        notes.append("has no latent_avg; the mean of w of the generator in the file is used")
    if isinstance(average, DerivedRecord):
        shape = tuple(average.shape)
    else:
        shape = tuple(read_tensor(average, contents.name).shape)
    if torch.Size(shape).numel() not in (dim, styles * dim):
        raise FiceError(f"latent_avg is {shape}, expected ({styles}, {dim})")
    return expanded(average, styles, dim), tuple(notes), ""


def expanded(average: Stored, styles: int, dim: int) -> DerivedRecord:
    """The average code, once for every style, (styles, dim)."""
    return DerivedRecord(
        (styles, dim),
        average.dtype,
        lambda: tensor_of(average).reshape(-1, dim).expand(styles, dim),
    )


def stray_average(tensors: Mapping[str, Stored]) -> Stored | None:
    """The mean of w, from anywhere in the file; None if there is none."""
    return next((t for key, t in tensors.items() if key.split(".")[-1] == "latent_avg"), None)


def _of_generator(tensors: Mapping[str, Stored], nvidia: str | None) -> Stored | None:
    """The mean of w of the generator in the file, which may be in either layout."""
    if nvidia is not None:
        return tensors.get(nvidia + _IN_W)
    prefix = _prefix(tensors, rosinality.MARKS[0])
    if prefix is None:
        return None
    return rosinality.mean_of_w(
        {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    )


def _prefix(tensors: Mapping[str, Stored], mark: str) -> str | None:
    """Prefix of the first tensor of this name, or None."""
    keys = (key for key in tensors if f".{key}".endswith(f".{mark}"))
    return next((key.removesuffix(mark) for key in keys), None)

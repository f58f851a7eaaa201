"""The teacher of the mapping network: computes w from a person's attributes.

A network learns very slowly from images alone which of 133 Gaussian numbers decide between stripes and
dots. So synthesis is trained with w computed from the attributes. The mapping network then learns the
same w from the code, by regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ...files import replacing
from ...people.code import sample_codes
from ...people.maths import Array
from ...people.numbers import numbers
from ...people.sampling import person_from_code
from .dataset import recoloured, settled

#: seed of the codes that train the mapping network; the renders of other seeds are not among them
SEED = 5_000_011


@dataclass(frozen=True)
class Crowd:
    """People of random codes, not rendered.

    `codes` (n, CODE_DIM); `numbers` (n, F), their attributes; `others` (n, F), the attributes of the same
    people in the colours and patterns of the next code; `joints` (m, J), coordinates of the joints of the
    first m people in the image, as multiples of its size.
    """

    codes: Tensor
    numbers: Tensor
    others: Tensor
    joints: Tensor

    def __len__(self) -> int:
        return len(self.codes)

    def of(self, index: Tensor) -> Crowd:
        """The people of these indices, without joints."""
        codes, numbers, others = (x[index] for x in (self.codes, self.numbers, self.others))
        return Crowd(codes, numbers, others, self.joints[:0])


def crowd(count: int, path: Path | None = None, skeletons: int = 0) -> Crowd:
    """`count` people, or those that an earlier call has written to `path`.

    The joints of the first `skeletons` are computed, which needs the extra `people`.
    """
    if path is not None and path.exists():
        return Crowd(**{k: torch.from_numpy(v) for k, v in np.load(path).items()})
    codes = sample_codes(count, np.random.default_rng(SEED))
    rows, others = [], []
    for code, other in tqdm(
        zip(codes, np.roll(codes, -1, axis=0), strict=True),
        desc="attributes of random people",
        total=count,
        disable=count < 10_000,
    ):
        rows.append(numbers(settled(person_from_code(code))))
        others.append(numbers(settled(person_from_code(recoloured(code, other)))))
    arrays: dict[str, Any] = {
        "codes": codes.astype(np.float32),
        "numbers": np.stack(rows),
        "others": np.stack(others),
        "joints": _joints(codes[:skeletons]),
    }
    if path is not None:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
    return Crowd(**{k: torch.from_numpy(v) for k, v in arrays.items()})


def _joints(codes: Array) -> Array:
    if not len(codes):
        return np.zeros((0, 0), np.float32)
    from ...people.skeleton import skeleton

    bar = tqdm(codes, desc="joints of random people", disable=len(codes) < 1000)
    return np.stack([skeleton(person_from_code(code)).ravel() for code in bar])


class AttributeMapping(nn.Module):
    """Attributes (N, F) -> w (N, w_dim): the sum of a linear map and a small MLP.

    The linear map makes W as linear in the attributes as possible.

    Args:
        w_dim: size of w.
        typical: attributes of random people (n, F), by which the input is normalised; None if weights will
            be loaded, which contain the normalisation.
        count: number of attributes F, without `typical`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, w_dim: int, typical: Tensor | None = None, count: int = 0) -> None:
        super().__init__()
        count = count if typical is None else typical.shape[1]
        self.register_buffer("mean", torch.zeros(count) if typical is None else typical.mean(0))
        std = torch.ones(count) if typical is None else typical.std(0)
        self.register_buffer("std", std.clamp_min(1e-4))
        self.straight = nn.Linear(count, w_dim)
        self.bent = nn.Sequential(
            nn.Linear(count, 384),
            nn.LeakyReLU(0.2),
            nn.Linear(384, 384),
            nn.LeakyReLU(0.2),
            nn.Linear(384, w_dim),
        )

    def forward(self, attributes: Tensor) -> Tensor:
        # rare attributes lie many deviations from their mean
        x = ((attributes - self.mean) / self.std).clamp(-4, 4)
        w: Tensor = self.straight(x) + self.bent(x)
        return w

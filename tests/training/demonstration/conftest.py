"""A small training set of made-up people: real codes, plain shapes in place of renders."""

import json
from pathlib import Path

import numpy as np
import pytest

from fice_core.people.classes import ARMS, FACE, HAIR, LOWER, SUBSAMPLES, UPPER
from fice_core.people.code import sample_codes
from fice_core.people.maths import Array
from fice_core.people.pool import FORMAT, MANIFEST, shard_path, write_shard
from fice_core.people.record import Record, to_bytes
from fice_core.training.demonstration.dataset import People, compose_all
from fice_core.training.demonstration.wardrobe import Crowd, crowd

SIZE, COUNT = 32, 4


def plain_record(code: Array, size: int = SIZE) -> Record:
    """A head on a garment with bare arms, before a light wall."""
    s = SUBSAMPLES * size
    classes = np.zeros((s, s), np.uint8)
    rows, columns = (np.arange(s) / s)[:, None], (np.arange(s) / s)[None]
    classes[(rows > 0.3) & (abs(columns - 0.5) < 0.3)] = ARMS
    classes[(rows > 0.3) & (abs(columns - 0.5) < 0.2)] = UPPER
    classes[(rows > 0.8) & (abs(columns - 0.5) < 0.2)] = LOWER
    classes[np.hypot(rows - 0.18, columns - 0.5) < 0.12] = FACE
    classes[(np.hypot(rows - 0.18, columns - 0.5) < 0.12) & (rows < 0.12)] = HAIR
    cloth = (classes == UPPER) | (classes == LOWER)
    y, x = np.nonzero(cloth)
    uv = np.stack([x / s - 0.5, 0.5 - y / s], 1).astype(np.float32)
    hard = classes[1::SUBSAMPLES, 1::SUBSAMPLES]
    rest = np.where(hard[..., None] == 0, 0.7, 0.25).astype(np.float32) * np.ones(3, np.float32)
    dressed = np.isin(hard, (UPPER, LOWER))[..., None]
    return Record(
        rest=np.where(dressed, 0, rest).astype(np.float32),
        light=np.where(dressed, 0.9, 0.0).astype(np.float32) * np.ones(3, np.float32),
        classes=classes,
        parts=np.where(hard == FACE, 23, np.where(hard == UPPER, 2, 0)).astype(np.uint8),
        cloth=cloth,
        panel=np.where(classes[cloth] == LOWER, 128, 0).astype(np.uint8),
        uv=uv,
        joints=np.zeros((3, 2), np.float32),
        code=code.astype(np.float32),
    )


@pytest.fixture(scope="session")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the renderer leaves it."""
    folder = tmp_path_factory.mktemp("renders")
    settings = {"format": FORMAT, "size": SIZE, "seed": 0, "samples": 1, "code": 133}
    (folder / MANIFEST).write_text(json.dumps(settings))
    codes = sample_codes(COUNT, np.random.default_rng(0))
    people = {f"{k:06d}": to_bytes(plain_record(code)) for k, code in enumerate(codes)}
    write_shard(shard_path(folder, 0), people)
    return folder


@pytest.fixture(scope="session")
def people(renders: Path, tmp_path_factory: pytest.TempPathFactory) -> People:
    folder = tmp_path_factory.mktemp("people")
    compose_all(renders, folder)
    return People(folder)


@pytest.fixture(scope="session")
def everybody() -> Crowd:
    return crowd(64)

"""Tiny data sets in the layouts of published ones. Every photo has another colour."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 16)  # height, width


def photo(path: Path, level: int = 100, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, 3), level, np.uint8)
    pixels[::2, ::2] = 255 - level
    Image.fromarray(pixels).save(path)
    return path


def label_map(rows: Sequence[int], size: tuple[int, int] = SIZE) -> np.ndarray:
    """Horizontal bands, one for each label."""
    bands = np.array_split(np.arange(size[0]), len(rows))
    labels = np.zeros(size, np.uint8)
    for row, band in zip(rows, bands, strict=True):
        labels[band] = row
    return labels


def labels_file(path: Path, labels: np.ndarray, palette: Sequence[int] = (0, 0, 0)) -> Path:
    """A label map with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    image.putpalette([*palette, *[0] * (768 - len(palette))])
    image.save(path)
    return path


def colours_file(path: Path, labels: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> Path:
    """A label map that was saved in colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(colours, np.uint8)[labels]).save(path)
    return path


def text(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def open_pose(path: Path, key: str, points: int) -> Path:
    values = [v for k in range(points) for v in (k + 1.0, 2.0 * k + 1, 0.9)]
    values[:3] = [0.0, 0.0, 0.0]  # the nose is absent
    return text(path, {"version": 1.0, "people": [{key: values, "face_keypoints": []}]})


def viton(root: Path) -> Path:
    for split, number in (("train", "000003"), ("test", "000001")):
        photo(root / split / "image" / f"{number}_0.jpg", 90)
        photo(root / split / "cloth" / f"{number}_1.jpg", 30)
        labels_file(root / split / "image-parse" / f"{number}_0.png", label_map([0, 2, 13, 10]))
        open_pose(root / split / "pose" / f"{number}_0_keypoints.json", "pose_keypoints", 18)
    text(root / "test_pairs.txt", "000001_0.jpg 000003_1.jpg\n")
    return root


def viton_hd(root: Path, hyphens: bool = False) -> Path:
    from fice_core.datasets.labels import VITON_HD

    parse = "image-parse" if hyphens else "image-parse-v3"
    pose = "openpose-json" if hyphens else "openpose_json"
    photo(root / "test" / "image" / "03195_00.jpg", 70)
    photo(root / "test" / "image" / "00006_00.jpg", 80)
    labels_file(root / "test" / parse / "03195_00.png", label_map([0, 2, 10, 5]))
    near = [tuple(min(255, v + 2) for v in colour) for colour in VITON_HD.colours]
    colours_file(root / "test" / parse / "00006_00.png", label_map([0, 2, 10, 5]), near)
    open_pose(root / "test" / pose / "03195_00_keypoints.json", "pose_keypoints_2d", 25)
    text(root / "captions.json", {"03195": ["red top", "long  sleeves", "dots"], "00006": ["x"]})
    return root


def dress_code(root: Path) -> Path:
    from fice_core.datasets.labels import DENSEPOSE

    folder = root / "upper_body"
    for number in ("048392", "051994"):
        photo(folder / "images" / f"{number}_0.jpg", 60, (32, 24))
        photo(folder / "images" / f"{number}_1.jpg", 60, (32, 24))
    labels_file(folder / "label_maps" / "048392_4.png", label_map([0, 2, 11, 4], (32, 24)))
    parts = label_map([0, 24, 2, 1], (32, 24))
    colours_file(folder / "dense" / "048392_5.png", parts, DENSEPOSE.colours)
    points = [[k * 16.0, k * 32.0, 0.5, k] for k in range(18)]
    text(folder / "keypoints" / "048392_2.json", {"keypoints": points})
    text(folder / "train_pairs.txt", "048392_0.jpg\t048392_1.jpg\n")
    text(folder / "test_pairs_paired.txt", "051994_0.jpg\t051994_1.jpg\n")
    text(
        root / "coarse_captions.json",
        {"048392": ["a", "b", "c"], "051994": ["one", "two", "three"]},
    )
    text(root / "fine_captions.json", {"048392": ["blue shirt", "collar", "stripes"]})
    return root


def deepfashion(root: Path) -> Path:
    name = "WOMEN-Tees_Tanks-id_00007979-04_4_full"
    photo(root / "images" / f"{name}.jpg", 50)
    photo(root / "images" / "MEN-Shirts-id_1-01_1_front.jpg", 40)
    labels_file(root / "segm" / f"{name}_segm.png", label_map([0, 13, 14, 1, 15]))
    iuv = np.zeros((*SIZE, 3), np.uint8)
    iuv[..., 0], iuv[..., 2] = 200, label_map([0, 24, 2])  # v, u and the part, as OpenCV wrote them
    (root / "densepose").mkdir()
    Image.fromarray(iuv).save(root / "densepose" / f"{name}_densepose.png")
    places = " ".join(f"{k} {k + 1}" for k in range(20)) + " -1 -1"
    text(root / "keypoints" / "keypoints_loc.txt", f"{name}.jpg {places}\n")
    seen = " ".join(["0", "1", *["0"] * 18, "2"])
    text(root / "keypoints" / "keypoints_vis.txt", f"{name}.jpg {seen}\n")
    text(root / "labels" / "shape" / "shape_anno_all.txt", f"{name}.jpg 1 3 0 0 0 0 0 0 4 2 1 2\n")
    text(root / "labels" / "texture" / "fabric_ann.txt", f"{name}.jpg 1 0 7\n")
    text(root / "labels" / "texture" / "pattern_ann.txt", f"{name}.jpg 2 3 7\n")
    text(root / "captions.json", {f"{name}.jpg": "The lady wears\n a striped tee."})
    return root


def shhq(root: Path) -> Path:
    from fice_core.datasets.labels import SHHQ

    photo(root / "no_segment" / "a.png", 20)
    photo(root / "no_segment" / "b.png", 21)
    colours_file(root / "parsing" / "a.png", label_map([0, 2, 13, 5, 9]), SHHQ.colours)
    (root / "segments").mkdir()
    Image.fromarray(label_map([0, 255, 255])).save(root / "segments" / "b.png")
    pairs = " ".join(f"{k + 1} {k + 2}" for k in range(24)) + " 0 0"
    text(root / "body_keypoints.txt", f"a.png {pairs}\n")
    return root


CCP_NAMES = ["null", "hair", "skin", "t-shirt", "jeans", "shoes", "glasses"]


def ccp(root: Path, folder: str = "annotations") -> Path:
    from scipy.io import savemat

    size = (100, 30)
    photo(root / "photos" / "0001.jpg", 10, size)
    photo(root / "photos" / "0002.jpg", 10, size)
    labels = np.zeros(size, np.uint8)
    labels[0:4, 10:20] = 1  # hair
    labels[4:12, 10:20] = 2  # a face ten pixels wide
    labels[12:18, 13:17] = 2  # a neck of four
    labels[18:50, 5:25] = 3
    labels[40:60, 2:5] = 2  # a hand
    labels[50:95, 8:22] = 4
    labels[95:100, 8:22] = 5
    (root / folder).mkdir(parents=True)
    savemat(root / folder / "0001.mat", {"groundtruth": labels})
    names = np.empty((1, len(CCP_NAMES)), object)
    for k, name in enumerate(CCP_NAMES):
        names[0, k] = name
    savemat(root / "label_list.mat", {"label_list": names})
    return root


def fashion_gen(path: Path) -> Path:
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)

    def column(values: list[str]) -> np.ndarray:
        return np.array([value.encode("latin-1") for value in values], "S80")[:, None]

    with h5py.File(path, "w") as file:
        images = np.stack([np.full((8, 8, 3), k * 50, np.uint8) for k in range(4)])
        file["input_image"] = images
        file["input_description"] = column(
            ["Décolleté shirt", "Décolleté shirt", "Blue  jeans.\nSlim.", ""]
        )
        file["input_category"] = column(["SHIRTS", "SHIRTS", "JEANS", "HATS"])
        file["input_gender"] = column(["Women", "Women", "Men", "Men"])
        file["input_pose"] = column(["id_gridfs_1", "id_gridfs_2", "id_gridfs_1", "id_gridfs_1"])
        file["input_productID"] = np.array([[7], [7], [8], [9]])
    return path

"""Readers of the layouts, on tiny files that are laid out so. Label maps are bands: hair, face, garment."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import dataset_files as layouts
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from fice_core.datasets import Sample, open_photos, open_texts
from fice_core.datasets.labels import UNKNOWN, DensePoseFile
from fice_core.errors import FiceError
from fice_core.networks.regions import NAMED


def bands(sample: Sample) -> list[str]:
    """The classes of a label map from top to bottom."""
    classes = sample.classes()
    assert classes is not None
    assert classes.dtype == torch.int64
    column = classes[0, :, 0].tolist()
    return ["?" if n == UNKNOWN else NAMED[n] for n in dict.fromkeys(column)]


def by_name(spec: str, split: str | None = None) -> dict[str, Sample]:
    return {sample.name: sample for sample in open_photos(spec, split)}


def test_viton(tmp_path: Path) -> None:
    samples = by_name(f"viton:{layouts.viton(tmp_path)}")
    assert [*samples] == ["train/000003_0", "test/000001_0"]
    assert [*by_name(f"viton:{tmp_path}", "test")] == ["test/000001_0"]
    sample = samples["test/000001_0"]
    assert sample.image().shape == (1, 3, 24, 16)
    assert bands(sample) == ["background", "hair", "face", "dress"]
    points = sample.keypoints()
    assert points is not None
    assert points.names[1] == "neck"
    assert points.points[0].tolist() == [0, 0, 0]
    assert points.points[1].tolist() == pytest.approx([2, 3, 0.9])
    person = sample.person()
    assert person is not None
    assert person.mean() == 0.75


def test_viton_below_a_folder_data(tmp_path: Path) -> None:
    layouts.viton(tmp_path / "data")
    assert len(open_photos(f"viton:{tmp_path}")) == 2


@pytest.mark.parametrize("hyphens", [False, True])
def test_viton_hd(tmp_path: Path, hyphens: bool) -> None:
    samples = by_name(f"viton-hd:{layouts.viton_hd(tmp_path, hyphens)}")
    for sample in samples.values():  # one has a palette, the other was saved in colours
        assert bands(sample) == ["background", "hair", "neck", "upper"]
    sample = samples["test/03195_00"]
    assert sample.captions == ("red top, long sleeves, dots",)
    assert samples["test/00006_00"].captions == ()  # fewer than three chunks
    points = sample.keypoints()
    assert points is not None
    assert points.names[8] == "middle of hips"
    assert points.points.shape == (25, 3)
    assert samples["test/00006_00"].keypoints() is None


def test_dress_code(tmp_path: Path) -> None:
    spec = f"dress-code:{layouts.dress_code(tmp_path)}"
    samples = by_name(spec)
    assert [*samples] == ["upper_body/048392_0", "upper_body/051994_0"]
    assert [*by_name(spec, "train")] == ["upper_body/048392_0"]
    assert [*by_name(spec, "test")] == ["upper_body/051994_0"]
    sample = samples["upper_body/048392_0"]
    assert bands(sample) == ["background", "hair", "face", "upper"]
    assert sample.attributes == {"category": "upper_body"}
    assert sample.captions == ("blue shirt, collar, stripes",)  # the fine ones come first
    assert samples["upper_body/051994_0"].captions == ("one, two, three",)
    parts = sample.densepose()
    assert parts is not None
    assert parts[0, :, 0].unique().tolist() == [0, 1, 2, 24]
    points = sample.keypoints()
    assert points is not None
    # The photo is 24 pixels wide, and points are those of one of 384.
    assert points.points[4].tolist() == pytest.approx([4.0, 8.0, 0.5])


def test_deepfashion(tmp_path: Path) -> None:
    samples = by_name(f"deepfashion-multimodal:{layouts.deepfashion(tmp_path)}")
    sample = samples["WOMEN-Tees_Tanks-id_00007979-04_4_full"]
    assert bands(sample) == ["background", "hair", "face", "upper", "body"]
    assert sample.captions == ("The lady wears a striped tee.",)
    expected = {
        "gender": "women",
        "category": "Tees Tanks",
        "sleeve": "short",
        "neckline": "round",
        "lower_length": "long",
        "upper_pattern": "striped",
        "upper_fabric": "cotton",
    }
    assert expected.items() <= sample.attributes.items()
    assert not {"outer_fabric", "waist", "navel_covered"} & {*sample.attributes}  # not visible
    parts = sample.densepose()
    assert parts is not None
    assert parts[0, :, 0].unique().tolist() == [0, 2, 24]
    points = sample.keypoints()
    assert points is not None
    assert points.points[0].tolist() == [0, 1, 1]
    assert points.points[1].tolist() == [1, 2, 0.5]  # hidden
    assert points.points[20].tolist() == [0, 0, 0]
    other = samples["MEN-Shirts-id_1-01_1_front"]
    assert other.classes() is None
    assert other.person() is None


def test_shhq(tmp_path: Path) -> None:
    samples = by_name(f"shhq:{layouts.shhq(tmp_path)}")
    assert bands(samples["a"]) == ["background", "hair", "face", "upper", "lower"]
    points = samples["a"].keypoints()
    assert points is not None
    assert points.points[0].tolist() == [1, 2, 1]
    assert points.points[24].tolist() == [0, 0, 0]
    person = samples["b"].person()
    assert person is not None
    assert samples["b"].classes() is None
    assert person[0, 0, :, 0].tolist() == [0.0] * 8 + [1.0] * 16


@pytest.mark.parametrize("folder", ["annotations", "annotations/pixel-level"])
def test_ccp(tmp_path: Path, folder: str) -> None:
    samples = by_name(f"ccp:{layouts.ccp(tmp_path, folder)}")
    assert [*samples] == ["0001"]  # the other one has no annotation
    classes = samples["0001"].classes()
    assert classes is not None
    found = {name: classes[0] == NAMED.index(name) for name in NAMED}
    # Of a figure of 100 pixels a head has 11 to 15; the face ends where skin narrows from 10 to 4.
    assert found["face"].sum() == 80
    assert found["face"][4:12, 10:20].all()
    assert found["neck"].sum() == 24
    assert found["body"].sum() == 60  # the hand is skin of no known part
    assert found["upper"].sum() == 640
    assert found["lower"].sum() == 45 * 14


def test_fashion_gen(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = layouts.fashion_gen(tmp_path / "fashiongen_256_256_train.h5")
    samples = open_photos(f"fashion-gen:{path}")
    assert len(samples) == 4
    assert samples[2].image().shape == (1, 3, 8, 8)
    assert float(samples[2].image().max()) == pytest.approx(100 / 255)
    assert samples[0].captions == ("Décolleté shirt",)
    texts = open_texts(f"fashion-gen:{path}")
    assert [text.name for text in texts] == ["7", "8"]  # one for each product that has one
    assert texts[1].text == "Blue jeans. Slim."
    only = open_texts(f"fashion-gen:{path}", only={"category": ["shirts"], "gender": ["Women"]})
    assert [text.name for text in only] == ["7"]
    with pytest.raises(FiceError, match="category DRESSES: it has JEANS, SHIRTS"):
        open_texts(f"fashion-gen:{path}", only={"category": ["DRESSES"]})
    assert len(open_photos(f"fashion-gen:{tmp_path}", "train")) == 4
    with pytest.raises(FiceError, match=r"there is no file \*validation\*\.h5"):
        open_photos(f"fashion-gen:{tmp_path}", "validation")


def test_fashion_gen_asks_for_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(FiceError, match=r"comfyui-fice\[datasets\]"):
        open_texts(f"fashion-gen:{tmp_path / 'a.h5'}")


@pytest.mark.parametrize(
    ("layout", "missing"),
    [
        ("viton", "folder train or test"),
        ("viton-hd", "folder train or test"),
        ("dress-code", "folder dresses or lower_body or upper_body"),
        ("deepfashion-multimodal", "folder images or train_images or test_images"),
        ("shhq", "folder no_segment or images or raw"),
        ("ccp", "folder photos"),
        ("fashion-gen", r"file \*\.h5"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, layout: str, missing: str) -> None:
    with pytest.raises(FiceError, match=f"not laid out as {layout}: there is no {missing} in it"):
        open_photos(f"{layout}:{tmp_path}")
    with pytest.raises(FiceError, match="does not exist"):
        open_photos(f"{layout}:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("make", [layouts.viton, layouts.viton_hd, layouts.dress_code, layouts.ccp])
def test_samples_can_be_sent_to_other_processes(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    name = make.__name__.replace("_", "-")
    sample = open_photos(f"{name}:{make(tmp_path)}")[0]
    again = pickle.loads(pickle.dumps(sample))
    assert torch.equal(again.image(), sample.image())
    assert torch.equal(again.classes(), sample.classes())


def test_a_layout_that_is_not_named_is_guessed(tmp_path: Path) -> None:
    layouts.viton_hd(tmp_path)
    with pytest.raises(FiceError, match=f"is laid out as viton-hd: name it viton-hd:{tmp_path}"):
        open_photos(str(tmp_path))
    assert len(open_photos(f"folder:{tmp_path}")) == 4  # with the label maps, since it was insisted


def test_splits_are_those_of_the_layout(tmp_path: Path) -> None:
    layouts.viton_hd(tmp_path)
    with pytest.raises(FiceError, match="there is no folder train"):
        open_photos(f"viton-hd:{tmp_path}", "train")
    with pytest.raises(FiceError, match="has no split 'val': its splits are train, test"):
        open_photos(f"viton-hd:{tmp_path}", "val")


def test_labels_and_colours_of_no_class_are_refused(tmp_path: Path) -> None:
    layouts.viton_hd(tmp_path)
    folder = tmp_path / "test" / "image-parse-v3"
    layouts.labels_file(folder / "03195_00.png", layouts.label_map([0, 20]))
    samples = by_name(f"viton-hd:{tmp_path}")
    with pytest.raises(FiceError, match="has the label 20, but labels from 0 to 19"):
        samples["test/03195_00"].classes()
    green = np.full((*layouts.SIZE, 3), (120, 255, 0), np.uint8)
    Image.fromarray(green).save(folder / "00006_00.png")
    with pytest.raises(FiceError, match=r"the colour \(120, 255, 0\), which is none of the 20"):
        samples["test/00006_00"].classes()
    (folder / "00006_00.png").write_bytes(b"no image")
    with pytest.raises(FiceError, match="is not an image"):
        samples["test/00006_00"].classes()


def test_damaged_annotations_are_one_line(tmp_path: Path) -> None:
    layouts.ccp(tmp_path)
    (tmp_path / "annotations" / "0001.mat").write_bytes(b"MATLAB 5.0 but not really" * 9)
    with pytest.raises(FiceError, match="damaged or no MATLAB file"):
        by_name(f"ccp:{tmp_path}")["0001"].classes()
    layouts.viton(tmp_path / "v")
    pose = tmp_path / "v" / "test" / "pose" / "000001_0_keypoints.json"
    pose.write_text('{"people": []}')
    sample = by_name(f"viton:{tmp_path / 'v'}")["test/000001_0"]
    with pytest.raises(FiceError, match="has no person"):
        sample.keypoints()
    pose.write_text('{"people": [{"pose_keypoints": [1, 2, 3]}]}')
    with pytest.raises(FiceError, match="has 1 points; 18"):
        sample.keypoints()
    pose.write_text('{"people": [{"pose_keypoints": 5}]}')
    with pytest.raises(FiceError, match="has no list of points"):
        sample.keypoints()
    savemat(tmp_path / "label_list.mat", {"label_list": 5})
    with pytest.raises(FiceError, match="has no list of names"):
        open_photos(f"ccp:{tmp_path}")


def test_negative_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    Image.fromarray(np.full(layouts.SIZE, -200, np.int32)).save(path)
    with pytest.raises(FiceError, match="has the label -200"):
        DensePoseFile(path)()


def test_a_split_without_photos_is_one_line(tmp_path: Path) -> None:
    layouts.dress_code(tmp_path)
    (tmp_path / "upper_body" / "train_pairs.txt").write_text("")
    with pytest.raises(FiceError, match="no photo of the split train"):
        open_photos(f"dress-code:{tmp_path}", "train")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros(4),
        np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((4, 3, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        None,
    ],
)
def test_photos_of_another_form_in_an_hdf5_file(tmp_path: Path, images: np.ndarray | None) -> None:
    h5py = pytest.importorskip("h5py")
    path = layouts.fashion_gen(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file["input_image"]
        if images is None:
            file.create_group("input_image")
        else:
            file["input_image"] = images
    with pytest.raises(FiceError, match="photo of row 3"):
        open_photos(f"fashion-gen:{path}")[3].image()


@pytest.mark.parametrize("column", ["input_description", "input_category", "input_productID"])
def test_columns_of_another_form_in_an_hdf5_file(tmp_path: Path, column: str) -> None:
    h5py = pytest.importorskip("h5py")
    path = layouts.fashion_gen(tmp_path / "a.h5")
    for content in (5, np.zeros((4, 0)), None):
        with h5py.File(path, "r+") as file:
            del file[column]
            if content is None:
                file.create_group(column)
            else:
                file[column] = content
        with pytest.raises(FiceError, match="is damaged"):
            open_texts(f"fashion-gen:{path}")

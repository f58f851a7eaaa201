"""Image files: exactness, unusual formats, damage, and writes that fail."""

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms, ImageOps
from png_files import chunk, png, png16

from fice_core import files, images
from fice_core.errors import FiceError
from fice_core.images import png16 as png16_codec
from fice_core.images.photo import Photo, read_image, read_photo, write_image, write_photo

LOSSLESS = ("png", "webp", "bmp", "tif")
rng = np.random.default_rng(0)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def complaint(path: Path) -> str:
    with pytest.raises(FiceError) as caught:
        read_image(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@settings(max_examples=60, deadline=None)
@given(
    levels=arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)), fill=st.nothing()
    ),
    suffix=st.sampled_from(LOSSLESS),
)
def test_round_trip_is_exact(
    tmp_path_factory: pytest.TempPathFactory, levels: np.ndarray, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("round")
    first = saved(folder / "first.png", Image.fromarray(levels))
    second = folder / f"second.{suffix}"
    write_image(second, read_image(first))
    assert (np.asarray(Image.open(second)) == levels).all()
    assert torch.equal(read_image(second), read_image(first))


def test_every_level_survives(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    image = read_image(saved(tmp_path / "all.png", Image.fromarray(levels)))
    assert image.dtype == torch.float32
    assert torch.equal(image[0].flatten(), torch.arange(256) / 255)
    write_image(tmp_path / "again.png", image)
    assert (np.asarray(Image.open(tmp_path / "again.png")) == levels).all()


def test_values_are_clamped_and_rounded(tmp_path: Path) -> None:
    image = torch.tensor([-0.5, 0.0, 0.5 / 255 - 1e-4, 0.5 / 255 + 1e-4, 1.0, 7.0]).expand(3, 1, 6)
    write_image(tmp_path / "x.png", image)
    assert np.asarray(Image.open(tmp_path / "x.png"))[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "png16"])
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int, kind: str) -> None:
    levels = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{kind[:3]}"
    if kind == "png16":
        raw = exif.tobytes().removeprefix(b"Exif\0\0")
        path.write_bytes(png16(levels.astype(np.uint16) * 257, chunk(b"eXIf", raw)))
    else:
        saved(path, Image.fromarray(levels), exif=exif)
    with Image.open(path) as file:
        expected = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    assert expected.shape[:2] == ((6, 4) if orientation >= 5 else (4, 6))
    assert torch.equal(read_image(path), torch.from_numpy(expected / 255).float().permute(2, 0, 1))


def test_grey_and_palette(tmp_path: Path) -> None:
    grey = rng.integers(0, 256, (3, 5), dtype=np.uint8)
    image = read_image(saved(tmp_path / "grey.png", Image.fromarray(grey)))
    assert torch.equal(image, torch.from_numpy(grey / 255).float().expand(3, 3, 5))

    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([0, 1])
    image = read_image(saved(tmp_path / "palette.png", palette))
    assert (image[:, 0].T * 255).round().tolist() == [[10, 20, 30], [200, 100, 50]]

    one_bit = Image.fromarray(np.array([[True, False]]))
    assert read_image(saved(tmp_path / "bit.png", one_bit))[0].tolist() == [[1, 0]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette"])
def test_transparency_is_composited_over_white_with_a_note(tmp_path: Path, mode: str) -> None:
    colour, alpha, white = np.array([51, 102, 153]), 0.4, 1.0
    if mode == "palette":
        picture = Image.new("P", (2, 1))
        picture.putpalette(colour.tolist() * 2)
        picture.putdata([0, 1])
        path = saved(tmp_path / "x.png", picture, transparency=bytes([255, 102]))
    elif mode == "LA":
        colour = np.array([51] * 3)
        path = saved(tmp_path / "x.png", Image.fromarray(np.uint8([[[51, 255], [51, 102]]]), "LA"))
    else:
        pixels = np.uint8([[[*colour, 255], [*colour, 102]]])
        path = saved(tmp_path / "x.png", Image.fromarray(pixels))
    notes: list[str] = []
    image = read_image(path, note=notes.append)
    assert torch.equal(image[:, 0, 0], torch.tensor(colour / 255).float())
    expected = torch.tensor(colour / 255 * alpha + white * (1 - alpha)).float()
    assert torch.allclose(image[:, 0, 1], expected, atol=1e-6)
    assert len(notes) == 1
    assert "white" in notes[0]
    assert str(path) in notes[0]


def test_opaque_alpha_gives_no_note(tmp_path: Path) -> None:
    levels = rng.integers(0, 256, (8, 8, 4), dtype=np.uint8)
    levels[..., 3] = 255
    notes: list[str] = []
    image = read_image(saved(tmp_path / "x.png", Image.fromarray(levels)), note=notes.append)
    assert torch.equal(image, torch.from_numpy(levels[..., :3] / 255).float().permute(2, 0, 1))
    assert notes == []


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png16_keeps_all_bits(tmp_path: Path, channels: int) -> None:
    levels = rng.integers(0, 65536, (5, 7, channels))
    if channels in (2, 4):
        levels[..., -1] = 65535
    path = tmp_path / "deep.png"
    path.write_bytes(png16(levels))
    colours = levels[..., : 1 if channels < 3 else 3]
    expected = np.broadcast_to(colours, (5, 7, 3)) / 65535
    image = read_image(path).permute(1, 2, 0).double().numpy()
    assert np.abs(image - expected).max() < 1e-7
    assert (np.round(image * 65535) == np.broadcast_to(colours, (5, 7, 3))).all()


@pytest.mark.parametrize("channels", [2, 4])
def test_png16_transparency(tmp_path: Path, channels: int) -> None:
    level, alpha = 12345, 54321
    levels = np.full((1, 2, channels), level)
    levels[..., -1] = alpha
    path = tmp_path / "deep.png"
    path.write_bytes(png16(levels))
    notes: list[str] = []
    image = read_image(path, note=notes.append).double()
    expected = level / 65535 * alpha / 65535 + 1 - alpha / 65535
    assert np.abs(image.numpy() - expected).max() < 1e-6
    assert len(notes) == 1


def test_other_16_bit_files(tmp_path: Path) -> None:
    levels = np.array([[0, 1, 257, 65535]], dtype=np.uint16)
    expected = torch.tensor([0, 1, 257, 65535]) / 65535
    tif = saved(tmp_path / "x.tif", Image.fromarray(levels))
    pgm = tmp_path / "x.pgm"
    pgm.write_bytes(b"P5 4 1 65535\n" + levels.astype(">u2").tobytes())
    for path in (tif, pgm):
        assert torch.allclose(read_image(path)[1, 0], expected, atol=1e-7)


def test_cmyk(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.tif", Image.new("CMYK", (2, 2), (0, 255, 255, 0)))
    assert (read_image(path)[:, 0, 0] * 255).round().tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(1, 1), (10000, 10), (10, 10000)])
def test_extreme_shapes_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    image = read_image(saved(tmp_path / "x.png", Image.new("RGB", size, (255, 0, 0))))
    assert image.shape == (3, size[1], size[0])
    write_image(tmp_path / "y.png", image)
    assert torch.equal(read_image(tmp_path / "y.png"), image)


def test_an_image_read_in_inference_mode_can_have_gradients(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("RGB", (4, 4)))
    with torch.inference_mode():
        image = read_image(path)
    assert not image.is_inference()


def test_missing_file(tmp_path: Path) -> None:
    assert "there is no file" in complaint(tmp_path / "none.png")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in complaint(tmp_path)


def test_null_character_in_the_name() -> None:
    with pytest.raises(FiceError, match="cannot read"):
        read_image("a\0b.png")


def test_text_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("a red striped shirt\n" * 40)
    assert "is not an image" in complaint(path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    assert "0 bytes" in complaint(tmp_path / "x.png")


def test_postscript_is_never_interpreted(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert "is not an image" in complaint(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_file(tmp_path: Path, suffix: str, share: float) -> None:
    levels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = saved(tmp_path / f"x.{suffix}", Image.fromarray(levels))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    complaint(path)


def test_truncated_png16(tmp_path: Path) -> None:
    data = png16(rng.integers(0, 65536, (30, 30, 3)))
    (tmp_path / "x.png").write_bytes(data[: len(data) // 2])
    assert "damaged" in complaint(tmp_path / "x.png")


@pytest.mark.parametrize(("width", "height"), [(20000, 20000), (12000, 9000), (2**31 - 1, 2)])
def test_decompression_bomb(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width, height, 8, 2, b"\0" * 100))
    assert "million" in complaint(path)


def test_floating_point_and_32_bit_pixels(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.tif", Image.fromarray(np.ones((2, 2), np.float32)))
    assert "floating point" in complaint(path)
    path = saved(tmp_path / "i.tif", Image.fromarray(np.full((2, 2), 70000, np.int32)))
    assert "32-bit" in complaint(path)


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from(["png", "jpg", "gif", "webp", "bmp", "tif", "none"]),
    noise=st.binary(min_size=1, max_size=120),
    place=st.floats(0, 1),
)
def test_damage_is_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, start: str, noise: bytes, place: float
) -> None:
    buffer = io.BytesIO()
    if start != "none":
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(start, start.upper())
        Image.new("RGB", (9, 9), (200, 30, 90)).save(buffer, kind)
    data = bytearray(buffer.getvalue())
    at = int(place * len(data))
    data[at : at + len(noise)] = noise
    path = tmp_path_factory.mktemp("fuzz") / "x.png"
    path.write_bytes(bytes(data))
    try:
        image = read_image(path)
    except FiceError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert image.shape[0] == 3
        assert bool(((image >= 0) & (image <= 1)).all())


# Writing


def test_write_refuses_other_tensors(tmp_path: Path) -> None:
    for bad in (torch.zeros(1, 4, 4), torch.zeros(4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="must be"):
            write_image(tmp_path / "x.png", bad)
    with pytest.raises(ValueError, match="NaN"):
        write_image(tmp_path / "x.png", torch.full((3, 4, 4), torch.nan))
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match=r"\.png"):
        write_image(tmp_path / "x.xyz", torch.zeros(3, 4, 4))


def test_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "none" / "x.png"
    for function in (files.check_writable, lambda p: write_image(p, torch.zeros(3, 4, 4))):
        with pytest.raises(FiceError, match="make the folder"):
            function(path)


def test_a_folder_or_a_device_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="is a folder"):
        files.check_writable(tmp_path)
    for device in ("/dev/null", "/dev/full"):
        if os.path.exists(device):
            with pytest.raises(FiceError, match="device"):
                files.write_bytes(device, b"x")
            assert not os.path.isfile(device)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FiceError, match="Permission denied"):
        files.check_writable(tmp_path / "x.png")


def test_check_writable_leaves_nothing_behind(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "y.png").write_bytes(b"old")
    files.check_writable(tmp_path / "y.png")
    assert (tmp_path / "y.png").read_bytes() == b"old"


@pytest.mark.parametrize("before", [None, b"the old picture"])
@pytest.mark.parametrize("failing", ["write", "replace"])
def test_full_disk_changes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, failing: str
) -> None:
    path = tmp_path / "x.png"
    if before is not None:
        path.write_bytes(before)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def half(self: Path, data: bytes) -> None:
        with open(self, "wb") as file:
            file.write(data[: len(data) // 2])
        full()

    if failing == "write":
        monkeypatch.setattr(Path, "write_bytes", half)
    else:
        monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FiceError, match="No space left on device"):
        write_image(path, torch.rand(3, 30, 30))
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["x.png"])
    assert before is None or path.read_bytes() == before


def test_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), files.replacing(tmp_path / "x") as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "x.png")
    write_image(tmp_path / "link.png", torch.zeros(3, 2, 2))
    assert (tmp_path / "link.png").is_symlink()
    assert read_image(tmp_path / "real" / "x.png").shape == (3, 2, 2)


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_to_bytes_takes_any_float() -> None:
    image = torch.full((3, 1, 1), 0.5, dtype=torch.float64, requires_grad=True)
    assert images.to_bytes(image).tolist() == [[[128, 128, 128]]]


# Depth, profiles and EXIF data


def test_every_16_bit_level_survives(tmp_path: Path) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, axis=2)
    (tmp_path / "all.png").write_bytes(png16_codec.encode(levels))
    photo = read_photo(tmp_path / "all.png")
    assert photo.bits == 16
    assert torch.equal(photo.pixels[0].flatten(), torch.arange(65536) / 65535)
    write_photo(tmp_path / "again.png", photo)
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "all.png").read_bytes()
    with Image.open(tmp_path / "again.png") as image:  # a reader that is not ours
        assert (np.asarray(image) == levels // 256).all()


def test_16_bit_png_stores_profile_and_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = Photo(torch.rand(3, 5, 7), 16, profile, exif.tobytes())
    write_photo(tmp_path / "x.png", photo)
    again = read_photo(tmp_path / "x.png")
    assert again.profile == profile
    assert again.exif == exif.tobytes()
    assert (again.pixels - photo.pixels).abs().max() <= 0.5 / 65535 + 1e-7


def test_a_profile_that_is_not_rgb_is_ignored(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    path = saved(tmp_path / "x.png", Image.new("RGB", (4, 4)), icc_profile=profile)
    assert read_photo(path).profile is None


def test_a_note_says_that_a_tiff_loses_bits(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    levels = rng.integers(0, 65536, (4, 6, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", levels, photometric="rgb")
    notes: list[str] = []
    image = read_image(tmp_path / "x.tif", note=notes.append)
    assert ((image.permute(1, 2, 0).numpy() * 255).round() == levels // 256).all()
    assert len(notes) == 1
    assert "only 8" in notes[0]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["jpg", "png", "webp"]),
    start=st.sampled_from(
        [b"", b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0", b"Exif\0\0MM\0*\0\0\0\x08"]
    ),
    noise=st.binary(min_size=0, max_size=80),
    whole=st.booleans(),
    cut=st.integers(0, 60),
)
def test_damaged_exif_does_not_prevent_reading(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    start: bytes,
    noise: bytes,
    whole: bool,
    cut: int,
) -> None:
    sound = Image.Exif()
    sound[0x0112], sound[0x010F], sound[0x8769] = 1, "camera", {0x9286: b"comment"}
    block = sound.tobytes()[:cut] if whole else start + noise
    path = tmp_path_factory.mktemp("exif") / f"x.{kind}"
    Image.new("RGB", (6, 4), (200, 30, 90)).save(path, **({"exif": block} if block else {}))
    notes: list[str] = []
    image = read_image(path, note=notes.append)
    assert sorted(image.shape[1:]) == [4, 6]
    assert all("EXIF" in line and "\n" not in line for line in notes)

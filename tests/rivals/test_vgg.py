"""VGG16's trunk from a file."""

from pathlib import Path

import pytest
import torch
from torchvision.models import vgg

from fice_core.errors import FiceError
from fice_core.rivals.vgg import load_trunk


def test_the_trunk_is_torchvisions_up_to_relu4_3(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = vgg.make_layers(vgg.cfgs["D"])
    path = tmp_path / "vgg16.pth"
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, path)
    trunk = load_trunk(path, torch.device("cpu"))
    images = torch.rand(1, 3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        x = (images - mean[:, None, None]) / std[:, None, None]
        for number, layer in enumerate(features):
            if number == 23:  # the pooling behind the third ReLU of the fourth block
                break
            x = layer(x)
        torch.testing.assert_close(trunk(images * 2 - 1), x, rtol=1e-4, atol=1e-5)
    assert isinstance(features[22], torch.nn.ReLU)
    assert isinstance(features[23], torch.nn.MaxPool2d)


def test_a_file_that_is_no_vgg(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(FiceError, match="vgg16"):
        load_trunk(tmp_path / "other.pth", torch.device("cpu"))

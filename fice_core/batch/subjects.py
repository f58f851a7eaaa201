"""What edits are about: a photo, the area that may change, and the frame around the person."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import FiceError
from ..settings import Framing
from .jobs import Job

if TYPE_CHECKING:
    import torch

    from ..framing import Frame
    from ..images.photo import Photo
    from ..models import Models


@dataclass(frozen=True, eq=False)
class Subject:
    """What one or more edits are about.

    Attributes:
        photo: as read from its file.
        mask: (1, 1, H, W) in [0, 1], where the edit may go; None for everywhere.
        frame: the part of the photo that the generator sees.
    """

    photo: "Photo"
    mask: "torch.Tensor | None"
    frame: "Frame"


class Subjects:
    """Reads and checks the subjects of jobs. A frame is computed once and kept; images are not.

    Args:
        read: returns the image in a file.
        read_mask: returns the mask in a file, (H, W) in [0, 1].
        framing: see `EditSettings`.
    """

    def __init__(
        self,
        read: "Callable[[str], Photo]",
        read_mask: "Callable[[str], torch.Tensor]",
        framing: Framing,
    ) -> None:
        self._read, self._read_mask, self._framing = read, read_mask, framing
        self._frames: dict[object, Frame] = {}

    def check(self, job: Job) -> "Photo":
        """Read the files of a job, for which no models are needed, and return the photo.

        Raises:
            FiceError: what `read` and `read_mask` raise; or a mask is black, or not of the photo's size.
        """
        photo = self._read(job.photo)
        self._mask(job.mask, job, photo)
        self._mask(job.person_mask, job, photo)
        return photo

    def read(self, job: Job, models: "Models") -> Subject:
        """Return photo, mask and frame of a job.

        Raises:
            FiceError: see `check`, `choose_frame` and `frame_person`.
        """
        photo = self._read(job.photo)
        mask = self._mask(job.mask, job, photo)
        if job.subject not in self._frames:
            self._frames[job.subject] = self._frame(job, photo, models)
        return Subject(photo, mask, self._frames[job.subject])

    def _mask(self, name: str | None, job: Job, photo: "Photo") -> "torch.Tensor | None":
        """The mask in a file, (1, 1, H, W) in [0, 1]."""
        if name is None:
            return None
        mask = self._read_mask(name)[None, None]
        (height, width), (tall, wide) = mask.shape[2:], photo.pixels.shape[1:]
        if (height, width) != (tall, wide):
            raise FiceError(
                f"the mask {name} has {width} x {height} pixels, but {job.photo} has "
                f"{wide} x {tall}: a mask must be of the photo's size"
            )
        if not bool(mask.any()):
            raise FiceError(f"the mask {name} is black everywhere: white marks where it applies")
        return mask

    def _frame(self, job: Job, photo: "Photo", models: "Models") -> "Frame":
        from ..persons.selection import choose_frame, frame_person

        networks, pixels = (models.generator, models.segmenter), photo.pixels[None]
        mask = self._mask(job.person_mask, job, photo)
        # A preset may show the whole photo, but a person is asked for.
        whole = self._framing == "whole" and job.person is not None
        framing: Framing = "auto" if whole else self._framing
        try:
            if mask is None and job.box is None:
                return choose_frame(*networks, pixels, framing, job.person or 0)
            return frame_person(*networks, pixels, mask=mask, box=job.box)
        except FiceError as error:
            raise FiceError(f"{job.photo}: {error}") from error

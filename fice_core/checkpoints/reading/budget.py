"""What reading one file may cost.

A few hundred bytes can describe more than any memory holds: containers that contain each other many
times, texts that are joined again and again. So whatever grows is counted.
"""

from dataclasses import dataclass

from .records import DamagedError

MAX_TENSORS = 50_000  # the largest published file of these kinds has a few thousand


@dataclass
class Budget:
    """What may still be spent on a file and on all files nested in it.

    Attributes:
        elements: instructions of pickles, entries of containers that are copied or walked through.
            Full-size checkpoints need about ten thousand.
        text: characters of names, keys and paths, and bytes of short byte strings.
        copies: bytes of long payloads that have to be copied.
    """

    elements: int = 1_000_000
    text: int = 1 << 26
    copies: int = 0

    @classmethod
    def of_file(cls, size: int) -> "Budget":
        """The budget of a file of `size` bytes; each of its payloads is copied once at most."""
        return cls(copies=min(2 * size + (1 << 20), 1 << 30))

    def spend(self, elements: int = 0, text: int = 0, copies: int = 0) -> None:
        """Subtract from what is left.

        Raises:
            DamagedError: nothing is left.
        """
        self.elements -= elements
        self.text -= text
        self.copies -= copies
        if self.elements < 0:
            raise DamagedError("it has far more entries than any checkpoint")
        if self.text < 0:
            raise DamagedError("it has far longer names and texts than any checkpoint")
        if self.copies < 0:
            raise DamagedError("it copies far more data than any checkpoint")

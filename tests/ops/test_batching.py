"""Numbers of inputs that belong together."""

import pytest

from fice_core.errors import FiceError
from fice_core.ops.batching import broadcast_count


@pytest.mark.parametrize(
    ("counts", "edits"),
    [((1, 1), 1), ((4, 1), 4), ((1, 3), 3), ((3, 3), 3), ((2, 1, 2), 2)],
)
def test_broadcast_count(counts, edits):
    assert broadcast_count({f"thing {k}": count for k, count in enumerate(counts)}) == edits


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"pictures": 2, "prompts": 3}, "^2 pictures and 3 prompts do not pair up"),
        ({"pictures": 2, "masks": 1, "codes": 4}, "^2 pictures and 4 codes do not pair up"),
        ({"pictures": 0, "prompts": 1}, "^there are no pictures"),
    ],
)
def test_numbers_that_do_not_pair_up(counts, message):
    with pytest.raises(FiceError, match=message):
        broadcast_count(counts)

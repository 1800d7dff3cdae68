"""When to try again."""

import pytest

from kvpool import Backoff


def test_each_wait_is_longer_by_the_factor_and_none_longer_than_the_maximum():
    assert list(Backoff(retries=4, initial=1, factor=3, maximum=10)) == [1, 3, 9, 10]
    assert list(Backoff(retries=0)) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial": -1}, "initial = -1 is not at least 0"),
        ({"factor": 0.5}, "factor = 0.5 is not at least 1"),
        ({"maximum": float("nan")}, "maximum = nan is not at least 0"),
    ],
)
def test_bad_backoffs_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Backoff(**arguments)

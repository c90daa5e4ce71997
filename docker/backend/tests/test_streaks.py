from datetime import date, timedelta

import pytest

from app.streaks import current_streak

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("days_ago", "streak"),
    [
        ([], 0),
        ([0], 1),
        ([1], 1),
        ([2], 0),
        ([0, 1, 2], 3),
        ([1, 2], 2),
        ([0, 2, 3], 1),
        ([0, 0, 1], 2),
        ([-1], 0),
        ([-1, 0], 1),
    ],
)
def test_a_streak_ends_today_or_yesterday(days_ago: list[int], streak: int) -> None:
    assert current_streak([TODAY - timedelta(days=ago) for ago in days_ago], TODAY) == streak


def test_a_streak_crosses_the_end_of_february() -> None:
    assert current_streak([date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)], TODAY) == 3

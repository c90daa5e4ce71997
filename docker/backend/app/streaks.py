"""How many days in a row a habit was kept."""

from collections.abc import Iterable
from datetime import date, timedelta


def current_streak(days: Iterable[date], today: date) -> int:
    """The length of the run of checked days that ends today, or yesterday: a day that is not over breaks nothing."""
    checked = {day for day in days if day <= today}
    day = today if today in checked else today - timedelta(days=1)
    length = 0
    while day in checked:
        length += 1
        day -= timedelta(days=1)
    return length

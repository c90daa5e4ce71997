"""The habit tracker's API: accounts, habits, check-offs, streaks and a coach."""

PORT = 8000

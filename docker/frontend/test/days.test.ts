import assert from "node:assert/strict";
import { test } from "node:test";
import { localDay, streakText } from "../lib/days";

test("the day is that of the local clock", () => {
  assert.equal(localDay(new Date(2026, 0, 5, 23, 59, 59)), "2026-01-05");
  assert.equal(localDay(new Date(2026, 10, 23, 0, 0, 0)), "2026-11-23");
});

test("streaks are counted in words that fit the number", () => {
  assert.deepEqual([0, 1, 2, 100].map(streakText), ["No streak yet", "1-day streak", "2-day streak", "100-day streak"]);
});

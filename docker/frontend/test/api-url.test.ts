import assert from "node:assert/strict";
import { test } from "node:test";
import { below, readApiUrl } from "../lib/api-url";

const read = (value?: string) => readApiUrl({ NEXT_PUBLIC_API_URL: value });

test("a URL is kept as it was configured", () => {
  for (const text of ["http://habit-tracker-backend:8000", "https://api.example.org/v1/"]) {
    const api = read(text);
    assert.equal(api.problem, undefined);
    assert.equal(api.text, text);
  }
});

test("a value that cannot be used is named and not repeated", () => {
  const cases: [string | undefined, string][] = [
    [undefined, "is not set"],
    ["", "is not set"],
    ["hidden", "is not a URL"],
    ["http://", "is not a URL"],
    ["http://host:hidden", "is not a URL"],
    ["ftp://hidden", "begins with neither"],
    ["hidden:8000", "begins with neither"],
    ["http://user:hidden@host", "holds a user name or password"],
    ["http://host/?key=hidden", "has a query or a fragment"],
    ["http://host/#hidden", "has a query or a fragment"],
  ];
  for (const [value, cause] of cases) {
    const { problem = "" } = read(value);
    assert.ok(problem.startsWith(`\`NEXT_PUBLIC_API_URL\` ${cause}`), `${value}: ${problem}`);
    assert.ok(!problem.includes("hidden"), problem);
  }
});

test("the value is that of the moment, not of the build", () => {
  process.env.NEXT_PUBLIC_API_URL = "http://first:1";
  assert.equal(readApiUrl().text, "http://first:1");
  process.env.NEXT_PUBLIC_API_URL = "http://second:2";
  assert.equal(readApiUrl().text, "http://second:2");
});

test("paths go below the configured one, with or without a slash at its end", () => {
  for (const base of ["http://host/v1", "http://host/v1/"]) {
    assert.equal(below(new URL(base), "/habits", "?today=2026-01-01").href, "http://host/v1/habits?today=2026-01-01");
  }
  assert.equal(below(new URL("http://host"), "/a%2Fb").href, "http://host/a%2Fb");
});

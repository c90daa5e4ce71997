import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiProbe } from "../lib/api-status";
import { readApiUrl } from "../lib/api-url";
import { deadUrl, startApi } from "./servers";

const api = (url?: string) => readApiUrl({ NEXT_PUBLIC_API_URL: url });

test("an API that answers has no problem", async (context) => {
  const { url, received } = await startApi(context, (response) => response.end("{}"));
  assert.deepEqual(await new ApiProbe().status(api(url)), { url });
  assert.equal(received[0]?.url, "/health");
});

test("an API that is not there, or is something else, has one", async (context) => {
  const dead = await deadUrl();
  assert.deepEqual(await new ApiProbe().status(api(dead)), { url: dead, problem: "connection refused" });
  const { url } = await startApi(context, (response) => response.writeHead(404).end());
  assert.deepEqual(await new ApiProbe().status(api(url)), { url, problem: "status 404 from /health" });
});

test("an API that never answers does not hold up the page", async (context) => {
  const { url } = await startApi(context, () => undefined);
  assert.equal((await new ApiProbe().status(api(url))).problem, "no answer within 0.8 s");
});

test("without a URL nobody is asked", async () => {
  const probe = new ApiProbe(() => assert.fail("asked"));
  const { url, problem } = await probe.status(api(undefined));
  assert.equal(url, undefined);
  assert.match(problem ?? "", /^`NEXT_PUBLIC_API_URL` is not set/);
});

test("many pages ask once, later ones ask again, and another URL is another question", async () => {
  let now = 0;
  const asked: string[] = [];
  const probe = new ApiProbe(
    async (url) => {
      asked.push(url.host);
      return `answer ${asked.length}`;
    },
    () => now,
  );
  const many = await Promise.all([1, 2, 3].map(() => probe.status(api("http://one"))));
  assert.deepEqual(new Set(many.map(({ problem }) => problem)), new Set(["answer 1"]));
  now = 2_001;
  assert.equal((await probe.status(api("http://one"))).problem, "answer 2");
  assert.equal((await probe.status(api("http://two"))).problem, "answer 3");
  assert.deepEqual(asked, ["one", "one", "two"]);
});

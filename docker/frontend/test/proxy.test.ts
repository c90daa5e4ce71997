import assert from "node:assert/strict";
import http from "node:http";
import { test, type TestContext } from "node:test";
import { forward } from "../lib/proxy";
import { deadUrl, startApi, startServer } from "./servers";

/** Calls the proxy as it is set up for `apiUrl`. */
async function call(context: TestContext, apiUrl: string | undefined, path: string, init?: RequestInit): Promise<Response> {
  if (apiUrl === undefined) delete process.env.NEXT_PUBLIC_API_URL;
  else process.env.NEXT_PUBLIC_API_URL = apiUrl;
  const proxy = await startServer(context, (request, response) => void forward(request, response));
  return fetch(proxy + path, init);
}

test("a call arrives as it was made and its answer comes back", async (context) => {
  const api = await startApi(context, (response) => {
    response.writeHead(201, { "content-type": "application/json", "set-cookie": "a=b", server: "secret/1.0" });
    response.end('{"id":1}');
  });
  const response = await call(context, `${api.url}/v1`, "/api/backend/habits/a%2Fb?today=2026-01-01", {
    method: "POST",
    headers: { authorization: "Bearer token", "content-type": "application/json", cookie: "session=1" },
    body: '{"name":"Réad"}',
  });
  assert.equal(response.status, 201);
  assert.deepEqual(await response.json(), { id: 1 });
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(response.headers.get("set-cookie"), null);
  assert.equal(response.headers.get("server"), null);

  const [received] = api.received;
  assert.equal(received?.method, "POST");
  assert.equal(received?.url, "/v1/habits/a%2Fb?today=2026-01-01");
  assert.equal(received?.body, '{"name":"Réad"}');
  assert.equal(received?.headers.authorization, "Bearer token");
  assert.equal(received?.headers.cookie, undefined);
  assert.equal(received?.headers.connection, "close");
});

test("a refusal of the API is handed on with its reason", async (context) => {
  const api = await startApi(context, (response) => {
    response.writeHead(401, { "content-type": "application/json", "www-authenticate": "Bearer" });
    response.end('{"detail":"Log in"}');
  });
  const response = await call(context, api.url, "/api/backend/habits");
  assert.equal(response.status, 401);
  assert.equal(response.headers.get("www-authenticate"), "Bearer");
  assert.deepEqual(await response.json(), { detail: "Log in" });
});

test("an answer without a body stays one", async (context) => {
  const api = await startApi(context, (response) => response.writeHead(204).end());
  const response = await call(context, api.url, "/api/backend/habits/1", { method: "DELETE" });
  assert.equal(response.status, 204);
  assert.equal(await response.text(), "");
});

test("no path leads out of the API's own", async (context) => {
  const api = await startApi(context, (response) => response.end());
  process.env.NEXT_PUBLIC_API_URL = `${api.url}/v1`;
  const proxy = new URL(await startServer(context, (request, response) => void forward(request, response)));
  for (const path of ["/api/backend/../../../admin", "/api/backend/%2e%2e/admin", "/api/backend"]) {
    // `fetch` would resolve the dots itself.
    const status = await new Promise((resolve, reject) => {
      http.get({ host: proxy.hostname, port: proxy.port, path }, (response) => resolve(response.resume().statusCode)).on("error", reject);
    });
    assert.equal(status, 404);
  }
  assert.deepEqual(api.received, []);
});

test("an API that does not answer is named with the cause", async (context) => {
  const url = await deadUrl();
  const response = await call(context, url, "/api/backend/habits");
  assert.equal(response.status, 502);
  const { detail } = (await response.json()) as { detail: string };
  assert.equal(detail, `The API at \`${url}\` is not reachable: connection refused. Try again in a moment.`);
});

test("an API that breaks off is not reachable either", async (context) => {
  const api = await startApi(context, (response) => response.socket?.destroy());
  assert.equal((await call(context, api.url, "/api/backend/habits")).status, 502);
});

test("a missing variable is named", async (context) => {
  const response = await call(context, undefined, "/api/backend/habits");
  assert.equal(response.status, 502);
  const { detail } = (await response.json()) as { detail: string };
  assert.match(detail, /^The API is not reachable: `NEXT_PUBLIC_API_URL` is not set/);
});

test("a body that is too large goes nowhere", async (context) => {
  const api = await startApi(context, (response) => response.end());
  const response = await call(context, api.url, "/api/backend/habits", { method: "POST", body: "x".repeat(64 * 1024 + 1) });
  assert.equal(response.status, 413);
  assert.equal(api.received.length, 0);
});

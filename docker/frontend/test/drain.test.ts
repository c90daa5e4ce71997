import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Drain } from "../lib/drain";

test("what was asked before or during the drain is answered, and then the process ends", async () => {
  const app = await startApp();
  const agent = new http.Agent({ keepAlive: true });
  const exited = new Promise<number>((resolve) => new Drain(resolve, 20, 10_000).listen());
  assert.equal((await get(app.port, "/", agent)).headers.connection, "keep-alive");
  const slow = get(app.port, "/slow", agent);
  await app.slowReached;

  process.emit("SIGTERM");
  const late = await get(app.port, "/", agent);
  assert.equal(late.statusCode, 200);
  assert.equal(late.headers.connection, "close");

  while (await get(app.port, "/").then(() => true, () => false));
  app.finishSlow();
  assert.equal((await slow).statusCode, 200);
  assert.equal(await exited, 0);
  agent.destroy();
});

test("a request that never ends is left after the time for it", async (context) => {
  const app = await startApp();
  context.after(() => app.server.closeAllConnections());
  const exited = new Promise<number>((resolve) => {
    const drain = new Drain(resolve, 0, 20);
    drain.listen();
    void app.slowReached.then(() => drain.begin());
  });
  get(app.port, "/slow").catch(() => undefined);
  assert.equal(await exited, 1);
});

interface App {
  server: http.Server;
  port: number;
  slowReached: Promise<void>;
  finishSlow: () => void;
}

/** Answers everything at once but `/slow`, which it answers when it is told to. */
async function startApp(): Promise<App> {
  const server = http.createServer();
  let finishSlow = (): void => assert.fail("nobody asked for /slow");
  const slowReached = new Promise<void>((resolve) => {
    server.on("request", (request, response) => {
      if (request.url !== "/slow") return response.end("ok");
      finishSlow = () => response.end("ok");
      resolve();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port, slowReached, finishSlow: () => finishSlow() };
}

/** Without an agent, on a connection of its own. */
function get(port: number, path: string, agent: http.Agent | false = false): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    http.get({ host: "127.0.0.1", port, path, agent }, (response) => resolve(response.resume())).on("error", reject);
  });
}

/**
 * Stopping without losing a request.
 *
 * When Kubernetes deletes a pod it sends SIGTERM and takes the pod out of its Service at the same moment, so requests
 * still arrive for a little while. Therefore the first SIGTERM opens a short phase in which everything is answered as
 * before, but with `Connection: close`, so that clients come back on a connection to another pod. Only then does the
 * port close, and what is still being answered is finished.
 */

import diagnostics from "node:diagnostics_channel";
import type { Server, ServerResponse } from "node:http";

const DRAIN_MS = 3_000;
// With the drain, and a few seconds of a `preStop` hook before it, below the 30 seconds after which Kubernetes kills.
const FINISH_MS = 15_000;

/** What Node.js tells with every request. */
interface HttpMessage {
  response: ServerResponse;
  server: Server;
}

export class Drain {
  // Next.js does not hand out its HTTP server.
  private readonly servers = new Set<Server>();
  private draining = false;
  private stopping = false;

  constructor(
    private readonly exit: (code: number) => void,
    private readonly drainMs = DRAIN_MS,
    private readonly finishMs = FINISH_MS,
  ) {}

  listen(): void {
    diagnostics.subscribe("http.server.request.start", (message) => {
      const { response, server } = message as HttpMessage;
      this.servers.add(server);
      if (this.draining) response.setHeader("Connection", "close");
    });
    diagnostics.subscribe("http.server.response.finish", (message) => {
      const { server } = message as HttpMessage;
      // The connection is idle, and Node.js 18 does not close it by itself, only after this event.
      if (this.stopping) setImmediate(() => server.closeIdleConnections());
    });
    process.on("SIGTERM", () => this.begin());
    process.on("SIGINT", () => this.stop());
  }

  /** Drains, then stops. Asked a second time it stops at once. */
  begin(): void {
    if (this.draining) return this.stop();
    this.draining = true;
    console.log(`stopping: answering for ${this.drainMs / 1000} s more, then finishing open requests`);
    setTimeout(() => this.stop(), this.drainMs);
  }

  private stop(): void {
    if (this.stopping) return;
    this.stopping = true;
    this.draining = true;
    const closed = [...this.servers].map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeIdleConnections();
        }),
    );
    void Promise.all(closed).then(() => this.exit(0));
    setTimeout(() => {
      console.log(`stopping: requests are still open after ${this.finishMs / 1000} s; leaving them`);
      this.exit(1);
    }, this.finishMs).unref();
  }
}

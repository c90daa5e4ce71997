/** One HTTP exchange with the API. */

import http from "node:http";
import https from "node:https";

export interface Exchange {
  method: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  timeoutMs: number;
}

export interface Reply {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

/** The API did not answer; the message is the cause, as the end of a sentence. */
export class UnreachableError extends Error {}

/**
 * A connection of its own for every exchange: a request sent on a kept one is lost when the pod at its other end closes
 * it at that moment, and between two pods of one cluster a new connection costs next to nothing.
 */
export function exchange(url: URL, { method, headers, body, timeoutMs }: Exchange): Promise<Reply> {
  const client = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new UnreachableError(causeOf(error, timeoutMs)));
    const signal = AbortSignal.timeout(timeoutMs);
    const request = client.request(url, { method, headers, agent: false, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", fail);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 502, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.on("error", fail);
    request.end(body);
  });
}

function causeOf(error: NodeJS.ErrnoException, timeoutMs: number): string {
  // Where a name has several addresses, the errors of the attempts are inside.
  const inner = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error;
  switch (inner.code ?? inner.name) {
    case "ABORT_ERR":
    case "AbortError":
    case "TimeoutError":
      return `no answer within ${timeoutMs / 1000} s`;
    case "ECONNREFUSED":
      return "connection refused";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its host name is not known";
    default:
      return inner.code ?? inner.message;
  }
}

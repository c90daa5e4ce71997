/** Hands a browser's call on to the API, so that the browser needs to reach nothing but this server. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { below, readApiUrl } from "./api-url";
import { exchange, UnreachableError } from "./http";

const PREFIX = "/api/backend/";
// Log-ins wait for each other on a small share of a core: a hundred at once take some seconds.
const ANSWER_MS = 25_000;
const MAX_BODY_BYTES = 64 * 1024;
const REQUEST_HEADERS = ["accept", "authorization", "content-type"];
const RESPONSE_HEADERS = ["content-type", "www-authenticate"];

export async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const api = readApiUrl();
  if (api.problem !== undefined) return refuse(response, 502, `The API is not reachable: ${api.problem}`);
  // As it came, not decoded: an encoded slash in a name stays one.
  const { pathname, search } = new URL(request.url ?? "/", "http://localhost");
  if (!pathname.startsWith(PREFIX)) return refuse(response, 404, `\`${pathname}\` is not below \`${PREFIX}\`.`);
  const body = await readBody(request);
  if (body === undefined) return refuse(response, 413, `The request is larger than ${MAX_BODY_BYTES} bytes.`);

  const headers: Record<string, string> = body.length > 0 ? { "content-length": String(body.length) } : {};
  for (const name of REQUEST_HEADERS) {
    const value = request.headers[name];
    if (typeof value === "string") headers[name] = value;
  }
  try {
    const reply = await exchange(below(api.url, `/${pathname.slice(PREFIX.length)}`, search), {
      method: request.method ?? "GET",
      headers,
      body,
      timeoutMs: ANSWER_MS,
    });
    response.statusCode = reply.status;
    response.setHeader("cache-control", "no-store");
    for (const name of RESPONSE_HEADERS) {
      const value = reply.headers[name];
      if (value !== undefined) response.setHeader(name, value);
    }
    response.end(reply.body);
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    refuse(response, 502, `The API at \`${api.text}\` is not reachable: ${error.message}. Try again in a moment.`);
  }
}

/** The whole body, or nothing if it is too large. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // What is too large is read all the same, so that the client gets to see the refusal.
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return size <= MAX_BODY_BYTES ? Buffer.concat(chunks) : undefined;
}

/** In the form of the API's own refusals. */
function refuse(response: ServerResponse, status: number, detail: string): void {
  response.statusCode = status;
  response.setHeader("cache-control", "no-store");
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ detail }));
}

/** Hands a browser's call on to the API, so that the browser needs to reach nothing but this server. */

import { below, readApiUrl } from "./api-url";
import { exchange, UnreachableError } from "./http";

export const PREFIX = "/api/backend";

const ANSWER_MS = 15_000;
const MAX_BODY_BYTES = 64 * 1024;
const REQUEST_HEADERS = ["accept", "authorization", "content-type"];
const RESPONSE_HEADERS = ["content-type", "www-authenticate"];

export async function forward(request: Request, env?: Record<string, string | undefined>): Promise<Response> {
  const api = readApiUrl(env);
  if (api.problem !== undefined) return refuse(502, `The API is not reachable: ${api.problem}`);
  // As it came, not decoded: an encoded slash in a name stays one.
  const { pathname, search } = new URL(request.url);
  const body = await readBody(request);
  if (body === undefined) return refuse(413, `The request is larger than ${MAX_BODY_BYTES} bytes.`);

  const headers: Record<string, string> = {};
  for (const name of REQUEST_HEADERS) {
    const value = request.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  if (body.length > 0) headers["content-length"] = String(body.length);
  try {
    const reply = await exchange(below(api.url, pathname.slice(PREFIX.length), search), {
      method: request.method,
      headers,
      body,
      timeoutMs: ANSWER_MS,
    });
    const answer = new Headers({ "cache-control": "no-store" });
    for (const name of RESPONSE_HEADERS) {
      const value = reply.headers[name];
      if (typeof value === "string") answer.set(name, value);
    }
    const empty = reply.status === 204 || reply.status === 304;
    return new Response(empty ? null : new Uint8Array(reply.body), { status: reply.status, headers: answer });
  } catch (error) {
    if (error instanceof UnreachableError) {
      return refuse(502, `The API at \`${api.text}\` is not reachable: ${error.message}. Try again in a moment.`);
    }
    throw error;
  }
}

/** The whole body, or nothing if it is too large. */
async function readBody(request: Request): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
    size += part.value.length;
    if (size > MAX_BODY_BYTES) {
      await reader?.cancel();
      return undefined;
    }
    chunks.push(part.value);
  }
  return Buffer.concat(chunks);
}

/** In the form of the API's own refusals. */
function refuse(status: number, detail: string): Response {
  return Response.json({ detail }, { status, headers: { "cache-control": "no-store" } });
}

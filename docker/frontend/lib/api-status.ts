/** Whether the API answers, for the page to say so. */

import { below, type ApiUrl } from "./api-url";
import { exchange, UnreachableError } from "./http";

const FRESH_MS = 2_000;
// Below the second that a Kubernetes probe of the page waits by default.
const PATIENCE_MS = 800;

export interface ApiStatus {
  /** The configured URL, if it is well-formed. */
  url?: string;
  /** Why the API cannot be used; absent if it can. */
  problem?: string;
}

/** Asks `/health`, at most once every two seconds however many pages are served. */
export class ApiProbe {
  private asked?: { url: string; at: number; problem: Promise<string | undefined> };

  constructor(
    private readonly ask: (url: URL) => Promise<string | undefined> = askHealth,
    private readonly now: () => number = Date.now,
  ) {}

  async status(api: ApiUrl): Promise<ApiStatus> {
    if (api.problem !== undefined) return { problem: api.problem };
    if (this.asked?.url !== api.text || this.now() - this.asked.at > FRESH_MS) {
      this.asked = { url: api.text, at: this.now(), problem: this.ask(api.url) };
    }
    const problem = await this.asked.problem;
    return problem === undefined ? { url: api.text } : { url: api.text, problem };
  }
}

async function askHealth(url: URL): Promise<string | undefined> {
  try {
    const reply = await exchange(below(url, "/health"), { method: "GET", headers: {}, timeoutMs: PATIENCE_MS });
    return reply.status === 200 ? undefined : `status ${reply.status} from /health`;
  } catch (error) {
    if (error instanceof UnreachableError) return error.message;
    throw error;
  }
}

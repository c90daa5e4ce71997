/** Where the API is: `NEXT_PUBLIC_API_URL`, read anew for every page and every call. */

const VARIABLE = "NEXT_PUBLIC_API_URL";

export type ApiUrl =
  /** `text` is the value as it was configured. */
  { text: string; url: URL; problem?: undefined } | { text?: undefined; url?: undefined; problem: string };

/**
 * The name is looked up in a variable on purpose: Next.js replaces a literal `process.env.NEXT_PUBLIC_...` by the value
 * of the moment of the build, and this one belongs to the moment of the request.
 *
 * A malformed value is not repeated in the problem, since it may hold a password.
 */
export function readApiUrl(env: Readonly<Record<string, string | undefined>> = process.env): ApiUrl {
  const text = env[VARIABLE];
  const problem = (cause: string): ApiUrl => ({
    problem: `\`${VARIABLE}\` ${cause}. Set it to a URL such as http://habit-tracker-backend:8000 and restart.`,
  });
  if (!text) return problem("is not set");
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return problem("is not a URL");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return problem("begins with neither http:// nor https://");
  if (url.username || url.password) return problem("holds a user name or password, which the page would show");
  if (url.search || url.hash) return problem("has a query or a fragment");
  return { text, url };
}

/** The address of `path`, which begins with a slash, below the API's URL. */
export function below(base: URL, path: string, query = ""): URL {
  const url = new URL(base);
  url.pathname = base.pathname.replace(/\/+$/, "") + path;
  url.search = query;
  return url;
}

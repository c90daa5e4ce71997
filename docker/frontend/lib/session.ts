/**
 * The access token, kept across reloads. It is in local storage, not in a cookie, so that no other site can make the
 * browser send it; the pages load no script from elsewhere that could read it.
 */

const KEY = "habit-tracker-token";
const CHANGED = "habit-tracker-session";

export function readToken(): string | null {
  return localStorage.getItem(KEY);
}

export function keepToken(token: string | null): void {
  if (token === null) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, token);
  window.dispatchEvent(new Event(CHANGED));
}

/** Calls back when the token changes, in this tab or in another. */
export function onTokenChange(callback: () => void): () => void {
  window.addEventListener(CHANGED, callback);
  window.addEventListener("storage", callback);
  return () => {
    window.removeEventListener(CHANGED, callback);
    window.removeEventListener("storage", callback);
  };
}

import { useCallback, useState, useSyncExternalStore } from "react";
import { ApiError } from "../lib/client";
import { keepToken, onTokenChange, readToken } from "../lib/session";
import { Coach } from "./coach";
import { Habits } from "./habits";
import { LogIn } from "./log-in";

/** The log-in form, or the habits of whoever is logged in. */
export function HabitTracker() {
  // The server does not know who is logged in, so it renders neither.
  const token = useSyncExternalStore(onTokenChange, readToken, () => undefined);
  const [notice, setNotice] = useState<string>();

  /** What to say about a failed call. A refused token ends the session. */
  const explain = useCallback((error: unknown): string => {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) {
      setNotice(error.message);
      keepToken(null);
    }
    return error.message;
  }, []);

  if (token === undefined) return <p className="quiet">Loading…</p>;
  if (token === null) {
    return (
      <LogIn
        notice={notice}
        onToken={(fresh) => {
          setNotice(undefined);
          keepToken(fresh);
        }}
      />
    );
  }
  return (
    <>
      <Habits token={token} explain={explain} />
      <Coach token={token} explain={explain} />
      <button type="button" className="plain" onClick={() => keepToken(null)}>
        Log out
      </button>
    </>
  );
}

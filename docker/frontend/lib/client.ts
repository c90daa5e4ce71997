/** The API as the browser calls it: through this server's own proxy. */

export interface Habit {
  id: number;
  name: string;
  streak: number;
  checked_today: boolean;
}

export interface Credentials {
  email: string;
  password: string;
}

/** The call failed; the message is fit to be shown. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

async function call<Result>(method: string, path: string, options: { token?: string; body?: object } = {}): Promise<Result> {
  let response: Response;
  try {
    response = await fetch(`/api/backend${path}`, {
      method,
      headers: {
        ...(options.body && { "Content-Type": "application/json" }),
        ...(options.token && { Authorization: `Bearer ${options.token}` }),
      },
      body: options.body && JSON.stringify(options.body),
    });
  } catch {
    throw new ApiError("This page's server does not answer. Check your connection and try again.", 0);
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw new ApiError(detailOf(answer) ?? `The API answered with status ${response.status}.`, response.status);
  return answer as Result;
}

function detailOf(answer: unknown): string | undefined {
  const detail = (answer as { detail?: unknown } | undefined)?.detail;
  return typeof detail === "string" ? detail : undefined;
}

interface Token {
  access_token: string;
}

export const register = (credentials: Credentials) => call<Token>("POST", "/auth/register", { body: credentials });

export const logIn = (credentials: Credentials) => call<Token>("POST", "/auth/login", { body: credentials });

export const listHabits = (token: string, today: string) => call<Habit[]>("GET", `/habits?today=${today}`, { token });

export const createHabit = (token: string, name: string) => call<Habit>("POST", "/habits", { token, body: { name } });

/** Marks the habit as kept today, or takes that back. */
export const setChecked = (token: string, habit: Habit, today: string, checked: boolean) =>
  call<Habit>(checked ? "PUT" : "DELETE", `/habits/${habit.id}/checks/${today}?today=${today}`, { token });

export const askCoach = (token: string, message: string) => call<{ reply: string }>("POST", "/chat", { token, body: { message } });

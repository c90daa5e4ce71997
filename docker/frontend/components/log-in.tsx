import { useState, type FormEvent } from "react";
import { ApiError, logIn, register } from "../lib/client";
import { Prose } from "./prose";

interface Props {
  notice?: string;
  onToken: (token: string) => void;
}

export function LogIn({ notice, onToken }: Props) {
  const [isNew, setIsNew] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(notice);

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const credentials = { email: String(form.get("email")), password: String(form.get("password")) };
    setBusy(true);
    setProblem(undefined);
    try {
      const { access_token } = await (isNew ? register : logIn)(credentials);
      onToken(access_token);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setProblem(error.message);
      setBusy(false);
    }
  }

  const action = isNew ? "Register" : "Log in";
  return (
    <section className="card" aria-labelledby="log-in">
      <h2 id="log-in">{action}</h2>
      <form onSubmit={submit} className="fields">
        <label>
          Email
          <input name="email" type="email" autoComplete="email" required />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autoComplete={isNew ? "new-password" : "current-password"}
            minLength={8}
            maxLength={128}
            aria-describedby={isNew ? "password-rule" : undefined}
            required
          />
        </label>
        {isNew && (
          <p id="password-rule" className="quiet">
            At least 8 characters.
          </p>
        )}
        {problem && (
          <p role="alert" className="notice problem">
            <Prose text={problem} />
          </p>
        )}
        <button type="submit" disabled={busy}>
          {busy ? "One moment…" : action}
        </button>
      </form>
      <p className="quiet">
        {isNew ? "You have an account?" : "New here?"}{" "}
        <button
          type="button"
          className="plain"
          onClick={() => {
            setIsNew(!isNew);
            setProblem(undefined);
          }}
        >
          {isNew ? "Log in instead" : "Register instead"}
        </button>
      </p>
    </section>
  );
}

"use client";

import { useState, type FormEvent } from "react";
import { askCoach } from "../lib/client";

interface Props {
  token: string;
  explain: (error: unknown) => string;
}

interface Exchange {
  question: string;
  reply?: string;
  problem?: string;
}

export function Coach({ token, explain }: Props) {
  const [exchanges, setExchanges] = useState<Exchange[]>([]);
  const [busy, setBusy] = useState(false);

  async function ask(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget;
    const question = String(new FormData(form).get("question"));
    setBusy(true);
    let answer: Pick<Exchange, "reply" | "problem">;
    try {
      answer = await askCoach(token, question);
      form.reset();
    } catch (error) {
      answer = { problem: explain(error) };
    }
    setExchanges((old) => [...old, { question, ...answer }]);
    setBusy(false);
  }

  return (
    <section className="card" aria-labelledby="coach">
      <h2 id="coach">Coach</h2>
      <div aria-live="polite" className="chat">
        {exchanges.map(({ question, reply, problem }, index) => (
          <div key={index} className="exchange">
            <p className="question">{question}</p>
            <p className={problem ? "notice problem" : "notice"}>{reply ?? problem}</p>
          </div>
        ))}
      </div>
      <form onSubmit={ask} className="row">
        <input
          name="question"
          aria-label="Question for the coach"
          placeholder="How do I keep going?"
          maxLength={2000}
          required
        />
        <button type="submit" disabled={busy}>
          {busy ? "Asking…" : "Ask"}
        </button>
      </form>
    </section>
  );
}

import { useState, type FormEvent } from "react";
import { askCoach } from "../lib/client";
import { Prose } from "./prose";

interface Props {
  token: string;
  explain: (error: unknown) => string;
}

interface Exchange {
  question: string;
  answer: string;
  failed: boolean;
}

export function Coach({ token, explain }: Props) {
  const [exchanges, setExchanges] = useState<Exchange[]>([]);
  const [busy, setBusy] = useState(false);

  async function ask(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget;
    const question = String(new FormData(form).get("question"));
    setBusy(true);
    const show = (answer: string, failed: boolean): void => setExchanges((old) => [...old, { question, answer, failed }]);
    try {
      show((await askCoach(token, question)).reply, false);
      form.reset();
    } catch (error) {
      show(explain(error), true);
    }
    setBusy(false);
  }

  return (
    <section className="card" aria-labelledby="coach">
      <h2 id="coach">Coach</h2>
      <div aria-live="polite" className="chat">
        {exchanges.map(({ question, answer, failed }, index) => (
          <div key={index} className="exchange">
            <p className="question">{question}</p>
            <p className={failed ? "notice problem" : "notice"}>
              <Prose text={answer} />
            </p>
          </div>
        ))}
      </div>
      <form onSubmit={ask} className="row">
        <input
          name="question"
          aria-label="Question for the coach"
          placeholder="For example: how do I keep going?"
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

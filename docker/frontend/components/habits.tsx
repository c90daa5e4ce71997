"use client";

import { useCallback, useEffect, useState, type FormEvent } from "react";
import { createHabit, listHabits, setChecked, type Habit } from "../lib/client";
import { localDay } from "../lib/days";
import { Streak } from "./streak";

interface Props {
  token: string;
  explain: (error: unknown) => string;
}

const today = (): string => localDay(new Date());

export function Habits({ token, explain }: Props) {
  const [habits, setHabits] = useState<Habit[]>();
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);

  /** One call at a time; a failure is shown and changes nothing. */
  const attempt = useCallback(
    async (action: () => Promise<void>): Promise<void> => {
      setBusy(true);
      try {
        await action();
        setProblem(undefined);
      } catch (error) {
        setProblem(explain(error));
      } finally {
        setBusy(false);
      }
    },
    [explain],
  );

  useEffect(() => {
    // A page that comes back into view may be from yesterday.
    const load = (): void => {
      if (!document.hidden) void attempt(async () => setHabits(await listHabits(token, today())));
    };
    load();
    document.addEventListener("visibilitychange", load);
    return () => document.removeEventListener("visibilitychange", load);
  }, [token, attempt]);

  function add(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const form = event.currentTarget;
    const name = String(new FormData(form).get("name"));
    void attempt(async () => {
      const habit = await createHabit(token, name);
      setHabits((old = []) => [...old, habit]);
      form.reset();
    });
  }

  function toggle(habit: Habit, checked: boolean): void {
    void attempt(async () => {
      const changed = await setChecked(token, habit, today(), checked);
      setHabits((old = []) => old.map((one) => (one.id === changed.id ? changed : one)));
    });
  }

  return (
    <section className="card" aria-labelledby="habits" aria-busy={busy}>
      <h2 id="habits">Today</h2>
      {problem && (
        <p role="alert" className="notice problem">
          {problem}
        </p>
      )}
      {habits?.length === 0 && <p className="quiet">No habits yet. What would you like to do every day?</p>}
      {habits && habits.length > 0 && (
        <ul className="habits">
          {habits.map((habit) => (
            <li key={habit.id}>
              <label>
                <input
                  type="checkbox"
                  checked={habit.checked_today}
                  disabled={busy}
                  onChange={(event) => toggle(habit, event.target.checked)}
                />
                <span>{habit.name}</span>
              </label>
              <Streak days={habit.streak} />
            </li>
          ))}
        </ul>
      )}
      <form onSubmit={add} className="row">
        <input name="name" aria-label="New habit" placeholder="Read ten pages" maxLength={100} required />
        <button type="submit" disabled={busy}>
          Add
        </button>
      </form>
    </section>
  );
}

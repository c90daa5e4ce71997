import { useCallback, useEffect, useRef, useState, type FormEvent } from "react";
import { createHabit, listHabits, setChecked, type Habit } from "../lib/client";
import { localDay } from "../lib/days";
import { Prose } from "./prose";
import { Streak } from "./streak";

interface Props {
  token: string;
  explain: (error: unknown) => string;
}

const today = (): string => localDay(new Date());

export function Habits({ token, explain }: Props) {
  const [habits, setHabits] = useState<Habit[]>();
  const [problem, setProblem] = useState<string>();
  const [adding, setAdding] = useState(false);
  const lastCall = useRef<Promise<void>>(Promise.resolve());

  /** Calls one after another, so that quick clicks arrive in their order. A failure is shown, and `undo` is done. */
  const enqueue = useCallback(
    (call: () => Promise<void>, undo?: () => void): Promise<void> => {
      lastCall.current = lastCall.current.then(call).then(
        () => setProblem(undefined),
        (error: unknown) => {
          undo?.();
          setProblem(explain(error));
        },
      );
      return lastCall.current;
    },
    [explain],
  );

  useEffect(() => {
    // A page that comes back into view may be from yesterday.
    const load = (): void => {
      if (!document.hidden) void enqueue(async () => setHabits(await listHabits(token, today())));
    };
    load();
    document.addEventListener("visibilitychange", load);
    return () => document.removeEventListener("visibilitychange", load);
  }, [token, enqueue]);

  async function add(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    if (adding) return;
    setAdding(true);
    const form = event.currentTarget;
    const name = String(new FormData(form).get("name"));
    await enqueue(async () => {
      const habit = await createHabit(token, name);
      setHabits((old = []) => [...old, habit]);
      form.reset();
    });
    setAdding(false);
  }

  function toggle(habit: Habit, checked: boolean): void {
    const put = (habit: Habit): void => setHabits((old) => old?.map((one) => (one.id === habit.id ? habit : one)));
    // The box follows the click at once; the streak comes with the answer.
    put({ ...habit, checked_today: checked });
    void enqueue(
      async () => put(await setChecked(token, habit, today(), checked)),
      () => put(habit),
    );
  }

  return (
    <section className="card" aria-labelledby="habits" aria-busy={adding}>
      <h2 id="habits">Today</h2>
      {problem && (
        <p role="alert" className="notice problem">
          <Prose text={problem} />
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
        <input name="name" aria-label="New habit" placeholder="For example: read ten pages" maxLength={100} required />
        <button type="submit">Add</button>
      </form>
    </section>
  );
}

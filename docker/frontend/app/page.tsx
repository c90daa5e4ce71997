import { ApiState } from "../components/api-state";
import { HabitTracker } from "../components/habit-tracker";
import { ApiProbe } from "../lib/api-status";
import { readApiUrl } from "../lib/api-url";

// Made for every request: the API's URL and state are those of this moment.
export const dynamic = "force-dynamic";

const probe = new ApiProbe();

export default async function Page() {
  const status = await probe.status(readApiUrl());
  return (
    <div className="page">
      <header>
        <h1>Habit tracker</h1>
        <p>Small things, every day.</p>
      </header>
      <main>
        <noscript>
          <p className="notice problem">This page needs JavaScript to show and check off habits.</p>
        </noscript>
        <HabitTracker />
      </main>
      <footer>
        <ApiState status={status} />
      </footer>
    </div>
  );
}

import type { GetServerSideProps } from "next";
import { ApiNotice, ApiState } from "../components/api-state";
import { HabitTracker } from "../components/habit-tracker";
import { ApiProbe, type ApiStatus } from "../lib/api-status";
import { readApiUrl } from "../lib/api-url";

interface Props {
  status: ApiStatus;
}

const probe = new ApiProbe();

/** For every request: the API's URL and state are those of this moment. */
export const getServerSideProps: GetServerSideProps<Props> = async ({ res }) => {
  res.setHeader("Cache-Control", "no-store");
  return { props: { status: await probe.status(readApiUrl()) } };
};

export default function Page({ status }: Props) {
  return (
    <div className="page">
      <header>
        <h1>Habit tracker</h1>
        <p>Small things, every day.</p>
      </header>
      <main>
        <ApiNotice status={status} />
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

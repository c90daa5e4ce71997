import type { ApiStatus } from "../lib/api-status";
import { Prose } from "./prose";

/** Where the API is and whether it answers, as the server saw it when it served the page. */
export function ApiState({ status }: { status: ApiStatus }) {
  const reachable = status.problem === undefined;
  return (
    <p data-api-url={status.url ?? ""} data-api-reachable={reachable}>
      API: {status.url ? <code>{status.url}</code> : <span>unknown</span>}
      {" · "}
      <span>{reachable ? "answers" : "not reachable"}</span>
    </p>
  );
}

/** Nothing, unless the API cannot be used. */
export function ApiNotice({ status }: { status: ApiStatus }) {
  if (status.problem === undefined) return null;
  // A value that is malformed comes with its own advice.
  const advice = status.url ? ". Start it, or correct `NEXT_PUBLIC_API_URL`; then load this page again." : "";
  return (
    <p role="alert" className="notice problem">
      <Prose text={`The API is not reachable: ${status.problem}${advice}`} />
    </p>
  );
}

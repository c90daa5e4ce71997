import type { ApiStatus } from "../lib/api-status";

/** Where the API is and whether it answers, as the server saw it when it served the page. */
export function ApiState({ status }: { status: ApiStatus }) {
  const reachable = status.problem === undefined;
  return (
    <p className={reachable ? "api" : "api problem"} data-api-url={status.url ?? ""} data-api-reachable={reachable}>
      {status.url && (
        <>
          API: <code>{status.url}</code>{" "}
        </>
      )}
      {reachable ? <span>answers</span> : <span>{`The API is not reachable: ${status.problem}`}</span>}
    </p>
  );
}

import type { PageConfig } from "next";
import { forward } from "../../../lib/proxy";

// The body is handed on as it comes.
export const config = { api: { bodyParser: false, externalResolver: true } } satisfies PageConfig;

export default forward;

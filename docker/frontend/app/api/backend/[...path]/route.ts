import { forward } from "../../../../lib/proxy";

export const dynamic = "force-dynamic";

const handle = (request: Request): Promise<Response> => forward(request);

export { handle as DELETE, handle as GET, handle as PATCH, handle as POST, handle as PUT };

/**
 * The door of the demo: takes what browsers ask of localhost to the product page, through its own
 * sidecar, so that rules for the product page hold for them too. Bytes and failures pass unchanged.
 */
import type { Service } from "./bookinfo.ts";

const hopByHop: readonly string[] = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

export function edgeService(target = "http://productpage:9080"): Service {
  return async (request) => {
    const { pathname, search, host } = new URL(request.url);
    const headers = withoutHopByHop(request.headers);
    headers.delete("host");
    headers.set("x-forwarded-host", host);
    try {
      const response = await fetch(`${target}${pathname}${search}`, {
        method: request.method,
        headers,
        redirect: "manual",
        decompress: false,
        ...(request.body === null ? {} : { body: await request.arrayBuffer() }),
      });
      const { status, statusText } = response;
      const back = withoutHopByHop(response.headers);
      // A redirect within the service is one within the edge, whose name the browser knows.
      const location = back.get("location");
      if (location?.startsWith(`${target}/`)) back.set("location", location.slice(target.length));
      return new Response(response.body, { status, statusText, headers: back });
    } catch {
      return new Response("the sidecar of the edge does not answer\n", { status: 502 });
    }
  };
}

function withoutHopByHop(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of hopByHop) kept.delete(name);
  return kept;
}

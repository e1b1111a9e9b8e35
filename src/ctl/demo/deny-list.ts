/**
 * The demo's own list of guests who see no page, one name a line: the proxies fetch it every second
 * from here, and whoever tries the demo puts another in its place (PUT).
 */
const NAMES_BYTES_MAX = 64 * 1024;

export interface DenyList {
  /** "http://127.0.0.1:41234/denied" */
  readonly url: string;
  stop(): Promise<void>;
}

export function serveDenyList(names = "mallory\n"): DenyList {
  let held = names;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    maxRequestBodySize: NAMES_BYTES_MAX,
    async fetch(request): Promise<Response> {
      if (new URL(request.url).pathname !== "/denied")
        return new Response("see /denied\n", { status: 404 });
      switch (request.method) {
        case "PUT":
        case "POST":
          held = await request.text();
          return new Response(`denied, in a second or two:\n${held}`);
        case "GET":
          return new Response(held);
        default:
          return new Response("GET shows, PUT replaces\n", { status: 405 });
      }
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/denied`,
    stop: () => server.stop(true),
  };
}

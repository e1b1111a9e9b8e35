/** `mesh ctl demo-service`: one service of Bookinfo, as the demo starts it behind a sidecar. */
import { defineCtlCommand, EXIT, usageError } from "../command.ts";
import { detailsService, ratingsService, reviewsService, type Service } from "../demo/bookinfo.ts";
import { edgeService } from "../demo/edge.ts";
import { onParentGone } from "../demo/parent.ts";
import { productPageService } from "../demo/product-page.ts";

const GRACE_MS = 1_000;

const services: ReadonlyMap<string, (version: string) => Service> = new Map([
  ["productpage", productPageService],
  ["details", detailsService],
  ["reviews", reviewsService],
  ["ratings", ratingsService],
  ["edge", () => edgeService()],
]);
const names = [...services.keys()].join(", ");

export const demoServiceCommand = defineCtlCommand({
  args: {
    service: { type: "positional", description: names },
    port: { type: "string", valueHint: "PORT", description: "Where to listen, on loopback" },
    version: { type: "string", valueHint: "VERSION", description: "v1, v2 or v3", default: "v1" },
  },
  examples: [["mesh ctl demo-service reviews --port 9080 --version v2", "as the demo does"]],
  async run(args, { io }) {
    const make = services.get(args.service ?? "");
    if (make === undefined) throw usageError(`services are ${names}`);
    const port = Number(args.port ?? "9080");
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw usageError(`--port ${args.port} is not a port`);
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 60,
      fetch: make(args.version),
    });
    io.stdout(`${args.service} ${args.version} listens on 127.0.0.1:${server.port}\n`);
    let stopLooking = (): void => {};
    await new Promise<void>((resolve) => {
      process.once("SIGTERM", resolve);
      process.once("SIGINT", resolve);
      stopLooking = onParentGone(io.clock, resolve);
    });
    stopLooking();
    // Running requests end first; idle connections are not waited for.
    const cancel = io.clock.after(GRACE_MS, () => void server.stop(true));
    await server.stop();
    cancel();
    return EXIT.ok;
  },
});

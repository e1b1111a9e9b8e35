/**
 * REST and the dashboard, for reading only: nothing here changes anything, so a page that somebody
 * was lured to can do no harm.
 */
import { toJson } from "@bufbuild/protobuf";
import { type Context, Hono } from "hono";
import {
  ConfigObjectSchema,
  HistoryEntrySchema,
  ProxyStatusSchema,
  ServiceStatusSchema,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { isLoopbackAuthority } from "../../api/serve.ts";
import { MESH_VERSION } from "../../core/version.ts";
import type { Manager } from "../manager.ts";
import { historyMessage, objectMessage } from "../rpc/config-message.ts";
import { proxyStatuses, serviceStatuses } from "../rpc/status-service.ts";
import {
  DASHBOARD_HEADERS,
  dashboardPage,
  dashboardScript,
  dashboardStyle,
} from "./dashboard-page.tsx";
import { EventStreams } from "./event-stream.ts";

const HISTORY_MAX = 100;

export function webApp(manager: Manager): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    if (!isLoopbackAuthority(context.req.header("host") ?? new URL(context.req.url).host))
      return context.text("this name is not served here\n", 421);
    if (context.req.method !== "GET" && context.req.method !== "HEAD")
      return context.text("read only\n", 405, { allow: "GET, HEAD" });
    await next();
    for (const [name, value] of Object.entries(DASHBOARD_HEADERS)) context.header(name, value);
    return undefined;
  });
  addRest(app, manager);
  const page = dashboardPage();
  const script = dashboardScript();
  app.get("/", (context) => context.html(page));
  app.get("/dashboard.css", (context) => text(context, dashboardStyle, "text/css"));
  app.get("/dashboard.js", (context) => text(context, script, "text/javascript"));
  app.notFound((context) => context.text("no such page\n", 404));
  return app;
}

function addRest(app: Hono, manager: Manager): void {
  const { configuration } = manager;
  const events = new EventStreams(manager);
  const services = () =>
    serviceStatuses(manager).map((status) => toJson(ServiceStatusSchema, status));
  const proxies = () => proxyStatuses(manager).map((status) => toJson(ProxyStatusSchema, status));
  const rules = () =>
    configuration.list().map((stored) => toJson(ConfigObjectSchema, objectMessage(stored)));
  const version = () => ({ version: MESH_VERSION, revision: configuration.revision });
  app.get("/api/v1/services", (context) => context.json({ services: services() }));
  app.get("/api/v1/proxies", (context) => context.json({ proxies: proxies() }));
  app.get("/api/v1/rules", (context) => context.json({ ...version(), rules: rules() }));
  app.get("/api/v1/problems", (context) => context.json({ problems: manager.problems() }));
  app.get("/api/v1/version", (context) => context.json(version()));
  app.get("/api/v1/state", (context) =>
    context.json({
      ...version(),
      services: services(),
      proxies: proxies(),
      rules: rules(),
      problems: manager.problems(),
    }),
  );
  app.get("/api/v1/rules/:kind/:namespace/:name/history", async (context) => {
    const { kind, namespace, name } = context.req.param();
    const entries = await configuration.store.history(`${kind}/${namespace}/${name}`, HISTORY_MAX);
    return context.json({
      entries: entries.map((entry) => toJson(HistoryEntrySchema, historyMessage(entry))),
    });
  });
  app.get("/api/v1/events", () => events.response());
}

function text(context: Context, body: string, type: string): Response {
  return context.body(body, 200, { "content-type": `${type}; charset=utf-8` });
}

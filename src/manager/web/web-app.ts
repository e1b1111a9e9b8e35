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
  type ServiceStatus,
  ServiceStatusSchema,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { isLoopbackAuthority } from "../../api/serve.ts";
import { MESH_VERSION } from "../../core/version.ts";
import type { Manager } from "../manager.ts";
import { historyMessage, objectMessage } from "../rpc/config-message.ts";
import { proxyStatuses, serviceStatuses } from "../rpc/status-service.ts";
import { SignalReader } from "../signals/signal-reader.ts";
import {
  DASHBOARD_HEADERS,
  dashboardPage,
  dashboardScripts,
  dashboardStyle,
} from "./dashboard-page.tsx";
import { EventStreams } from "./event-stream.ts";

const HISTORY_MAX = 100;

export interface WebApp {
  readonly fetch: (request: Request) => Response | Promise<Response>;
  close(): void;
}

export function webApp(manager: Manager): WebApp {
  const app = new Hono();
  const events = new EventStreams(manager);
  const signals = new SignalReader({
    clock: manager.options.clock,
    addresses: () => manager.discovery.streams.map(({ node }) => node.adminAddress),
    isWatched: () => events.open > 0,
    onRead: () => events.tell(),
  });
  app.use(async (context, next) => {
    if (!isLoopbackAuthority(context.req.header("host") ?? new URL(context.req.url).host))
      return context.text("this name is not served here\n", 421);
    if (context.req.method !== "GET" && context.req.method !== "HEAD")
      return context.text("read only\n", 405, { allow: "GET, HEAD" });
    await next();
    for (const [name, value] of Object.entries(DASHBOARD_HEADERS)) context.header(name, value);
    return undefined;
  });
  addRest(app, manager, signals);
  app.get("/api/v1/events", () => events.response());
  const page = dashboardPage();
  app.get("/", (context) => context.html(page));
  app.get("/dashboard.css", (context) => text(context, dashboardStyle, "text/css"));
  for (const [path, script] of dashboardScripts())
    app.get(path, (context) => text(context, script, "text/javascript"));
  app.notFound((context) => context.text("no such page\n", 404));
  return { fetch: (request) => app.fetch(request), close: () => signals.close() };
}

function addRest(app: Hono, manager: Manager, reader: SignalReader): void {
  const { configuration } = manager;
  const services = () => {
    const signals = reader.signals();
    return serviceStatuses(manager).map((status) => ({
      ...toJsonObject(status),
      ...(signals.has(status.host) && { signals: signals.get(status.host) }),
    }));
  };
  const proxies = () => proxyStatuses(manager).map((status) => toJson(ProxyStatusSchema, status));
  const rules = () =>
    configuration.list().map((stored) => toJson(ConfigObjectSchema, objectMessage(stored)));
  const version = () => ({ version: MESH_VERSION, revision: configuration.revision });
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/api/v1/instances", (context) =>
    context.json({ instances: manager.registry.instances }),
  );
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
}

function toJsonObject(status: ServiceStatus): object {
  const json = toJson(ServiceStatusSchema, status);
  return typeof json === "object" && json !== null ? json : {};
}

function text(context: Context, body: string, type: string): Response {
  return context.body(body, 200, { "content-type": `${type}; charset=utf-8` });
}

/**
 * REST and the dashboard, for reading only: nothing here changes anything but who is logged in, so
 * a page that somebody was lured to can do no harm.
 */
import { toJson } from "@bufbuild/protobuf";
import { Hono } from "hono";
import type { FetchHandler } from "../../api/fetch-handler.ts";
import {
  ConfigObjectSchema,
  HistoryEntrySchema,
  ProxyStatusSchema,
  type ServiceStatus,
  ServiceStatusSchema,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { NOBODY } from "../../api/principal.ts";
import { isLoopbackAuthority } from "../../api/serve.ts";
import type { Problem } from "../../core/problem.ts";
import { redactText } from "../../core/redact.ts";
import { MESH_VERSION } from "../../core/version.ts";
import type { Access } from "../access/access.ts";
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
import {
  addSession,
  isForeign,
  isSecure,
  mayStillRead,
  readersOnly,
  type WebBindings,
  type WebContext,
} from "./session.ts";

const HISTORY_MAX = 100;

export interface WebApp {
  readonly fetch: FetchHandler;
  close(): void;
}

/** Without `access` everybody reads. */
export function webApp(manager: Manager, access?: Access): WebApp {
  const app = new Hono<WebBindings>();
  const events = new EventStreams(manager);
  const signals = new SignalReader({
    clock: manager.options.clock,
    addresses: () => manager.discovery.streams.map(({ node }) => node.adminAddress),
    isWatched: () => events.open > 0,
    onRead: () => events.tell(),
  });
  app.use(async (context, next) => {
    // In plaintext a name of anybody's may lead here; with TLS our certificate would not fit it.
    const host = context.req.header("host") ?? new URL(context.req.url).host;
    if (!isSecure(context) && !isLoopbackAuthority(host))
      return context.text("this name is not served here\n", 421);
    const { method, path } = context.req;
    const isSession = method === "POST" && (path === "/login" || path === "/logout");
    if (method !== "GET" && method !== "HEAD" && !isSession)
      return context.text("read only\n", 405, { allow: "GET, HEAD" });
    if (isSession && isForeign(context)) return context.text("no requests of other pages\n", 403);
    await next();
    for (const [name, value] of Object.entries(DASHBOARD_HEADERS)) context.header(name, value);
    return undefined;
  });
  app.use(readersOnly(access));
  addSession(app, access);
  addRest(app, manager, signals);
  app.get("/api/v1/events", ({ env: { caller } }) =>
    events.response(() => mayStillRead(access, caller)),
  );
  const page = dashboardPage();
  app.get("/", (context) => context.html(page));
  app.get("/dashboard.css", (context) => text(context, dashboardStyle, "text/css"));
  for (const [path, script] of dashboardScripts())
    app.get(path, (context) => text(context, script, "text/javascript"));
  app.notFound((context) => context.text("no such page\n", 404));
  return {
    fetch: (request, caller = NOBODY) => app.fetch(request, { caller }),
    close: () => {
      events.close();
      signals.close();
    },
  };
}

function addRest(app: Hono<WebBindings>, manager: Manager, reader: SignalReader): void {
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
    configuration
      .list()
      .map((stored) => toJson(ConfigObjectSchema, objectMessage(stored, "without secrets")));
  const problems = () => manager.problems().map(withoutSecrets);
  const version = () => ({ version: MESH_VERSION, revision: configuration.revision });
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/api/v1/instances", (context) =>
    context.json({ instances: manager.registry.instances }),
  );
  app.get("/api/v1/services", (context) => context.json({ services: services() }));
  app.get("/api/v1/proxies", (context) => context.json({ proxies: proxies() }));
  app.get("/api/v1/rules", (context) => context.json({ ...version(), rules: rules() }));
  app.get("/api/v1/problems", (context) => context.json({ problems: problems() }));
  app.get("/api/v1/version", (context) => context.json(version()));
  app.get("/api/v1/state", (context) =>
    context.json({
      ...version(),
      services: services(),
      proxies: proxies(),
      rules: rules(),
      problems: problems(),
    }),
  );
  app.get("/api/v1/rules/:kind/:namespace/:name/history", async (context) => {
    const { kind, namespace, name } = context.req.param();
    const entries = await configuration.store.history(`${kind}/${namespace}/${name}`, HISTORY_MAX);
    return context.json({
      entries: entries.map((entry) =>
        toJson(HistoryEntrySchema, historyMessage(entry, "without secrets")),
      ),
    });
  });
}

/** A message may repeat what was written, and the excerpt does. */
function withoutSecrets(problem: Problem): Problem {
  const excerpt = problem.excerpt === undefined ? {} : { excerpt: redactText(problem.excerpt) };
  return { ...problem, message: redactText(problem.message), ...excerpt };
}

function toJsonObject(status: ServiceStatus): object {
  const json = toJson(ServiceStatusSchema, status);
  return typeof json === "object" && json !== null ? json : {};
}

function text(context: WebContext, body: string, type: string): Response {
  return context.body(body, 200, { "content-type": `${type}; charset=utf-8` });
}

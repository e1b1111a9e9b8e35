/**
 * REST and the dashboard, for reading only: nothing here changes anything, so a page that somebody
 * was lured to can do no harm.
 */
import { toJson } from "@bufbuild/protobuf";
import { Hono } from "hono";
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

const HISTORY_MAX = 100;

export function webApp(manager: Manager): Hono {
  const { configuration } = manager;
  const app = new Hono();
  app.use(async (context, next) => {
    if (!isLoopbackAuthority(context.req.header("host") ?? new URL(context.req.url).host))
      return context.text("this name is not served here\n", 421);
    if (context.req.method !== "GET" && context.req.method !== "HEAD")
      return context.text("read only\n", 405);
    await next();
    return undefined;
  });
  app.get("/api/v1/services", ({ json }) =>
    json({ services: serviceStatuses(manager).map((m) => toJson(ServiceStatusSchema, m)) }),
  );
  app.get("/api/v1/proxies", ({ json }) =>
    json({ proxies: proxyStatuses(manager).map((m) => toJson(ProxyStatusSchema, m)) }),
  );
  app.get("/api/v1/rules", ({ json }) =>
    json({
      revision: configuration.revision,
      rules: configuration.list().map((s) => toJson(ConfigObjectSchema, objectMessage(s))),
    }),
  );
  app.get("/api/v1/rules/:kind/:namespace/:name/history", async ({ req, json }) => {
    const { kind, namespace, name } = req.param();
    const entries = await configuration.store.history(`${kind}/${namespace}/${name}`, HISTORY_MAX);
    return json({ entries: entries.map((e) => toJson(HistoryEntrySchema, historyMessage(e))) });
  });
  app.get("/api/v1/problems", ({ json }) => json({ problems: configuration.problems }));
  app.get("/api/v1/version", ({ json }) =>
    json({ version: MESH_VERSION, revision: configuration.revision }),
  );
  app.notFound(({ text }) => text("no such page\n", 404));
  return app;
}

/** `mesh ctl config`: what one proxy runs on, each part with the file and line it came from. */

import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { isRecord } from "../../core/record.ts";
import { askAdmin } from "../admin-port.ts";
import { call, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { managerFlags } from "../flag.ts";
import type { ManagerArguments } from "../manager-access.ts";
import {
  clustersTable,
  endpointsTable,
  routesTable,
  type Table,
  tcpRoutesTable,
} from "../output/config-table.ts";
import { jsonText, yamlText } from "../output/document.ts";
import { policyTables } from "../output/policy-table.ts";
import { shortHost } from "../output/rule-summary.ts";
import { renderTable } from "../output/table.ts";
import { findProxy, syncName } from "../proxy-reference.ts";

const parts = ["all", "listeners", "routes", "clusters", "endpoints", "policy"] as const;

export const configCommand = defineCtlCommand({
  args: {
    admin: {
      type: "string",
      valueHint: "HOST:PORT",
      description: "Ask a proxy's own admin port instead of the manager; then no PROXY is named",
    },
    host: { type: "string", valueHint: "NAME", description: "Only what is for this service" },
    output: {
      type: "enum",
      alias: "o",
      options: ["table", "wide", "json", "yaml"],
      description: "How to print",
    },
    ...managerFlags,
  },
  restName: "PROXY PART",
  details:
    "PROXY is an id, the start of one, or a service with one proxy. PART is listeners, routes,\n" +
    "clusters, endpoints or policy (default: all but listeners and policy). Routes are in order\n" +
    "of evaluation: the first that matches is executed. Of policy all rules are: the part says\n" +
    "where each runs, and how often it matched, denied and failed.",
  examples: [
    ["mesh ctl config productpage routes", "which rules decide, from which file and line"],
    ["mesh ctl config productpage routes --host reviews", "only those for one service"],
    ["mesh ctl config reviews policy", "which rules judge its requests, and what they did"],
    ["mesh ctl config --admin 127.0.0.1:15000 endpoints", "straight from a proxy"],
  ],
  async run(args, context) {
    const { io, rest } = context;
    const words = [...rest];
    const wanted = args.admin === undefined ? words.shift() : undefined;
    if (args.admin === undefined && wanted === undefined)
      throw usageError("which proxy?", "mesh ctl proxies lists them; or name an --admin HOST:PORT");
    const part = parts.find((known) => known === (words[0] ?? "all"));
    if (part === undefined || words.length > 1)
      throw usageError(`${words.join(" ")} is not a part; parts are ${parts.join(", ")}`);
    const found =
      wanted === undefined
        ? {
            config: await fromAdmin(args.admin ?? ""),
            title: `proxy at ${args.admin}`,
            admin: args.admin ?? "",
          }
        : await fromManager(wanted, args, context);
    const config = onlyHost(found.config, args.host);
    if (args.output === "json" || args.output === "yaml") {
      const json = part === "policy" ? await policyOf(found.admin) : partJson(config, part);
      io.stdout(args.output === "json" ? jsonText(json) : await yamlText(json));
      return EXIT.ok;
    }
    io.stdout(`${context.paint.dim(`${found.title}, version ${config.version || "none"}`)}\n`);
    const tables = await tablesOf(part, config, found.admin, args.output === "wide");
    for (const { title, headers, rows } of tables) {
      io.stdout(`\n${context.paint.bold(title)}\n`);
      io.stdout(rows.length === 0 ? "none\n" : renderTable(headers, rows, context.paint));
    }
    return EXIT.ok;
  },
});

interface Found {
  readonly config: ProxyConfig;
  readonly title: string;
  readonly admin: string;
}

async function fromManager(
  wanted: string,
  args: ManagerArguments,
  { io }: CommandContext,
): Promise<Found> {
  const manager = managerAt(args, io);
  const { proxies } = await call(manager, manager.status.listProxies({}));
  const proxy = findProxy(proxies, wanted);
  const { config } = await call(manager, manager.status.getProxyConfig({ nodeId: proxy.nodeId }));
  if (config === undefined)
    throw new CtlError(`the manager has sent nothing to ${proxy.nodeId} yet`);
  const service = shortHost(proxy.service);
  const of = service === "" ? "" : ` of ${service}`;
  const title = `proxy ${proxy.nodeId}${of}, ${syncName(proxy.sync)}`;
  return { config, title, admin: proxy.adminAddress };
}

async function fromAdmin(address: string): Promise<ProxyConfig> {
  const body = await askAdmin(address, "/config_dump");
  try {
    const dump: unknown = JSON.parse(body);
    const inner = isRecord(dump) && isRecord(dump.config) ? dump.config : dump;
    return fromJson(ProxyConfigSchema, inner as JsonValue, { ignoreUnknownFields: true });
  } catch {
    throw new CtlError(`what answers at ${address} is not the admin port of a mesh proxy`);
  }
}

/** Leaves out what is not for a service whose name is or begins with `host`. */
function onlyHost(config: ProxyConfig, host: string | undefined): ProxyConfig {
  if (host === undefined) return config;
  const fits = (name: string): boolean =>
    name === host || name.startsWith(`${host}.`) || name.startsWith(`${host}:`);
  const clusters = config.clusters.filter(({ service }) => fits(service));
  const names = new Set(clusters.map(({ name }) => name));
  return {
    ...config,
    virtualHosts: config.virtualHosts.filter(({ name }) => fits(name)),
    clusters,
    endpointSets: config.endpointSets.filter(({ cluster }) => names.has(cluster)),
    tcpDestinations: config.tcpDestinations.filter(({ name }) => fits(name)),
  };
}

function partJson(config: ProxyConfig, part: (typeof parts)[number]): unknown {
  const json = toJson(ProxyConfigSchema, config, { alwaysEmitImplicit: true });
  if (!isRecord(json)) return json;
  switch (part) {
    case "routes":
      return json.virtualHosts;
    case "clusters":
      return json.clusters;
    case "endpoints":
      return json.endpointSets;
    default:
      return json;
  }
}

async function tablesOf(
  part: (typeof parts)[number],
  config: ProxyConfig,
  admin: string,
  wide: boolean,
): Promise<readonly Table[]> {
  switch (part) {
    case "listeners":
      return [await listenersTable(admin)];
    case "policy":
      return policyTables(await policyOf(admin)) ?? noPolicy(admin);
    case "routes":
      return routeTables(config, wide);
    case "clusters":
      return [clustersTable(config)];
    case "endpoints":
      return [endpointsTable(config)];
    default:
      return [...routeTables(config, wide), clustersTable(config), endpointsTable(config)];
  }
}

function routeTables(config: ProxyConfig, wide: boolean): readonly Table[] {
  const tcp = tcpRoutesTable(config);
  const requests = routesTable(config, wide);
  return tcp === undefined ? [requests] : [requests, tcp];
}

/** What rules did only the proxy itself has counted. */
async function policyOf(admin: string): Promise<unknown> {
  if (admin === "")
    throw new CtlError("the proxy told no admin address, and only there rules are counted");
  const body = await askAdmin(admin, "/policy?format=json");
  try {
    return JSON.parse(body);
  } catch {
    return noPolicy(admin);
  }
}

function noPolicy(admin: string): never {
  throw new CtlError(`what answers at ${admin} is not the admin port of a mesh proxy`);
}

/** Listeners are the proxy's own flags, so only its admin port knows them. */
async function listenersTable(admin: string): Promise<Table> {
  if (admin === "")
    throw new CtlError("the proxy told no admin address, and only there listeners are known");
  const listeners: unknown = JSON.parse(await askAdmin(admin, "/listeners?format=json"));
  const rows = (Array.isArray(listeners) ? listeners : []).map((listener: unknown) => {
    const { name, address } = isRecord(listener) ? listener : {};
    return [String(name ?? "-"), String(address ?? "-")];
  });
  return { title: "Listeners", headers: ["NAME", "ADDRESS"], rows };
}

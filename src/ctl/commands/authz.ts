/** `mesh ctl authz can`: whether somebody may call a service, answered without calling it. */
import type { ProxyStatus, ServiceStatus } from "../../api/gen/mesh/v1/config_pb.ts";
import { didYouMean } from "../../core/suggestion.ts";
import { callFacts } from "../authz/call-facts.ts";
import { judgeCall } from "../authz/judge-call.ts";
import { sourceOf } from "../authz/source.ts";
import { call, managerAt } from "../client.ts";
import { CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { managerFlags } from "../flag.ts";
import { authzText, type JudgedCall } from "../output/authz-text.ts";
import { jsonText } from "../output/document.ts";

export const authzCommand = defineCtlCommand({
  args: {
    port: {
      type: "string",
      valueHint: "N",
      description: "Of the application (default: its first)",
    },
    host: {
      type: "string",
      valueHint: "HOST",
      description: "That is asked for (default: as named)",
    },
    header: {
      type: "string",
      valueHint: "NAME=VALUE",
      description: "Of the request; may be repeated",
    },
    claim: {
      type: "string",
      valueHint: "NAME=VALUE",
      description: "Of a valid token: iss=…, realm.roles=…; may be repeated",
    },
    ip: {
      type: "string",
      valueHint: "ADDRESS",
      description: "Of the caller (default: where it runs)",
    },
    sni: { type: "string", valueHint: "NAME", description: "That TLS asks for" },
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    ...managerFlags,
  },
  repeatable: ["header", "claim"],
  restName: "can SOURCE DESTINATION METHOD PATH",
  details:
    "SOURCE is a service, a SPIFFE id, or anonymous: who proves nothing. METHOD may be TCP,\n" +
    "without a path. The rules are those that the manager has sent to the proxies of the\n" +
    "destination. Exits with 1 where the answer is no.",
  examples: [
    ["mesh ctl authz can web reviews GET /reviews/0", "a service that calls another"],
    ["mesh ctl authz can spiffe://cluster.local/ns/a/sa/b reviews POST /", "an identity"],
    ["mesh ctl authz can anonymous mysql TCP --port 3306", "somebody without an identity"],
    ["mesh ctl authz can web reviews GET / --claim iss=https://id --claim sub=ann", "with a token"],
  ],
  async run(args, { io, paint, rest, repeated }) {
    const words = wordsOf(rest);
    const manager = managerAt(args, io);
    const { proxies } = await call(manager, manager.status.listProxies({}));
    const { services } = await call(manager, manager.status.listServices({}));
    const asked = proxiesOf(words.destination, proxies, services);
    const port = portOf(args.port, words.destination, services);
    const calls: JudgedCall[] = [];
    const notes = new Set<string>();
    for (const { nodeId } of asked) {
      const { config } = await call(manager, manager.status.getProxyConfig({ nodeId }));
      if (config === undefined) continue;
      const source = sourceOf(words.source, config);
      if (source.note !== "") notes.add(source.note);
      const facts = callFacts(source, {
        ...{ method: words.method, path: words.path, port, host: args.host ?? words.destination },
        ...{ address: args.ip ?? "", serverName: args.sni ?? "" },
        ...{ headers: repeated("header"), claims: repeated("claim") },
      });
      addCall(calls, nodeId, judgeCall(config, facts, words.method === "TCP"));
    }
    const { source, destination, method, path } = words;
    const title = [source, "→", destination, method, path].filter((word) => word !== "").join(" ");
    io.stdout(
      args.output === "json"
        ? jsonText({ source, destination, method, path, port, answers: calls, notes: [...notes] })
        : authzText(title, calls, [...notes], paint),
    );
    return calls.every(({ judgement }) => judgement.allowed) ? EXIT.ok : EXIT.failed;
  },
});

interface Words {
  readonly source: string;
  readonly destination: string;
  readonly method: string;
  readonly path: string;
}

function wordsOf([
  verb,
  source,
  destination,
  method = "GET",
  path,
  more,
]: readonly string[]): Words {
  if (verb !== "can" || source === undefined || destination === undefined)
    throw usageError("who may call whom?", "mesh ctl authz can SOURCE DESTINATION METHOD PATH");
  const isTcp = method.toUpperCase() === "TCP";
  if (more !== undefined || (isTcp && path !== undefined))
    throw usageError(
      `what is ${more ?? path}?`,
      "mesh ctl authz can SOURCE DESTINATION METHOD PATH",
    );
  if (isTcp) return { source, destination, method: "TCP", path: "" };
  return { source, destination, method, path: path ?? "/" };
}

/** Answers that are the same are one. */
function addCall(calls: JudgedCall[], proxy: string, judgement: JudgedCall["judgement"]): void {
  const same = calls.findIndex((one) => Bun.deepEquals(one.judgement, judgement));
  const former = calls[same];
  if (former === undefined) calls.push({ proxies: [proxy], judgement });
  else calls[same] = { proxies: [...former.proxies, proxy], judgement };
}

function isNamed(host: string, wanted: string): boolean {
  return host === wanted || host.startsWith(`${wanted}.`);
}

function proxiesOf(
  wanted: string,
  proxies: readonly ProxyStatus[],
  services: readonly ServiceStatus[],
): readonly ProxyStatus[] {
  const found = proxies.filter(
    ({ service, nodeId }) => (service !== "" && isNamed(service, wanted)) || nodeId === wanted,
  );
  if (found.length > 0) return found;
  if (services.some(({ host }) => isNamed(host, wanted)))
    throw new CtlError(
      `no proxy of ${wanted} is connected`,
      EXIT.failed,
      "what runs without one is guarded by nobody",
    );
  const names = services.map(({ host }) => host.split(".")[0]!);
  throw new CtlError(`no service is called ${wanted}`, EXIT.failed, didYouMean(wanted, names));
}

/** At which the application listens. */
function portOf(
  flag: string | undefined,
  wanted: string,
  services: readonly ServiceStatus[],
): number {
  if (flag !== undefined) {
    if (!/^\d{1,5}$/.test(flag)) throw usageError(`--port is a number, not ${flag}`);
    return Number(flag);
  }
  return services.find(({ host }) => isNamed(host, wanted))?.instances[0]?.port ?? 0;
}

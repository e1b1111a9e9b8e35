/** `mesh manager`'s command line: flags, or every problem with them at once. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Address, parseAddress } from "../api/address.ts";
import type { Role } from "../api/principal.ts";
import { isLoopback } from "../api/serve.ts";
import type { Level } from "../core/log.ts";
import { unknownFlags } from "../core/unknown-flag.ts";
import { readLocalUsers, readRoles } from "./access/access-flags.ts";
import {
  IDENTITY_HELP,
  type IdentityFlags,
  identityOptions,
  readIdentityFlags,
} from "./identity/identity-flags.ts";

export interface ManagerFlags {
  readonly listen: Address;
  /** The API over TLS; absent: only this machine is served. */
  readonly secureListen: Address | undefined;
  /** Users of this machine whose processes count as our own. */
  readonly localUsers: readonly number[];
  /** By SPIFFE id: whose certificates are a person's. */
  readonly roles: ReadonlyMap<string, Role>;
  /** Absent: no dashboard port. */
  readonly http: Address | undefined;
  readonly metrics: Address | undefined;
  /** Empty: everything is in memory. */
  readonly dataDir: string;
  readonly configDirs: readonly string[];
  readonly domain: string;
  readonly namespace: string;
  readonly leaseMs: number;
  readonly identity: IdentityFlags;
  readonly logLevel: Level;
}

export const MANAGER_HELP = `usage: mesh manager [flags]

Keeps services and rules, and configures every proxy.

  --listen ADDR       the API: Connect, gRPC and gRPC-Web (127.0.0.1:15010)
  --secure-listen ADDR|off
                      the same over TLS, for other machines: 0.0.0.0:15012 (off)
  --http ADDR|off     dashboard and REST, to read (127.0.0.1:8080)
  --metrics ADDR|off  its own metrics (127.0.0.1:15014)
  --data-dir DIR      where rules and their history are kept
                      ($STATE_DIRECTORY, else ~/.local/state/mesh)
  --in-memory         keep nothing
  -f, --config-dir P  rules and static registry in a file or directory; watched; repeatable
  --domain NAME       the suffix of host names (cluster.local)
  --namespace NAME    of documents that name none (default)
  --lease SECONDS     how long a workload is known without renewing (10)
  --local-user USER   whose processes on this machine may call in plaintext, beside our own
                      user's and root's; repeatable
  --role ID=ROLE      a certificate for this SPIFFE id is a person's, with role viewer,
                      operator or admin; repeatable${IDENTITY_HELP.trimEnd()}
  --log-level LEVEL   debug, info, warn or error (info)

Port 0 picks one. Plaintext addresses must be loopback.
`;

const OPTIONS = {
  listen: { type: "string", default: "127.0.0.1:15010" },
  "secure-listen": { type: "string", default: "off" },
  http: { type: "string", default: "127.0.0.1:8080" },
  metrics: { type: "string", default: "127.0.0.1:15014" },
  "data-dir": { type: "string" },
  "in-memory": { type: "boolean", default: false },
  "config-dir": { type: "string", short: "f", multiple: true, default: [] as string[] },
  domain: { type: "string", default: "cluster.local" },
  namespace: { type: "string", default: "default" },
  lease: { type: "string", default: "10" },
  "local-user": { type: "string", multiple: true, default: [] as string[] },
  role: { type: "string", multiple: true, default: [] as string[] },
  ...identityOptions,
  "log-level": { type: "string", default: "info" },
  help: { type: "boolean", short: "h", default: false },
} as const;

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];
const NAMES = {
  domain: /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/,
  namespace: /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
};

type AddressFlag = "listen" | "secure-listen" | "http" | "metrics";

export type ManagerFlagsResult =
  | { readonly at: "flags"; readonly flags: ManagerFlags }
  | { readonly at: "help" }
  | { readonly at: "problems"; readonly problems: readonly string[] };

export function parseManagerFlags(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ManagerFlagsResult {
  const problems = unknownFlags(argv, Object.keys(OPTIONS));
  if (problems.length > 0) return { at: "problems", problems };
  const parsed = parse(argv);
  if (typeof parsed === "string") return { at: "problems", problems: [parsed] };
  if (parsed.help) return { at: "help" };
  const address = (flag: AddressFlag, loopback: boolean): Address => {
    const found = parseAddress(parsed[flag]);
    if (found === undefined)
      problems.push(`--${flag}: ${JSON.stringify(parsed[flag])} is not HOST:PORT`);
    else if (loopback && !isLoopback(found.hostname))
      problems.push(
        `--${flag}: ${parsed[flag]} is not loopback, and plaintext proves nobody's identity; ` +
          `use 127.0.0.1, and --secure-listen for other machines`,
      );
    return found ?? { hostname: "", port: 0 };
  };
  const level = LEVELS.find((known) => known === parsed["log-level"]);
  if (level === undefined) problems.push(`--log-level: one of ${LEVELS.join(", ")}`);
  const leaseSeconds = Number(parsed.lease);
  if (!(leaseSeconds >= 1 && leaseSeconds <= 3_600))
    problems.push("--lease: 1 to 3600 seconds are possible");
  for (const flag of ["domain", "namespace"] as const)
    if (!NAMES[flag].test(parsed[flag]))
      problems.push(`--${flag}: ${JSON.stringify(parsed[flag])} is not a name`);
  const secure = parsed["secure-listen"];
  const users = readLocalUsers(parsed["local-user"], () => readFileSync("/etc/passwd", "utf8"));
  const roles = readRoles(parsed.role);
  problems.push(...users.problems, ...roles.problems);
  const identity = readIdentityFlags(parsed, problems);
  const dataDir = parsed["data-dir"] ?? defaultDataDir(environment);
  const flags: ManagerFlags = {
    listen: address("listen", true),
    secureListen: secure === "off" ? undefined : address("secure-listen", false),
    localUsers: users.value,
    roles: roles.value,
    http: parsed.http === "off" ? undefined : address("http", true),
    metrics: parsed.metrics === "off" ? undefined : address("metrics", false),
    dataDir: parsed["in-memory"] ? "" : dataDir,
    configDirs: parsed["config-dir"],
    domain: parsed.domain,
    namespace: parsed.namespace,
    leaseMs: Math.round(leaseSeconds * 1_000),
    identity,
    logLevel: level ?? "info",
  };
  return problems.length > 0 ? { at: "problems", problems } : { at: "flags", flags };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true }).values;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

function defaultDataDir(environment: Readonly<Record<string, string | undefined>>): string {
  const { STATE_DIRECTORY, XDG_STATE_HOME } = environment;
  if (STATE_DIRECTORY) return STATE_DIRECTORY;
  return join(XDG_STATE_HOME || join(homedir(), ".local", "state"), "mesh");
}

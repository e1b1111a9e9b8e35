/**
 * The flags of `mesh proxy` as a table: what --help prints and what the scanner accepts. Strict: an
 * unknown flag, a missing value, a flag given twice or a stray word is a problem, all reported.
 */
import type { Problem } from "../core/problem.ts";
import { didYouMean } from "../core/suggestion.ts";

/** `value` is what stands for it in --help; empty: a switch. */
type FlagRow = readonly [value: string, about: string, extra?: FlagExtra];

interface FlagExtra {
  readonly repeatable?: true;
  readonly short?: string;
}

// biome-ignore format: a table reads as a table
const rows = {
  service:               ["NAME", "the service it stands for: reviews, reviews.default, …"],
  namespace:             ["NAME", "namespace of short names (default)"],
  labels:                ["K=V,…", "of the workload: version=v1,app=a", { repeatable: true }],
  locality:              ["R/Z/S", "region/zone/subzone of the workload, for near endpoints first"],
  "app-port":            ["PORT", "where the application listens, on loopback"],
  app:                   ["HOST:PORT", "the same with a host"],
  "service-port":        ["PORT", "the port that callers name (the application's)"],
  protocol:              ["PROTOCOL", "of the application: http, http2, grpc (as called), tcp"],
  advertise:             ["ADDRESS", "address at which other proxies reach this one"],
  outbound:              ["HOST:PORT", "what the application calls through (127.0.0.1:15001)"],
  inbound:               ["HOST:PORT", "what other proxies call (port 15006)"],
  admin:                 ["HOST:PORT", "administration, loopback only (127.0.0.1:15000)"],
  readiness:             ["HOST:PORT", "/healthz/ready (port 15021)"],
  tproxy:                ["MARK", "inbound by TPROXY, with `mesh ctl iptables -m TPROXY -t MARK`"],
  dns:                   ["HOST:PORT|off", "where names of the mesh are answered (off)"],
  manager:               ["URL", "manager to follow, or none (http://127.0.0.1:15010)"],
  "manager-ca":          ["FILE", "roots for a manager at https, where no token names one"],
  token:                 ["FILE", "a join token; or MESH_JOIN_TOKEN, the token itself"],
  "jwt-file":            ["FILE", "a JWT that proves who this workload is; read anew each time"],
  "service-account":     ["NAME", "of the identity to ask for (named as the service)"],
  "certificate-lifetime": ["SECONDS", "of its certificates, at most (as the manager has it)"],
  "identity-file":       ["FILE", "where certificate and key outlive this process (nowhere)"],
  "forward-client-cert": ["", "tell the application who called: x-forwarded-client-cert"],
  "link-local-keys":     ["", "keys of tokens may come from 169.254.0.0/16 and fe80::/10"],
  mixer:                 ["HOST:PORT", "the mixer, if rules need one, or none (127.0.0.1:9091)"],
  "mixer-timeout":       ["SECONDS", "for one question to it (2)"],
  upstream:              ["SVC=HOST:PORT", "static, before the manager's", { repeatable: true }],
  "tcp-listen":          ["PORT=SVC:PORT", "a local port for a service", { repeatable: true }],
  standalone:            ["", "no manager: read rules and services from -f"],
  file:                  ["PATH", "rules, with --standalone", { repeatable: true, short: "f" }],
  "state-dir":           ["DIR", "where the last good configuration is kept"],
  domain:                ["NAME", "suffix of full host names (cluster.local)"],
  mode:                  ["MODE", "sidecar, or gateway: what comes in from outside (sidecar)"],
  "http-port":           ["HOST:PORT", "a gateway's port 80 (0.0.0.0:80)"],
  "https-port":          ["HOST:PORT", "a gateway's port 443 (0.0.0.0:443)"],
  certificates:          ["DIR", "a gateway's: DIR/NAMESPACE/SECRET/tls.crt and tls.key"],
  "client-certificates": ["MODE", "of a gateway's clients: none, optional, required (none)"],
  "proxy-protocol":      ["", "who calls says so by the PROXY protocol (inbound, or a gateway)"],
  id:                    ["ID", "this workload's id, unique in the mesh (made up)"],
  "access-log":          ["FILE", "one line for each exchange; /dev/stdout, a file or none"],
  "access-log-encoding": ["TEXT|JSON", "form of these lines (TEXT)"],
  "log-level":           ["LEVEL", "debug, info, warn or error (info)"],
  "drain-seconds":       ["SECONDS", "for running exchanges when stopping (as the mesh says)"],
  concurrency:           ["N", "threads for the traffic; 0: one a processor (1)"],
  restart:               ["", "take the ports over from the proxy that has them"],
  help:                  ["", "this text", { short: "h" }],
} as const satisfies Readonly<Record<string, FlagRow>>;

export type FlagName = keyof typeof rows;

/** What was written, unread: each flag's values in order, and what follows `--`. */
export interface FlagScan {
  readonly values: ReadonlyMap<FlagName, readonly string[]>;
  readonly command: readonly string[];
  readonly problems: readonly Problem[];
}

export function flagProblem(path: string, message: string, suggestion?: string): Problem {
  const position = { file: "command line", line: 0, column: 0 };
  const problem: Problem = { severity: "error", position, path, message };
  return suggestion === undefined ? problem : { ...problem, suggestion };
}

export function scanFlags(argv: readonly string[]): FlagScan {
  const end = argv.indexOf("--");
  const words = end === -1 ? argv : argv.slice(0, end);
  const values = new Map<FlagName, string[]>();
  const problems: Problem[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (!word.startsWith("-") || word === "-") {
      problems.push(flagProblem(word, "not a flag", "the application's command follows --"));
      continue;
    }
    const equals = word.indexOf("=");
    const written = equals === -1 ? word : word.slice(0, equals);
    const name = flagNamed(written);
    if (name === undefined) {
      problems.push(
        flagProblem(written, "unknown flag", didYouMean(written, flagNames().map(spell))),
      );
      // Its value, if it has one, is not another mistake.
      if (equals === -1 && words[at + 1]?.startsWith("-") === false) at++;
      continue;
    }
    const [placeholder, , { repeatable } = {}]: FlagRow = rows[name];
    let value = equals === -1 ? undefined : word.slice(equals + 1);
    if (placeholder === "") {
      if (value !== undefined) problems.push(flagProblem(written, "takes no value"));
      value = "";
    } else if (value === undefined) {
      value = words[++at];
    }
    if (value === undefined) {
      problems.push(flagProblem(written, `needs a value: ${placeholder}`));
      continue;
    }
    const former = values.get(name);
    if (former === undefined) values.set(name, [value]);
    else if (repeatable === true) former.push(value);
    else problems.push(flagProblem(written, "is given twice"));
  }
  return { values, command: end === -1 ? [] : argv.slice(end + 1), problems };
}

function flagNamed(written: string): FlagName | undefined {
  for (const name of flagNames()) {
    const [, , { short } = {}]: FlagRow = rows[name];
    if (written === `--${name}`) return name;
    if (short !== undefined && written === `-${short}`) return name;
  }
  return undefined;
}

function spell(name: FlagName): string {
  return `--${name}`;
}

function flagNames(): FlagName[] {
  return Object.keys(rows) as FlagName[];
}

export function proxyUsage(): string {
  const lines = flagNames().map((name) => {
    const [value, about, { short } = {}]: FlagRow = rows[name];
    const letter = short === undefined ? "    " : `-${short}, `;
    return `  ${letter}${`--${name} ${value}`.padEnd(32)} ${about}`;
  });
  return `${usageHead}\n${lines.join("\n")}\n${usageTail}`;
}

const usageHead = `mesh proxy: the sidecar of one workload.

  mesh proxy [flags] [-- COMMAND …]

With -- COMMAND the proxy starts the application as soon as it is ready itself, passes signals on,
and exits with the application's exit code. With --restart it takes the ports over from the proxy
that was started with the same flags, without a failed request; not where that one runs a command,
which belongs to the process that started it.

Examples:
  mesh proxy --service reviews.default --labels version=v1 --app-port 9080 -- node reviews.js
  mesh proxy --upstream ratings.default=127.0.0.1:9081 --manager none
  mesh proxy --standalone -f rules/ --outbound 127.0.0.1:0
  mesh proxy --mode gateway --http-port 8080 --https-port 8443 --certificates /etc/mesh/certs

Flags (a port of 0 picks a free one; inbound and readiness are on loopback where the manager is,
else at every address):`;

const usageTail = `
Environment, where the flag is absent: MESH_SERVICE, MESH_NAMESPACE, MESH_MANAGER, MESH_STATE_DIR,
MESH_JOIN_TOKEN.
`;

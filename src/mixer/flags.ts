/** `mesh mixer`'s command line: flags, or every problem with them at once. */
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Address, parseAddress } from "../api/address.ts";
import { isLoopback } from "../api/serve.ts";
import type { Level } from "../core/log.ts";
import { unknownFlags } from "../core/unknown-flag.ts";
import type { SheddingMode, SheddingOptions } from "./load-shedding.ts";
import type { RollUpLimits } from "./roll-up.ts";

/** How it proves who it is to a manager at https, and knows the manager. */
export interface MixerCredentialFlags {
  /** Of a join token, and the token itself; undefined: none. */
  readonly tokenFile: string | undefined;
  readonly token: string | undefined;
  readonly jwtFile: string | undefined;
  readonly managerRoots: string | undefined;
  /** Undefined: certificate and key are in memory alone. */
  readonly keptIn: string | undefined;
}

export interface MixerFlags {
  readonly listen: Address;
  readonly metrics: Address | undefined;
  readonly admin: Address | undefined;
  /** Where policy comes from: a manager, or these files. */
  readonly manager: string;
  readonly credential: MixerCredentialFlags;
  readonly configDirs: readonly string[];
  readonly stateDir: string;
  readonly id: string;
  readonly domain: string;
  readonly namespace: string;
  readonly messageBytesMax: number;
  readonly callsMax: number;
  readonly shedding: SheddingOptions;
  readonly rollUp: RollUpLimits;
  readonly drainMs: number;
  readonly logLevel: Level;
}

export const MIXER_HELP = `usage: mesh mixer [flags]

Answers what proxies cannot answer alone, and applications that ask: limits that the mesh shares,
backends of policy and telemetry, metrics of the whole mesh. istio.mixer.v1 over gRPC, Connect and
gRPC-Web.

  --listen ADDR           Check and Report (127.0.0.1:9091)
  --metrics ADDR|off      /metrics, /ready, /version (127.0.0.1:9093)
  --admin ADDR|off        /policy, /logging, /config_dump: for the operator (127.0.0.1:9876)
  --manager URL           where policy comes from (http://127.0.0.1:15010)
  --token FILE            a join token for mesh-mixer.mesh-system, for a manager at https
                          (or the token itself in $MESH_JOIN_TOKEN)
  --jwt-file FILE         a JWT that the manager takes instead; read anew each time
  --manager-ca FILE       roots for a manager at https, where no token names one
  --identity-file FILE    keeps certificate and key, for a start after the token is used
  -f, --config-dir P      policy in a file or directory instead; watched; repeatable
  --state-dir DIR         where the last good policy is kept
                          ($STATE_DIRECTORY, else ~/.local/state/mesh)
  --id NAME               of this mixer, in the list of the manager (mixer-<host>)
  --namespace NAME        of documents that name none (default)
  --domain NAME           the suffix of host names (cluster.local)
  --max-message BYTES     of one call (1048576)
  --max-calls N           at a time on one connection (1024)
  --load-shedding MODE    disabled, logonly or enforce: refuse calls when there are too many
                          (disabled)
  --max-latency MS        above this average, calls are refused; 0: for no latency (100)
  --latency-rate N        calls a second that there must be before latency counts (100)
  --latency-half-life MS  of the average (1000)
  --max-rate N            checks and reported exchanges a second; 0: no limit (0)
  --burst N               so many of them at once (--max-rate)
  --series-expiry SECONDS of proxies' series that none of them tells of (600)
  --series-max N          of proxies; more count together as overflow="true" (50000)
  --drain SECONDS         at the end, for calls under way (5)
  --log-level LEVEL       debug, info, warn or error (info)

Port 0 picks one. Plaintext addresses must be loopback.
`;

const OPTIONS = {
  listen: { type: "string", default: "127.0.0.1:9091" },
  metrics: { type: "string", default: "127.0.0.1:9093" },
  admin: { type: "string", default: "127.0.0.1:9876" },
  manager: { type: "string", default: "http://127.0.0.1:15010" },
  token: { type: "string" },
  "jwt-file": { type: "string" },
  "manager-ca": { type: "string" },
  "identity-file": { type: "string" },
  "config-dir": { type: "string", short: "f", multiple: true, default: [] as string[] },
  "state-dir": { type: "string" },
  id: { type: "string" },
  namespace: { type: "string", default: "default" },
  domain: { type: "string", default: "cluster.local" },
  "max-message": { type: "string", default: "1048576" },
  "max-calls": { type: "string", default: "1024" },
  "load-shedding": { type: "string", default: "disabled" },
  "max-latency": { type: "string", default: "100" },
  "latency-rate": { type: "string", default: "100" },
  "latency-half-life": { type: "string", default: "1000" },
  "max-rate": { type: "string", default: "0" },
  burst: { type: "string" },
  "series-expiry": { type: "string", default: "600" },
  "series-max": { type: "string", default: "50000" },
  drain: { type: "string", default: "5" },
  "log-level": { type: "string", default: "info" },
  help: { type: "boolean", short: "h", default: false },
} as const;

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];
const MODES: readonly SheddingMode[] = ["disabled", "logonly", "enforce"];
const NAME = /^[a-zA-Z0-9]([-a-zA-Z0-9.]{0,251}[a-zA-Z0-9])?$/;

export type MixerFlagsResult =
  | { readonly at: "flags"; readonly flags: MixerFlags }
  | { readonly at: "help" }
  | { readonly at: "problems"; readonly problems: readonly string[] };

export function parseMixerFlags(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  host: string,
): MixerFlagsResult {
  const problems = unknownFlags(argv, Object.keys(OPTIONS));
  if (problems.length > 0) return { at: "problems", problems };
  const parsed = parse(argv);
  if (typeof parsed === "string") return { at: "problems", problems: [parsed] };
  if (parsed.help) return { at: "help" };
  const read = new FlagReader(parsed, problems);
  const rate = read.number("max-rate", 0, 1e9);
  const flags: MixerFlags = {
    listen: read.address("listen", true),
    metrics: parsed.metrics === "off" ? undefined : read.address("metrics", false),
    admin: parsed.admin === "off" ? undefined : read.address("admin", true),
    manager: read.url("manager"),
    credential: {
      tokenFile: parsed.token,
      token: environment.MESH_JOIN_TOKEN || undefined,
      jwtFile: parsed["jwt-file"],
      managerRoots: parsed["manager-ca"],
      keptIn: parsed["identity-file"],
    },
    configDirs: parsed["config-dir"],
    stateDir: parsed["state-dir"] ?? defaultStateDir(environment),
    id: read.name("id", `mixer-${host}`),
    domain: read.name("domain"),
    namespace: read.name("namespace"),
    messageBytesMax: read.number("max-message", 1_024, 64 << 20),
    callsMax: read.number("max-calls", 1, 100_000),
    shedding: {
      mode: read.oneOf("load-shedding", MODES),
      averageLatencyMs: read.number("max-latency", 0, 3_600_000),
      latencyEnforcementRate: read.number("latency-rate", 0, 1e9),
      latencyHalfLifeMs: read.number("latency-half-life", 1, 3_600_000),
      requestsPerSecond: rate,
      burst: parsed.burst === undefined ? rate : read.number("burst", 1, 1e9),
    },
    rollUp: {
      expiryMs: read.number("series-expiry", 10, 86_400) * 1_000,
      seriesMax: read.number("series-max", 1, 1_000_000),
    },
    drainMs: read.number("drain", 0, 3_600) * 1_000,
    logLevel: read.oneOf("log-level", LEVELS),
  };
  return problems.length > 0 ? { at: "problems", problems } : { at: "flags", flags };
}

type Parsed = Exclude<ReturnType<typeof parse>, string>;
type TextFlag = Exclude<keyof Parsed, "help" | "config-dir">;

class FlagReader {
  readonly #parsed: Parsed;
  readonly #problems: string[];

  constructor(parsed: Parsed, problems: string[]) {
    this.#parsed = parsed;
    this.#problems = problems;
  }

  address(flag: TextFlag, loopback: boolean): Address {
    const text = this.#text(flag);
    const found = parseAddress(text);
    if (found === undefined) this.#complain(flag, `${JSON.stringify(text)} is not HOST:PORT`);
    else if (loopback && !isLoopback(found.hostname))
      this.#complain(
        flag,
        `${text} is not loopback, and plaintext proves nobody's identity; ` +
          "use 127.0.0.1 and a tunnel",
      );
    return found ?? { hostname: "", port: 0 };
  }

  number(flag: TextFlag, least: number, most: number): number {
    const text = this.#text(flag);
    const value = text === "" ? Number.NaN : Number(text);
    if (value >= least && value <= most) return value;
    this.#complain(flag, `${least} to ${most} are possible, not ${JSON.stringify(text)}`);
    return least;
  }

  oneOf<T extends string>(flag: TextFlag, known: readonly T[]): T {
    const found = known.find((one) => one === this.#text(flag));
    if (found === undefined) this.#complain(flag, `one of ${known.join(", ")}`);
    return found ?? known[0]!;
  }

  name(flag: TextFlag, otherwise = ""): string {
    const text = this.#parsed[flag] ?? otherwise;
    if (!NAME.test(text)) this.#complain(flag, `${JSON.stringify(text)} is not a name`);
    return text;
  }

  url(flag: TextFlag): string {
    const text = this.#text(flag);
    const url = /^https?:\/\//.test(text) ? text : `http://${text}`;
    if (!URL.canParse(url)) this.#complain(flag, `${JSON.stringify(text)} is not a URL`);
    return url;
  }

  #text(flag: TextFlag): string {
    return this.#parsed[flag] ?? "";
  }

  #complain(flag: TextFlag, why: string): void {
    this.#problems.push(`--${flag}: ${why}`);
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true }).values;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

function defaultStateDir(environment: Readonly<Record<string, string | undefined>>): string {
  const { STATE_DIRECTORY, XDG_STATE_HOME } = environment;
  if (STATE_DIRECTORY) return STATE_DIRECTORY;
  return join(XDG_STATE_HOME || join(homedir(), ".local", "state"), "mesh");
}

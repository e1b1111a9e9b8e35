/**
 * What `mesh proxy` is told: command line and environment ─▶ ProxyFlags, or every problem with them
 * at once. Nothing here opens anything.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Level } from "../core/log.ts";
import type { Problem } from "../core/problem.ts";
import { isIdSegment } from "../core/spiffe-id.ts";
import { checkFqdn } from "../model/validate-name.ts";
import { type FlagName, flagProblem, scanFlags } from "./flag-table.ts";

export interface HostPort {
  readonly hostname: string;
  /** 0: pick one. */
  readonly port: number;
}

/** `--upstream svc=addr:port`. */
export interface StaticUpstream extends HostPort {
  readonly service: string;
}

/** `--tcp-listen [host:]port=svc:port`. */
export interface TcpListen extends HostPort {
  /** "mysql.default.svc.cluster.local:3306" */
  readonly destination: string;
}

export interface ProxyFlags {
  /** Full host name; empty: this proxy stands for no service. */
  readonly service: string;
  readonly namespace: string;
  readonly mode: "sidecar" | "gateway";
  readonly domain: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "region/zone/subzone"; empty: unknown. */
  readonly locality: string;
  /** Absent: nothing is served, the proxy only calls. */
  readonly app: HostPort | undefined;
  readonly servicePort: number;
  /** Absent: HTTP/1.1 or HTTP/2, as callers speak. */
  readonly protocol: "http" | "http2" | "grpc" | "tcp" | undefined;
  readonly id: string | undefined;
  readonly advertise: string | undefined;
  /** Where a gateway binds the listeners of the ports 80 and 443. */
  readonly http: HostPort;
  readonly https: HostPort;
  /** Where a gateway's certificates are; absent: it has none. */
  readonly certificates: string | undefined;
  /** What a gateway asks of its clients. */
  readonly clientCertificates: "none" | "optional" | "required";
  /** Connections to a gateway, or to a sidecar's inbound port, begin with such a header. */
  readonly proxyProtocol: boolean;
  readonly outbound: HostPort;
  readonly inbound: HostPort;
  /** Inbound connections are led here by TPROXY, with this mark; absent: by REDIRECT or not. */
  readonly tproxyMark: number | undefined;
  readonly admin: HostPort;
  readonly readiness: HostPort;
  /** Absent: no DNS is answered. */
  readonly dns: HostPort | undefined;
  /** Absent: none. */
  readonly manager: string | undefined;
  /** The application hears who called, by x-forwarded-client-cert. */
  readonly tellsPeers: boolean;
  /** Keys of tokens may be fetched from addresses of the link alone. */
  readonly linkLocalKeys: boolean;
  /** How it proves to the manager who it is. */
  readonly credential: CredentialFlags;
  /** Undefined: there is none. */
  readonly mixer: (HostPort & { readonly timeoutMs: number }) | undefined;
  readonly upstreams: readonly StaticUpstream[];
  /** Local ports that stand for a service's. */
  readonly tcpListeners: readonly TcpListen[];
  readonly standalone: boolean;
  readonly files: readonly string[];
  readonly stateDir: string;
  /** Absent: as the mesh's settings say. */
  readonly accessLog: string | undefined;
  readonly accessLogEncoding: "TEXT" | "JSON" | undefined;
  readonly logLevel: Level;
  /** Absent: as the mesh's settings say. */
  readonly drainMs: number | undefined;
  /** Threads that carry traffic, at least 1. */
  readonly concurrency: number;
  readonly restart: boolean;
  readonly command: readonly string[];
}

export interface CredentialFlags {
  /** Of a join token, and the token itself; absent: none. */
  readonly tokenFile: string | undefined;
  readonly token: string | undefined;
  readonly jwtFile: string | undefined;
  /** Absent: as the service, or as the credential says. */
  readonly account: string | undefined;
  /** Roots for the manager; absent: by the token, or the last configuration. */
  readonly managerRoots: string | undefined;
  /** Of certificates, in seconds; 0: as the manager has it. */
  readonly lifetimeSeconds: number;
  /** Absent: certificate and key are in memory alone. */
  readonly keptIn: string | undefined;
}

export type FlagsResult =
  | { readonly at: "flags"; readonly flags: ProxyFlags }
  | { readonly at: "help" }
  | { readonly at: "problems"; readonly problems: readonly Problem[] };

/** Each has listening sockets of its own, all of which go to a successor in one message. */
const WORKERS_MAX = 60;

type Environment = Readonly<Record<string, string | undefined>>;

export function parseProxyFlags(
  argv: readonly string[],
  environment: Environment = {},
): FlagsResult {
  const scan = scanFlags(argv);
  if (scan.values.has("help")) return { at: "help" };
  const reader = new FlagReader(scan.values, environment, [...scan.problems]);
  const flags = readFlags(reader, scan.command);
  reader.checkTogether(flags);
  if (reader.problems.length > 0) return { at: "problems", problems: reader.problems };
  return { at: "flags", flags };
}

function readFlags(reader: FlagReader, command: readonly string[]): ProxyFlags {
  const domain = reader.text("domain") ?? "cluster.local";
  const name = reader.service(domain);
  const app = reader.app();
  const manager = reader.manager();
  const advertise = reader.text("advertise");
  // With the manager on this host the mesh is on this host, and nobody else has business here.
  const isLocal = advertise === undefined && (manager === undefined || isLoopbackUrl(manager));
  const tproxyMark = reader.tproxyMark();
  const everywhere = isLocal || reader.has("standalone") ? "127.0.0.1" : "0.0.0.0";
  return {
    ...name,
    mode: reader.oneOf("mode", ["sidecar", "gateway"]) ?? "sidecar",
    domain,
    labels: reader.labels(),
    locality: reader.locality(),
    app,
    servicePort: reader.port("service-port") ?? app?.port ?? 0,
    protocol: reader.oneOf("protocol", ["http", "http2", "grpc", "tcp"]),
    id: reader.text("id"),
    advertise,
    http: reader.address("http-port", "0.0.0.0", 80),
    https: reader.address("https-port", "0.0.0.0", 443),
    certificates: reader.text("certificates"),
    clientCertificates:
      reader.oneOf("client-certificates", ["none", "optional", "required"]) ?? "none",
    proxyProtocol: reader.has("proxy-protocol"),
    outbound: reader.address("outbound", "127.0.0.1", 15001),
    // TPROXY leaves destinations as they are: whoever takes them listens everywhere.
    inbound: reader.address("inbound", tproxyMark === undefined ? everywhere : "0.0.0.0", 15006),
    tproxyMark,
    admin: reader.address("admin", "127.0.0.1", 15000),
    readiness: reader.address("readiness", everywhere, 15021),
    dns: reader.dns(),
    manager,
    tellsPeers: reader.has("forward-client-cert"),
    credential: reader.credential(),
    linkLocalKeys: reader.has("link-local-keys"),
    mixer: reader.mixer(),
    upstreams: reader.upstreams(),
    tcpListeners: reader.tcpListeners(name.namespace, domain),
    standalone: reader.has("standalone"),
    files: reader.all("file"),
    stateDir: reader.stateDir(),
    accessLog: reader.text("access-log"),
    accessLogEncoding: reader.oneOf("access-log-encoding", ["TEXT", "JSON"]),
    logLevel: reader.oneOf("log-level", ["debug", "info", "warn", "error"]) ?? "info",
    drainMs: reader.seconds("drain-seconds", 3600),
    concurrency: reader.concurrency(),
    restart: reader.has("restart"),
    command,
  };
}

/** Of a URL's host. */
export function isLoopbackUrl(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}

/** "reviews", "reviews.default" and the full name are the same service. */
export function serviceName(
  written: string,
  namespace: string | undefined,
  domain: string,
): { readonly service: string; readonly namespace: string } {
  const lower = written.toLowerCase();
  const parts = lower.split(".");
  if (lower === "") return { service: "", namespace: namespace ?? "default" };
  if (parts.length <= 2) {
    const own = parts[1] ?? namespace ?? "default";
    return { service: `${parts[0]}.${own}.svc.${domain}`, namespace: own };
  }
  const own = parts[2] === "svc" ? parts[1]! : (namespace ?? "default");
  const full = lower.endsWith(".svc") && parts.length === 3 ? `${lower}.${domain}` : lower;
  return { service: full, namespace: own };
}

const gatewayFlags = ["http-port", "https-port", "certificates", "client-certificates"] as const;

class FlagReader {
  readonly #values: ReadonlyMap<FlagName, readonly string[]>;
  readonly #environment: Environment;
  readonly problems: Problem[];

  constructor(
    values: ReadonlyMap<FlagName, readonly string[]>,
    environment: Environment,
    problems: Problem[],
  ) {
    this.#values = values;
    this.#environment = environment;
    this.problems = problems;
  }

  has(name: FlagName): boolean {
    return this.#values.has(name);
  }

  all(name: FlagName): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  text(name: FlagName, variable?: string): string | undefined {
    const fallback = variable === undefined ? undefined : this.#environment[variable];
    return this.all(name)[0] ?? (fallback === "" ? undefined : fallback);
  }

  oneOf<const T extends string>(name: FlagName, choices: readonly T[]): T | undefined {
    const written = this.text(name);
    if (written === undefined) return undefined;
    const found = choices.find((choice) => choice.toLowerCase() === written.toLowerCase());
    if (found === undefined) this.#refuse(name, `"${written}" is not one of ${choices.join(", ")}`);
    return found;
  }

  service(domain: string): { readonly service: string; readonly namespace: string } {
    const written = this.text("service", "MESH_SERVICE") ?? "";
    const namespace = this.text("namespace", "MESH_NAMESPACE");
    const names = { service: written, namespace: namespace ?? "", domain };
    for (const flag of ["service", "namespace", "domain"] as const) {
      const complaint = names[flag] === "" ? undefined : checkFqdn(names[flag]);
      if (complaint !== undefined) this.#refuse(flag, `"${names[flag]}" is no name: ${complaint}`);
    }
    return serviceName(written, namespace, domain);
  }

  /** In milliseconds. */
  seconds(name: FlagName, max: number): number | undefined {
    const written = this.text(name);
    if (written === undefined) return undefined;
    const value = /^\d+(\.\d+)?$/.test(written) ? Number(written) : Number.NaN;
    if (value <= max) return value * 1000;
    this.#refuse(name, `"${written}" is not a number from 0 to ${max}`);
    return undefined;
  }

  /** As Envoy and Istio have it: 0 is as many as there are processors. */
  concurrency(): number {
    const written = this.text("concurrency") ?? "1";
    const value = /^\d{1,4}$/.test(written) ? Number(written) : Number.NaN;
    if (value === 0) return Math.min(availableParallelism(), WORKERS_MAX);
    if (value <= WORKERS_MAX) return value;
    this.#refuse("concurrency", `"${written}" is not a number from 0 to ${WORKERS_MAX}`);
    return 1;
  }

  port(name: FlagName): number | undefined {
    const written = this.text(name);
    if (written === undefined) return undefined;
    const port = parsePort(written);
    if (port === undefined || port === 0) this.#refuse(name, `"${written}" is not a port`);
    return port;
  }

  /** "host:port", "[v6]:port", ":port" or "port". */
  address(name: FlagName, hostname: string, port: number): HostPort {
    const written = this.text(name);
    if (written === undefined) return { hostname, port };
    const read = parseHostPort(written, hostname);
    if (read === undefined) this.#refuse(name, `"${written}" is not HOST:PORT`);
    return read ?? { hostname, port };
  }

  app(): HostPort | undefined {
    const port = this.port("app-port");
    if (!this.has("app")) return port === undefined ? undefined : { hostname: "127.0.0.1", port };
    if (port !== undefined) this.#refuse("app", "says what --app-port says: give one of them");
    const app = this.address("app", "127.0.0.1", 0);
    if (app.port === 0) this.#refuse("app", "needs the port at which the application listens");
    return app;
  }

  dns(): HostPort | undefined {
    const written = this.text("dns") ?? "off";
    return written === "off" ? undefined : this.address("dns", "127.0.0.1", 15053);
  }

  manager(): string | undefined {
    const written = this.text("manager", "MESH_MANAGER") ?? "http://127.0.0.1:15010";
    if (written === "none") return undefined;
    const url = URL.parse(written.includes("://") ? written : `http://${written}`);
    if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
      const text = `"${written}" is not an http:// or https:// address`;
      this.#refuse("manager", text, "write https://HOST:PORT, or none");
      return undefined;
    }
    return url.origin;
  }

  credential(): CredentialFlags {
    const account = this.text("service-account");
    if (account !== undefined && !isIdSegment(account))
      this.#refuse("service-account", `"${account}" is not the name of an account`);
    const tokenFile = this.text("token");
    const jwtFile = this.text("jwt-file");
    if (tokenFile !== undefined && jwtFile !== undefined)
      this.#refuse("jwt-file", "says what --token says: give one of them");
    const token = this.#environment.MESH_JOIN_TOKEN || undefined;
    const lifetimeMs = this.seconds("certificate-lifetime", 90 * 86_400) ?? 0;
    const lifetimeSeconds = Math.ceil(lifetimeMs / 1_000);
    const keptIn = this.text("identity-file");
    const managerRoots = this.text("manager-ca");
    return { tokenFile, token, jwtFile, account, managerRoots, lifetimeSeconds, keptIn };
  }

  mixer(): ProxyFlags["mixer"] {
    const written = this.text("mixer", "MESH_MIXER") ?? "127.0.0.1:9091";
    if (written === "none") return undefined;
    const address = parseHostPort(written, "127.0.0.1");
    if (address === undefined) this.#refuse("mixer", `"${written}" is not HOST:PORT`);
    return address && { ...address, timeoutMs: this.seconds("mixer-timeout", 60) ?? 2_000 };
  }

  labels(): Record<string, string> {
    const labels: Record<string, string> = {};
    for (const pair of this.all("labels").flatMap((text) => text.split(","))) {
      const [, key, value] = /^([^=\s]+)=(.*)$/.exec(pair.trim()) ?? [];
      if (key === undefined) this.#refuse("labels", `"${pair}" is not KEY=VALUE`);
      else labels[key] = value ?? "";
    }
    return labels;
  }

  locality(): string {
    const text = this.text("locality", "MESH_LOCALITY") ?? "";
    if (text !== "" && !/^[\w.-]+(\/[\w.-]+){0,2}$/.test(text))
      this.#refuse("locality", `"${text}" is not REGION, REGION/ZONE or REGION/ZONE/SUBZONE`);
    return text;
  }

  upstreams(): StaticUpstream[] {
    return this.all("upstream").flatMap((text) => {
      const equals = text.indexOf("=");
      const service = text.slice(0, Math.max(equals, 0)).toLowerCase();
      const address = parseHostPort(text.slice(equals + 1), "");
      const valid = /^[a-z0-9_.-]+(:\d+)?$/.test(service);
      if (valid && address !== undefined && address.hostname !== "" && address.port !== 0) {
        return [{ service, ...address }];
      }
      this.#refuse("upstream", `"${text}" is not SERVICE=HOST:PORT`);
      return [];
    });
  }

  /** A service's short name is one of this proxy's namespace. */
  tcpListeners(namespace: string, domain: string): TcpListen[] {
    const listeners = this.all("tcp-listen").flatMap((text) => {
      const equals = text.indexOf("=");
      const address = parseHostPort(text.slice(0, Math.max(equals, 0)), "127.0.0.1");
      const [, host = "", port = ""] = /^([\w.-]+):(\d+)$/.exec(text.slice(equals + 1)) ?? [];
      const number = parsePort(port);
      if (address !== undefined && number !== undefined && number > 0) {
        const { service } = serviceName(host, namespace, domain);
        return [{ ...address, destination: `${service}:${number}` }];
      }
      this.#refuse("tcp-listen", `"${text}" is not [HOST:]PORT=SERVICE:PORT`);
      return [];
    });
    const taken = new Set<string>();
    for (const { hostname, port } of listeners) {
      const key = `${hostname}:${port}`;
      if (port !== 0 && taken.has(key)) this.#refuse("tcp-listen", `${key} is given twice`);
      taken.add(key);
    }
    return listeners;
  }

  stateDir(): string {
    const written = this.text("state-dir", "MESH_STATE_DIR");
    if (written !== undefined) return written;
    const { XDG_STATE_HOME: state, HOME: home } = this.#environment;
    if (state !== undefined && state !== "") return join(state, "mesh");
    return home === undefined || home === "" ? ".mesh" : join(home, ".local", "state", "mesh");
  }

  tproxyMark(): number | undefined {
    const written = this.text("tproxy");
    if (written === undefined) return undefined;
    const mark = /^(\d{1,10}|0x[0-9a-f]{1,8})$/i.test(written) ? Number(written) : Number.NaN;
    if (mark >= 1 && mark <= 0xffff_fffe) return mark;
    this.#refuse("tproxy", `"${written}" is not a number from 1 to 4294967294`);
    return undefined;
  }

  /** What no flag says alone. */
  checkTogether(flags: ProxyFlags): void {
    this.#checkMode(flags);
    if (flags.standalone && flags.files.length === 0) {
      this.#refuse("standalone", "needs rules to read", "add -f DIR|FILE");
    }
    if (!flags.standalone && flags.files.length > 0) {
      this.#refuse("file", "is read by --standalone only", "add --standalone");
    }
    if (flags.app !== undefined && flags.service === "") {
      this.#refuse("app-port", "belongs to a service", "add --service NAME");
    }
    if (flags.app !== undefined && flags.app.port === flags.outbound.port) {
      this.#refuse("app-port", "is the proxy's own outbound port, so it would call itself");
    }
    this.#checkCredential(flags);
    if (flags.tproxyMark !== undefined) this.#checkTproxy(flags);
    if (flags.restart && flags.command.length > 0) {
      this.#refuse("restart", "cannot take over a running application: leave out -- COMMAND");
    }
    if (flags.proxyProtocol && flags.mode === "sidecar" && flags.app === undefined) {
      this.#refuse("proxy-protocol", "is about who calls an application", "add --app-port PORT");
    }
    if (flags.admin.hostname !== "localhost" && !/^(127\.|::1$)/.test(flags.admin.hostname)) {
      this.#refuse("admin", `${flags.admin.hostname} is not a loopback address`);
    }
  }

  /** Whoever reads a token on its way has the identity that it is good for. */
  #checkCredential({ manager, credential }: ProxyFlags): void {
    if (manager === undefined || manager.startsWith("https:") || isLoopbackUrl(manager)) return;
    const { tokenFile, token, jwtFile } = credential;
    if ((tokenFile ?? token ?? jwtFile) === undefined) return;
    const text = `${manager} would be told the token in plaintext`;
    this.#refuse("manager", text, "write https://HOST:15012");
  }

  #checkTproxy({ app, inbound }: ProxyFlags): void {
    if (app === undefined)
      this.#refuse("tproxy", "is about calls to an application", "add --app-port PORT");
    if (inbound.hostname !== "0.0.0.0" && inbound.hostname !== "::")
      this.#refuse("inbound", `${inbound.hostname} is not all addresses, as --tproxy needs`);
  }

  #checkMode({ mode, http, https, command, concurrency }: ProxyFlags): void {
    if (mode === "sidecar") {
      for (const name of gatewayFlags)
        if (this.has(name)) this.#refuse(name, "belongs to a gateway", "add --mode gateway");
      return;
    }
    for (const name of ["app-port", "app"] as const)
      if (this.has(name)) this.#refuse(name, "belongs to a sidecar: a gateway serves all services");
    if (command.length > 0) this.#refuse("mode", "a gateway runs no application: leave out --");
    for (const [name, { port }] of [["http-port", http] as const, ["https-port", https] as const])
      if (port === 0 && concurrency > 1)
        this.#refuse(name, "is 0: several threads have to be told their port");
    if (http.port === https.port && http.port !== 0)
      this.#refuse("https-port", `is ${http.port}, as --http-port is`);
  }

  #refuse(name: FlagName, message: string, suggestion?: string): void {
    this.problems.push(flagProblem(`--${name}`, message, suggestion));
  }
}

function parseHostPort(text: string, hostname: string): HostPort | undefined {
  const match = /^(?:(\[[^\]]+\]|[^:[\]]*):)?(\d+)$/.exec(text);
  const port = parsePort(match?.[2] ?? "");
  if (match === null || port === undefined) return undefined;
  const host = (match[1] ?? "").replace(/^\[|\]$/g, "");
  return { hostname: host === "" ? hostname : host, port };
}

function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return port <= 65_535 ? port : undefined;
}

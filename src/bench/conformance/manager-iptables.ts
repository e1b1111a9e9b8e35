/**
 * Capture as releases of Istio set it up: each era's arguments become arguments of `mesh ctl
 * iptables`, and both rule sets are asked about the same packets, made from every port, address,
 * interface, owner and mark that either of them speaks of. Where we decide otherwise on purpose is
 * in `departures`; all other packets must fare the same.
 */
import { readFileSync } from "node:fs";
import { systemClock } from "../../core/clock.ts";
import { seededRandom } from "../../core/random.ts";
import type { CaptureOptions, Family } from "../../ctl/capture/capture-options.ts";
import { captureRules } from "../../ctl/capture/capture-rules.ts";
import { installScript } from "../../ctl/capture/iptables-text.ts";
import { parseCapture } from "../../ctl/capture/parse-capture.ts";
import { runCtl } from "../../ctl/run.ts";
import { type Packet, RuleBook } from "../../testing/packet-filter.ts";
import { type Suite, Verdicts } from "./suite.ts";

const PACKETS = 8_000;
const SEED = 5;
const directory = "manager/iptables";

interface ScriptCase {
  readonly args: readonly string[];
  readonly exit_code: number;
  readonly commands: readonly string[];
}

interface GoldenCase {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly expected: readonly string[];
}

/** What an era's script did where an argument was absent; and what it did not know. */
interface Era {
  readonly defaults: Readonly<Record<string, string>>;
  readonly unknown: readonly string[];
}

const prepareProxy: Era = {
  // Everything comes in, whatever the port.
  defaults: { "-b": "*", "-d": "", "-i": "*", "-g": "" },
  unknown: ["-b", "-d", "-x", "-m", "-z", "-g", "clean"],
};
const eras: Readonly<Record<string, Era>> = {
  "pilot-0.1.6__prepare_proxy.sh": prepareProxy,
  "pilot-master__prepare_proxy.sh": prepareProxy,
  "istio-0.3.0__prepare_proxy.sh": prepareProxy,
  "istio-0.5.0__prepare_proxy.sh": prepareProxy,
  "istio-0.5.0__istio-iptables.sh": {
    defaults: { "-b": "", "-i": "*", "-g": "" },
    unknown: ["-x", "-m", "-d", "-z", "-g", "clean"],
  },
  "istio-0.8.0__istio-iptables.sh": { defaults: { "-b": "", "-i": "" }, unknown: ["-z", "-g"] },
};

export const captureSuites: readonly Suite[] = [
  ...Object.entries(eras).map(([name, era]) => ({
    file: `${directory}/${name}.json`,
    run: async (path: string) => {
      const verdicts = new Verdicts();
      for (const one of casesOf<ScriptCase>(path)) await judgeScript(one, era, verdicts);
      return verdicts.result();
    },
  })),
  {
    file: `${directory}/istio-master__capture.json`,
    run: async (path) => {
      const verdicts = new Verdicts();
      for (const one of casesOf<GoldenCase>(path)) judgeGolden(one, verdicts);
      return verdicts.result();
    },
  },
];

function casesOf<T>(path: string): readonly T[] {
  return (JSON.parse(readFileSync(path, "utf8")) as { cases: readonly T[] }).cases;
}

async function judgeScript(one: ScriptCase, era: Era, verdicts: Verdicts): Promise<void> {
  const { args, exit_code: exitCode, commands } = one;
  const name = args.join(" ");
  const given = await printed(argumentsFor(args, era));
  const agree = (given.code === 0) === (exitCode === 0);
  if (!agree) {
    const why = exitCode === 0 ? undefined : acceptedSince(args, era);
    if (why !== undefined) return verdicts.skip(name, `departs: ${why}`);
    return verdicts.judge(name, `exit code ${given.code}: ${given.err}`);
  }
  if (exitCode !== 0 || args.includes("-h")) return verdicts.judge(name, undefined);
  if (args.includes("clean")) {
    const only = commands.every((command) => / -[DFX] /.test(command));
    return verdicts.judge(name, only ? undefined : "clean is --remove, and adds nothing");
  }
  const [wanted, ours] = [new RuleBook(), new RuleBook()];
  for (const command of commands) {
    const [program, , table = "", ...words] = command.split(" ");
    // IPv6: 0.8 refused it from outside, having no proxy for it; --ipv6 captures it instead.
    if (program === "iptables") wanted.add(table, words);
  }
  ours.addScript(given.out);
  const routes = differInRoutes(commands, given.out);
  const owners = (flagOf(args, "-u") ?? "1337").split(",");
  const facts = { users: owners, groups: owners, isScript: true };
  verdicts.judge(name, routes ?? differ(wanted, ours, facts));
}

/** Why what an old script refused is good now. */
function acceptedSince(args: readonly string[], { unknown }: Era): string | undefined {
  const stranger = unknown.find((word) => args.includes(word));
  if (stranger !== undefined) return `${stranger} is known since a later release`;
  const missing = ["-p", "-u"].find((flag) => !args.includes(flag));
  return missing === undefined ? undefined : `${missing} has a default since 0.8`;
}

/** The old scripts knew one port of the proxy, for both ways. */
function argumentsFor(args: readonly string[], { defaults }: Era): readonly string[] {
  const port = flagOf(args, "-p");
  const known = args.includes("clean") ? args.map((a) => (a === "clean" ? "--remove" : a)) : args;
  const added = Object.entries(defaults).filter(([flag]) => !args.includes(flag));
  const both = port === undefined ? [] : ["-z", port];
  const isIncomplete = args.at(-1) === "-z";
  return [...added.flat(), ...(isIncomplete ? [] : both), "--ipv6=off", ...known];
}

function flagOf(args: readonly string[], flag: string): string | undefined {
  const at = args.indexOf(flag);
  return at === -1 ? undefined : args[at + 1];
}

async function printed(args: readonly string[]) {
  let [out, err] = ["", ""];
  if (args.includes("--remove")) return { code: 0, out, err };
  const code = await runCtl(["iptables", ...args], {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    readStdin: async () => "",
    stdinIsTty: false,
    isTty: false,
    columns: 100,
    env: {},
    clock: systemClock,
  });
  return { code, out, err };
}

function differInRoutes(commands: readonly string[], script: string): string | undefined {
  const of = (lines: readonly string[]) =>
    lines
      .filter((line) => line.startsWith("ip -f inet "))
      .map((line) => line.replace("route replace", "route add"))
      .join("; ");
  const [wanted, ours] = [of(commands), of(script.split("\n"))];
  return wanted === ours ? undefined : `routes are "${ours}", not "${wanted}"`;
}

function judgeGolden({ name, config, expected }: GoldenCase, verdicts: Verdicts): void {
  const unknown = Object.keys(config).filter((field) => !Object.hasOwn(fields, field));
  if (unknown.length > 0) return verdicts.skip(name, `no option is called ${unknown.join(", ")}`);
  const options = optionsOf(config);
  if (typeof options === "string") return verdicts.judge(name, options);
  const [v4, v6] = booksOf(expected);
  const facts = { users: options.proxyUsers, groups: options.proxyGroups, isScript: false };
  const compare = (wanted: RuleBook, family: Family): string | undefined => {
    const ours = new RuleBook();
    ours.addScript(installScript(captureRules(options, family)));
    return differ(wanted, ours, facts);
  };
  verdicts.judge(name, compare(v4, "ipv4") ?? (options.ipv6 ? compare(v6, "ipv6") : undefined));
}

/** Fields of the tool's configuration, and the flags that they are here; "": says nothing here. */
const fields: Readonly<Record<string, string>> = {
  ProxyPort: "proxy-port",
  InboundCapturePort: "inbound-port",
  InboundTunnelPort: "tunnel-port",
  ProxyUID: "proxy-uid",
  ProxyGID: "proxy-gid",
  InboundInterceptionMode: "mode",
  InboundTProxyMark: "tproxy-mark",
  InboundTProxyRouteTable: "tproxy-route-table",
  InboundPortsInclude: "inbound-ports",
  InboundPortsExclude: "inbound-ports-exclude",
  OutboundIPRangesInclude: "outbound-cidrs",
  OutboundIPRangesExclude: "outbound-cidrs-exclude",
  OutboundPortsInclude: "outbound-ports",
  OutboundPortsExclude: "outbound-ports-exclude",
  OwnerGroupsInclude: "owner-groups",
  OwnerGroupsExclude: "owner-groups-exclude",
  ExcludeInterfaces: "exclude-interfaces",
  KubeVirtInterfaces: "virtual-interfaces",
  RerouteVirtualInterfaces: "virtual-interfaces",
  HostIPv4LoopbackCidr: "loopback-cidr",
  DropInvalid: "drop-invalid",
  RedirectDNS: "redirect-dns",
  CaptureAllDNS: "capture-all-dns",
  DNSServersV4: "",
  DNSServersV6: "",
  EnableIPv6: "",
  DryRun: "",
  TraceLogging: "",
};

function optionsOf(config: Readonly<Record<string, unknown>>): CaptureOptions | string {
  const flags: Record<string, unknown> = {
    "inbound-ports": "",
    "outbound-cidrs": "",
    "proxy-gid": "1337",
    ipv6: config.EnableIPv6 === true ? "on" : "off",
  };
  for (const [field, value] of Object.entries(config))
    if (fields[field] !== "") flags[fields[field] ?? field] = value;
  const nameservers = [config.DNSServersV4, config.DNSServersV6].flatMap(
    (list) => (list ?? []) as readonly string[],
  );
  // Without any, DNS is not captured; ours says so and refuses.
  if (nameservers.length === 0 && flags["capture-all-dns"] !== true) delete flags["redirect-dns"];
  const parsed = parseCapture(flags, { nameservers, hasIpv6: false });
  if (!("mode" in parsed))
    return parsed.map(({ path, message }) => `${path} ${message}`).join("; ");
  const exclude = String(config.InboundPortsExclude ?? "")
    .split(",")
    .filter((port) => port !== "");
  return { ...parsed, inboundPortsExclude: exclude.map(Number) };
}

/** IPv4, then IPv6, for which the first table comes a second time. */
function booksOf(lines: readonly string[]): readonly [RuleBook, RuleBook] {
  const starts = lines.flatMap((line, i) => (line.startsWith("* ") ? [i] : []));
  const again = starts.slice(1).find((at) => lines[at] === lines[starts[0] ?? 0]) ?? lines.length;
  const [v4, v6] = [new RuleBook(), new RuleBook()];
  v4.addScript(lines.slice(0, again).join("\n"));
  v6.addScript(lines.slice(again).join("\n"));
  return [v4, v6];
}

interface Facts {
  readonly users: readonly string[];
  readonly groups: readonly string[];
  /** A release that told the proxy's calls to itself from those of others by nothing. */
  readonly isScript: boolean;
}

/** Packets that fare otherwise here on purpose. */
const departures: readonly {
  readonly why: string;
  readonly applies: (packet: Packet, facts: Facts) => boolean;
}[] = [
  {
    why: "every user and group named is the proxy, not the first user alone",
    applies: (packet, { users, groups }) =>
      packet.hook === "OUTPUT" &&
      packet.interface === "lo" &&
      packet.user !== users[0] &&
      (users.includes(packet.user) || groups.includes(packet.group)),
  },
  {
    why: "what others send within this machine stays there, since 1.0 in Istio too",
    applies: (packet, { isScript }) =>
      isScript && packet.hook === "OUTPUT" && packet.interface === "lo",
  },
  {
    why: "ports and addresses that had no meaning in old releases: tunnel, metrics, readiness",
    applies: (packet, { isScript }) =>
      isScript &&
      ([15008, 15020, 15021, 15090].includes(packet.port) || packet.source === "127.0.0.6"),
  },
  {
    why: "marks of connections keep callers' addresses, since 1.4 in Istio too",
    applies: (packet, { isScript }) =>
      isScript && (packet.mark !== 0 || packet.connectionMark !== 0 || packet.interface === "lo"),
  },
];

/** The first packet that fares otherwise; undefined: none. */
function differ(wanted: RuleBook, ours: RuleBook, facts: Facts): string | undefined {
  const sample = packetSource([...wanted.rules, ...ours.rules], facts);
  for (let i = 0; i < PACKETS; i++) {
    const packet = sample();
    if (departures.some(({ applies }) => applies(packet, facts))) continue;
    const [theirs, own] = [wanted.evaluate(packet), ours.evaluate(packet)];
    if (!Bun.deepEquals(theirs, own))
      return `${JSON.stringify(packet)}: ${JSON.stringify(own)}, not ${JSON.stringify(theirs)}`;
  }
  return undefined;
}

function packetSource(rules: readonly (readonly string[])[], facts: Facts): () => Packet {
  const random = seededRandom(SEED);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const valuesOf = (...flags: readonly string[]): string[] =>
    rules.flatMap((rule) =>
      rule.flatMap((word, i) => (flags.includes(word) ? (rule[i + 1] ?? "").split(",") : [])),
    );
  const isV6 = valuesOf("-s", "-d").some((block) => block.includes(":"));
  const blocks = [...new Set(valuesOf("-s", "-d"))].map(firstOf);
  const some = isV6 ? ["2001:db8:7::9", "::1"] : ["203.0.113.9", "127.0.0.1", "10.200.0.1"];
  const addresses = [...some, ...blocks];
  const ports = [...new Set(valuesOf("--dport", "--dports", "--sport"))].map(Number);
  const interfaces = ["lo", "eth9", ...valuesOf("-i", "-o")];
  const users = [...facts.users, "4711", ...valuesOf("--uid-owner")];
  const groups = [...facts.groups, "4711", ...valuesOf("--gid-owner")];
  const marks = [0, 0, ...valuesOf("--mark", "--set-mark").map(Number)];
  return () => ({
    hook: pick(["PREROUTING", "OUTPUT"] as const),
    protocol: pick(["tcp", "tcp", "udp"] as const),
    interface: pick(interfaces),
    source: pick(addresses),
    destination: pick(addresses),
    sourcePort: pick([40_000, ...ports]),
    port: pick([8_080, ...ports]),
    user: pick(users),
    group: pick(groups),
    state: pick(["NEW", "NEW", "ESTABLISHED", "INVALID"] as const),
    mark: pick(marks),
    connectionMark: pick(marks),
  });
}

/** An address in the block that is not the block's name where there is another. */
function firstOf(block: string): string {
  const [base = "", prefix] = block.split("/");
  if (prefix === undefined || prefix === "32" || prefix === "128") return base;
  return base.includes(":") ? base.replace(/::$/, "::77") : base.replace(/\d+$/, "77");
}

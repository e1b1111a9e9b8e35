/**
 * Evaluates rules of iptables for a packet, so that two rule sets are compared by what they do to
 * traffic, whatever chains they have and however they are written. Knows every match and target
 * that vectors or our own rules use; throws on any other, so that nothing passes unread.
 */
export interface Packet {
  readonly hook: "PREROUTING" | "OUTPUT";
  readonly protocol: "tcp" | "udp";
  /** The one that it comes in by, or goes out by. */
  readonly interface: string;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly port: number;
  readonly user: string;
  readonly group: string;
  readonly state: "NEW" | "ESTABLISHED" | "INVALID";
  readonly mark: number;
  readonly connectionMark: number;
}

/** What becomes of a packet; absent: nothing. */
export interface Outcome {
  readonly zone?: number;
  readonly mark?: number;
  readonly connectionMark?: number;
  readonly dropped?: true;
  readonly tproxy?: number;
  readonly redirect?: number;
}

type Chains = Map<string, string[][]>;

/** By table and chain. */
export class RuleBook {
  readonly #tables = new Map<string, Chains>();

  /** "-N X", "-A X …", "-I X 1 …"; what only tidies up is ignored. */
  add(table: string, words: readonly string[]): void {
    const [operation, chain = "", ...rest] = words;
    const rules = this.#chain(table, chain);
    if (operation === "-A") rules.push(rest);
    else if (operation === "-I") rules.splice(Number(rest[0]) - 1, 0, rest.slice(1));
    else if (!/^-[NFXD]$/.test(operation ?? "")) throw new Error(`unknown: ${words.join(" ")}`);
  }

  /** Text for iptables-restore. */
  addScript(script: string): void {
    let table = "";
    for (const line of script.split("\n")) {
      if (line.startsWith("*")) table = line.slice(1).trim();
      else if (line.startsWith("-")) this.add(table, line.split(/\s+/));
    }
  }

  get rules(): readonly (readonly string[])[] {
    return [...this.#tables.values()].flatMap((chains) => [...chains.values()].flat());
  }

  evaluate(packet: Packet): Outcome {
    const state = { packet, outcome: {} as Mutable<Outcome>, mark: packet.mark };
    for (const table of ["raw", "mangle", "nat"]) {
      const chains = this.#tables.get(table);
      // Addresses are translated for the first packet of a connection only.
      if (chains === undefined || (table === "nat" && packet.state !== "NEW")) continue;
      walk(chains, packet.hook, state);
      if (state.outcome.dropped) break;
    }
    return state.outcome;
  }

  #chain(table: string, chain: string): string[][] {
    const chains = this.#tables.get(table) ?? new Map<string, string[][]>();
    this.#tables.set(table, chains);
    const rules = chains.get(chain) ?? [];
    chains.set(chain, rules);
    return rules;
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface State {
  readonly packet: Packet;
  readonly outcome: Mutable<Outcome>;
  mark: number;
}

/** "end": no further rule of this table is asked. */
type Step = "next" | "return" | "end";

function walk(chains: Chains, chain: string, state: State): Step {
  for (const rule of chains.get(chain) ?? []) {
    const { holds, target } = read(rule, state);
    if (!holds) continue;
    const [verb, name = "", ...options] = target;
    if (verb === "-g") return walk(chains, name, state) === "end" ? "end" : "return";
    const step = chains.has(name) ? walk(chains, name, state) : act(name, options, state);
    if (step === "end") return "end";
    if (step === "return" && !chains.has(name)) return "return";
  }
  return "next";
}

/** Splits a rule into what it asks and what it does. */
function read(rule: readonly string[], state: State) {
  const at = rule.findIndex((word) => word === "-j" || word === "-g");
  const target = rule.slice(at);
  let holds = true;
  let negated = false;
  let module = "";
  for (let i = 0; i < at; i++) {
    const word = rule[i]!;
    if (word === "!") negated = true;
    else if (word === "-m") {
      module = rule[++i] ?? "";
      if (module === "socket" && state.packet.state !== "ESTABLISHED") holds = false;
    } else {
      const value = rule[++i] ?? "";
      const flag = module === "connmark" ? `${word} of connection` : word;
      if (test(flag, value, state) === negated) holds = false;
      negated = false;
    }
  }
  return { holds, target };
}

function test(flag: string, value: string, { packet, mark }: State): boolean {
  const isIn = packet.hook === "PREROUTING";
  switch (flag) {
    case "-p":
      return packet.protocol === value;
    case "-i":
      return isIn && packet.interface === value;
    case "-o":
      return !isIn && packet.interface === value;
    case "-s":
      return isWithin(packet.source, value);
    case "-d":
      return isWithin(packet.destination, value);
    case "--sport":
      return packet.sourcePort === Number(value);
    case "--dport":
    case "--dports":
      return value.split(",").map(Number).includes(packet.port);
    case "--uid-owner":
      return !isIn && packet.user === value;
    case "--gid-owner":
      return !isIn && packet.group === value;
    case "--mark":
      return mark === Number(value);
    case "--mark of connection":
      return packet.connectionMark === Number(value);
    case "--ctstate":
    case "--state":
      return value.split(",").includes(packet.state);
    default:
      throw new Error(`unknown match ${flag} ${value}`);
  }
}

function act(target: string, options: readonly string[], state: State): Step {
  const { outcome } = state;
  const option = (...names: readonly string[]): number =>
    Number.parseInt(options[options.findIndex((word) => names.includes(word)) + 1] ?? "", 10);
  switch (target) {
    case "RETURN":
      return "return";
    case "ACCEPT":
      return "end";
    case "LOG":
    case "NFLOG":
      return "next";
    case "DROP":
      outcome.dropped = true;
      return "end";
    case "REDIRECT":
      outcome.redirect = option("--to-ports", "--to-port");
      return "end";
    case "TPROXY":
      outcome.tproxy = option("--on-port");
      outcome.mark = state.mark = option("--tproxy-mark");
      return "end";
    case "MARK":
      outcome.mark = state.mark = option("--set-mark");
      return "next";
    case "CONNMARK":
      if (options.includes("--save-mark")) outcome.connectionMark = state.mark;
      else outcome.mark = state.mark = state.packet.connectionMark;
      return "next";
    case "CT":
      // The first zone stays.
      outcome.zone ??= option("--zone");
      return "next";
    default:
      throw new Error(`unknown target ${target}`);
  }
}

/** Of one family; "10.0.0.0/8", or an address alone. */
export function isWithin(address: string, block: string): boolean {
  const [base = "", prefix] = block.split("/");
  if (address.includes(":") !== base.includes(":")) return false;
  const [a, b] = [bits(address), bits(base)];
  const kept = prefix === undefined ? a.length : Number(prefix);
  return a.slice(0, kept) === b.slice(0, kept);
}

function bits(address: string): string {
  if (!address.includes(":"))
    return address
      .split(".")
      .map((part) => Number(part).toString(2).padStart(8, "0"))
      .join("");
  // An IPv4 address at the end stands for two groups.
  const hexed = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((n) => n.toString(16)).join(":"),
  );
  const [before = "", after] = hexed.split("::");
  const left = before === "" ? [] : before.split(":");
  const right = after === undefined || after === "" ? [] : after.split(":");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right]
    .map((group) => Number.parseInt(group, 16).toString(2).padStart(16, "0"))
    .join("");
}

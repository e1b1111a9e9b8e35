/** Flags of `mesh ctl iptables` ─▶ CaptureOptions, or every problem with them at once. */
import { isIP } from "node:net";
import type { Problem } from "../../core/problem.ts";
import { encodeSocketAddress, formatIpv6 } from "../../io/socket-address.ts";
import { checkSubnet } from "../../model/validate-address.ts";
import {
  type AddressBlock,
  type AllOr,
  type CaptureOptions,
  type DnsCapture,
  defaultCaptureOptions as defaults,
  OWN_PORTS,
} from "./capture-options.ts";

/** Values as written, by name of flag; undefined: not given. */
export type WrittenFlags = Readonly<Record<string, unknown>>;

/** What the machine says. */
export interface Surroundings {
  /** Of /etc/resolv.conf. */
  readonly nameservers: readonly string[];
  /** Whether it has an IPv6 address that others can reach. */
  readonly hasIpv6: boolean;
}

export function parseCapture(
  flags: WrittenFlags,
  surroundings: Surroundings,
): CaptureOptions | readonly Problem[] {
  const reader = new CaptureFlagReader(flags);
  const users = reader.owners("proxy-uid") ?? defaults.proxyUsers;
  // A user's number is most often its group's too; for a name that is not known.
  const numeric = users.filter((id) => /^\d+$/.test(id));
  const groups = reader.owners("proxy-gid") ?? numeric;
  if (reader.problems.length === 0 && users.length + groups.length === 0)
    reader.refuse("proxy-uid", "names nobody: what the proxy sends would be captured again");
  const inboundPortsExclude = reader.ports("inbound-ports-exclude") ?? [22];
  const options: CaptureOptions = {
    proxyPort: reader.port("proxy-port") ?? defaults.proxyPort,
    inboundPort: reader.port("inbound-port") ?? defaults.inboundPort,
    tunnelPort: reader.port("tunnel-port") ?? defaults.tunnelPort,
    proxyUsers: users,
    proxyGroups: groups,
    mode: reader.text("mode")?.toUpperCase() === "TPROXY" ? "TPROXY" : "REDIRECT",
    tproxyMark: reader.number("tproxy-mark", 1, 0xffff_fffe) ?? defaults.tproxyMark,
    tproxyRouteTable: reader.routeTable() ?? defaults.tproxyRouteTable,
    inboundPorts: reader.allOr("inbound-ports", (name) => reader.ports(name)) ?? "*",
    inboundPortsExclude: [...new Set([...inboundPortsExclude, ...OWN_PORTS])],
    outboundBlocks: reader.allOr("outbound-cidrs", (name) => reader.blocks(name)) ?? "*",
    outboundBlocksExclude: reader.blocks("outbound-cidrs-exclude") ?? [],
    outboundPorts: reader.ports("outbound-ports") ?? [],
    outboundPortsExclude: reader.ports("outbound-ports-exclude") ?? [],
    ownerGroups: reader.allOr("owner-groups", (name) => reader.owners(name)) ?? "*",
    ownerGroupsExclude: reader.owners("owner-groups-exclude") ?? [],
    interfacesExclude: reader.interfaces("exclude-interfaces") ?? [],
    virtualInterfaces: reader.interfaces("virtual-interfaces") ?? [],
    dns: reader.dns(surroundings.nameservers),
    dropInvalid: flags["drop-invalid"] === true,
    loopback: reader.loopback() ?? defaults.loopback,
    ipv6: reader.ipv6(surroundings.hasIpv6),
  };
  return reader.problems.length > 0 ? reader.problems : options;
}

/** "10.1.2.3/8" is the block 10.0.0.0/8. Undefined: neither an address nor a block. */
export function parseBlock(text: string): AddressBlock | undefined {
  if (text.includes("%") || checkSubnet(text) !== undefined) return undefined;
  const [address = "", prefix] = text.split("/");
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (prefix === undefined) return { family, text: address };
  const encoded = encodeSocketAddress(address, 0);
  if (encoded === undefined) return undefined;
  const bytes = family === "ipv6" ? encoded.subarray(8, 24) : encoded.subarray(4, 8);
  const kept = Number(prefix);
  const masked = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, kept - 8 * i))));
  const base = family === "ipv6" ? formatIpv6(masked) : masked.join(".");
  return { family, text: `${base}/${kept}` };
}

class CaptureFlagReader {
  readonly problems: Problem[] = [];
  readonly #flags: WrittenFlags;

  constructor(flags: WrittenFlags) {
    this.#flags = flags;
  }

  text(name: string): string | undefined {
    const value = this.#flags[name];
    return typeof value === "string" ? value.trim() : undefined;
  }

  number(name: string, min: number, max: number): number | undefined {
    const written = this.text(name);
    if (written === undefined) return undefined;
    const value = /^(\d{1,10}|0x[0-9a-f]{1,8})$/i.test(written) ? Number(written) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.refuse(name, `"${written}" is not a number from ${min} to ${max}`);
    return undefined;
  }

  port(name: string): number | undefined {
    const written = this.text(name);
    return written === undefined ? undefined : this.#portOf(name, written);
  }

  ports(name: string): readonly number[] | undefined {
    return this.#list(name)?.flatMap((text) => this.#portOf(name, text) ?? []);
  }

  blocks(name: string): readonly AddressBlock[] | undefined {
    return this.#list(name)?.flatMap((text) => {
      const block = parseBlock(text);
      if (block !== undefined) return [block];
      this.refuse(name, `"${text}" is not an address or a block like 10.0.0.0/8`);
      return [];
    });
  }

  owners(name: string): readonly string[] | undefined {
    return this.#checked(name, /^(\d{1,10}|[a-z_][\w.-]{0,31}\$?)$/i, "a number or name");
  }

  interfaces(name: string): readonly string[] | undefined {
    return this.#checked(name, /^[\w.:@-]{1,15}\+?$/, "the name of an interface");
  }

  allOr<T>(name: string, listed: (name: string) => readonly T[] | undefined) {
    return this.text(name) === "*" ? ("*" as const) : listed(name);
  }

  /** 253 to 255 are the kernel's own. */
  routeTable(): number | undefined {
    const name = "tproxy-route-table";
    const table = this.number(name, 1, 0xffff_ffff);
    if (table === undefined || table < 253 || table > 255) return table;
    this.refuse(name, `${table} is a table of the system's own`, "choose a number up to 252");
    return undefined;
  }

  dns(nameservers: readonly string[]): DnsCapture | undefined {
    const all = this.#flags["capture-all-dns"] === true;
    const port = this.port("dns-port") ?? 15053;
    if (!all && this.#flags["redirect-dns"] !== true) return undefined;
    const servers: AllOr<AddressBlock> = all
      ? "*"
      : nameservers.flatMap((text) => parseBlock(text.replace(/%.*$/, "")) ?? []);
    if (servers.length === 0)
      this.refuse(
        "redirect-dns",
        "/etc/resolv.conf names no resolver whose questions could be captured",
        "--capture-all-dns captures questions to any",
      );
    return { port, servers };
  }

  loopback(): string | undefined {
    const name = "loopback-cidr";
    const written = this.text(name);
    if (written === undefined) return undefined;
    const block = parseBlock(written);
    if (block?.family === "ipv4" && block.text.startsWith("127.")) return block.text;
    this.refuse(name, `"${written}" is not a block within 127.0.0.0/8`);
    return undefined;
  }

  ipv6(detected: boolean): boolean {
    const written = this.text("ipv6") ?? "auto";
    return written === "auto" ? detected : written === "on";
  }

  refuse(name: string, message: string, suggestion?: string): void {
    const position = { file: "command line", line: 0, column: 0 };
    const problem: Problem = { severity: "error", position, path: `--${name}`, message };
    this.problems.push(suggestion === undefined ? problem : { ...problem, suggestion });
  }

  #portOf(name: string, text: string): number | undefined {
    const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (port >= 1 && port <= 65_535) return port;
    const listed = text === "*" ? "; * stands alone, and not here" : "";
    this.refuse(name, `"${text}" is not a port from 1 to 65535${listed}`);
    return undefined;
  }

  #checked(name: string, pattern: RegExp, what: string): readonly string[] | undefined {
    return this.#list(name)?.filter((text) => {
      const isGood = pattern.test(text);
      if (!isGood) this.refuse(name, `"${text}" is not ${what}`);
      return isGood;
    });
  }

  /** Separated by commas; empty: none. */
  #list(name: string): readonly string[] | undefined {
    return this.text(name)
      ?.split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "");
  }
}

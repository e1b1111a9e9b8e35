/**
 * CaptureOptions ─▶ the rules of one family, in the order of Istio's (manager 5.1).
 *
 *   application ─▶ OUTPUT ─▶ REDIRECT ─▶ proxy :15001      not: the proxy's own, loopback, excluded
 *   network ─▶ PREROUTING ─▶ INBOUND ─▶ IN_REDIRECT ─▶ proxy :15006     or TPROXY, address kept
 *   application, port 53 ─▶ OUTPUT_DNS ─▶ proxy :15053
 *
 * Connections are the proxy's if their owner is any of its users or groups. What the proxy sends to
 * an address of this machine that is not loopback is a call of the application to itself by a
 * service's name, and goes to inbound.
 */
import type { AddressBlock, CaptureOptions, Family } from "./capture-options.ts";
import type { Chain, Match, Owner, Rule, RuleSet, Table, Verdict } from "./rule.ts";

const DNS_PORT = 53;
/** Conntrack zones: the proxy and its resolvers; applications and the proxy. */
const ZONE_UPSTREAM = 1;
const ZONE_APPLICATION = 2;
/** A proxy that calls its application from here is not captured again. */
const INBOUND_SOURCE: Readonly<Record<Family, string>> = {
  ipv4: "127.0.0.6/32",
  ipv6: "::6/128",
};

const toReturn: Verdict = { at: "return" };
const toRedirect: Verdict = { at: "jump", chain: "REDIRECT" };
const toInRedirect: Verdict = { at: "jump", chain: "IN_REDIRECT" };

export function captureRules(options: CaptureOptions, family: Family): RuleSet {
  const writer = new RuleWriter(options, family);
  writer.nat();
  writer.mangle();
  writer.raw();
  return { family, rules: writer.rules };
}

class RuleWriter {
  readonly rules: Rule[] = [];
  readonly #options: CaptureOptions;
  readonly #family: Family;
  readonly #loopback: string;
  /** Of this family. */
  readonly #dnsServers: "*" | readonly string[];

  constructor(options: CaptureOptions, family: Family) {
    this.#options = options;
    this.#family = family;
    this.#loopback = family === "ipv4" ? options.loopback : "::1/128";
    const servers = options.dns?.servers ?? [];
    this.#dnsServers = servers === "*" ? "*" : this.#own(servers);
  }

  nat(): void {
    const add = this.#adder("nat");
    const { proxyPort, inboundPort } = this.#options;
    const tcp = { protocol: "tcp" } as const;
    add("REDIRECT", tcp, { at: "redirect", port: proxyPort });
    add("IN_REDIRECT", tcp, { at: "redirect", port: inboundPort });
    this.#virtualInterfaces();
    this.#excludeInterfaces("nat");
    if (this.#options.mode === "REDIRECT") this.#inbound();
    this.#outbound();
  }

  mangle(): void {
    const { mode, dropInvalid } = this.#options;
    const add = this.#adder("mangle");
    if (mode === "TPROXY") this.#excludeInterfaces("mangle");
    if (dropInvalid) {
      add("PREROUTING", { state: "invalid" }, { at: "jump", chain: "DROP" });
      add("DROP", {}, { at: "drop" });
    }
    if (mode === "TPROXY") this.#transparent();
  }

  /** Questions of applications and of the proxy may have one port and address: zones part them. */
  raw(): void {
    if (this.#options.dns === undefined) return;
    const add = this.#adder("raw");
    const udp = { protocol: "udp" } as const;
    add("OUTPUT", {}, { at: "jump", chain: "OUTPUT_DNS" });
    for (const owner of this.#proxies()) {
      const own = { ...udp, owners: [owner] };
      add("OUTPUT_DNS", { ...own, toPort: DNS_PORT }, { at: "zone", zone: ZONE_UPSTREAM });
      const answers = { ...own, fromPort: this.#options.dns.port };
      add("OUTPUT_DNS", answers, { at: "zone", zone: ZONE_APPLICATION });
    }
    const servers = this.#dnsServers === "*" ? [undefined] : this.#dnsServers;
    if (servers.length > 0) add("PREROUTING", udp, { at: "jump", chain: "INBOUND" });
    for (const server of servers) {
      const to = server === undefined ? {} : { to: server };
      const from = server === undefined ? {} : { from: server };
      const question = { ...udp, ...to, toPort: DNS_PORT };
      add("OUTPUT_DNS", question, { at: "zone", zone: ZONE_APPLICATION });
      const answer = { ...udp, ...from, fromPort: DNS_PORT };
      add("INBOUND", answer, { at: "zone", zone: ZONE_UPSTREAM });
    }
  }

  #virtualInterfaces(): void {
    const add = this.#adder("nat");
    const { virtualInterfaces, outboundBlocks } = this.#options;
    for (const inInterface of virtualInterfaces) {
      if (outboundBlocks === "*") add("PREROUTING", { inInterface }, toRedirect);
      else
        for (const to of this.#own(outboundBlocks))
          add("PREROUTING", { inInterface, to }, toRedirect);
      add("PREROUTING", { inInterface }, toReturn);
    }
  }

  #excludeInterfaces(table: Table): void {
    const add = this.#adder(table);
    for (const name of this.#options.interfacesExclude) {
      add("PREROUTING", { inInterface: name }, toReturn);
      add("OUTPUT", { outInterface: name }, toReturn);
    }
  }

  #inbound(): void {
    const add = this.#adder("nat");
    const { inboundPorts, inboundPortsExclude, tunnelPort } = this.#options;
    if (inboundPorts !== "*" && inboundPorts.length === 0) return;
    const tcp = { protocol: "tcp" } as const;
    add("PREROUTING", tcp, { at: "jump", chain: "INBOUND" });
    for (const toPort of [tunnelPort, ...inboundPortsExclude])
      add("INBOUND", { ...tcp, toPort }, toReturn);
    if (inboundPorts === "*") add("INBOUND", tcp, toInRedirect);
    else for (const toPort of inboundPorts) add("INBOUND", { ...tcp, toPort }, toInRedirect);
  }

  #outbound(): void {
    const add = this.#adder("nat");
    const { outboundPortsExclude, outboundBlocks, outboundBlocksExclude } = this.#options;
    for (const toPort of outboundPortsExclude) {
      add("OUTPUT", { protocol: "tcp", toPort }, toReturn);
      add("OUTPUT", { protocol: "udp", toPort }, toReturn);
    }
    add("OUTPUT", { outInterface: "lo", from: INBOUND_SOURCE[this.#family] }, toReturn);
    this.#proxyOutput();
    this.#ownerGroups();
    this.#dns();
    add("OUTPUT", { to: this.#loopback }, toReturn);
    for (const to of this.#own(outboundBlocksExclude)) add("OUTPUT", { to }, toReturn);
    for (const toPort of this.#options.outboundPorts)
      add("OUTPUT", { protocol: "tcp", toPort }, toRedirect);
    if (outboundBlocks === "*") add("OUTPUT", {}, toRedirect);
    else for (const to of this.#own(outboundBlocks)) add("OUTPUT", { to }, toRedirect);
  }

  /** What the proxy sends; and what others send within this machine, which is not captured. */
  #proxyOutput(): void {
    const add = this.#adder("nat");
    const { dns, outboundBlocks, tunnelPort } = this.#options;
    for (const owner of this.#proxies())
      add("OUTPUT", { owners: [owner] }, { at: "goto", chain: "PROXY_OUTPUT" });
    const ports = dns === undefined ? [tunnelPort] : [DNS_PORT, tunnelPort];
    add(
      "PROXY_OUTPUT",
      {
        outInterface: "lo",
        to: { not: this.#loopback },
        protocol: "tcp",
        toPort: { not: ports },
      },
      toInRedirect,
    );
    if (outboundBlocks !== "*" && outboundBlocks.some(isLoopback)) return;
    // A resolver on this machine is asked by way of the proxy too.
    if (dns === undefined) add("OUTPUT", { outInterface: "lo" }, toReturn);
    else
      add("OUTPUT", { outInterface: "lo", protocol: "tcp", toPort: { not: [DNS_PORT] } }, toReturn);
  }

  #ownerGroups(): void {
    const add = this.#adder("nat");
    const { ownerGroups, ownerGroupsExclude } = this.#options;
    for (const id of ownerGroupsExclude) add("OUTPUT", { owners: [{ of: "group", id }] }, toReturn);
    if (ownerGroups === "*") return;
    const owners = ownerGroups.map((id): Owner => ({ of: "group", id, isNot: true }));
    add("OUTPUT", { owners }, toReturn);
  }

  #dns(): void {
    const { dns } = this.#options;
    const servers = this.#dnsServers === "*" ? [undefined] : this.#dnsServers;
    if (dns === undefined || servers.length === 0) return;
    const add = this.#adder("nat");
    add("OUTPUT", {}, { at: "jump", chain: "OUTPUT_DNS" });
    for (const protocol of ["tcp", "udp"] as const)
      for (const server of servers) {
        const to = server === undefined ? {} : { to: server };
        const question = { protocol, ...to, toPort: DNS_PORT };
        add("OUTPUT_DNS", question, { at: "redirect", port: dns.port });
      }
  }

  /**
   * TPROXY: packets get a mark, which routes them to loopback (capture-routes.ts). Marks also keep
   * apart what the proxy sends to the application with the caller's address, and what it sends to
   * its own inbound side.
   */
  #transparent(): void {
    const add = this.#adder("mangle");
    const { tproxyMark: mark, inboundPort: port } = this.#options;
    const outboundMark = mark + 1;
    const tcp = { protocol: "tcp" } as const;
    if (this.#transparentInbound()) {
      add("DIVERT", {}, { at: "mark", mark });
      add("DIVERT", {}, { at: "accept" });
      add("TPROXY", { ...tcp, to: { not: this.#loopback } }, { at: "tproxy", port, mark });
    }
    add("PREROUTING", { ...tcp, mark }, { at: "save-mark" });
    add("OUTPUT", { ...tcp, outInterface: "lo", mark }, toReturn);
    for (const owner of this.#proxies())
      add(
        "OUTPUT",
        { ...tcp, outInterface: "lo", to: { not: this.#loopback }, owners: [owner] },
        { at: "mark", mark: outboundMark },
      );
    add("OUTPUT", { ...tcp, connectionMark: mark }, { at: "restore-mark" });
  }

  #transparentInbound(): boolean {
    const add = this.#adder("mangle");
    const { inboundPorts, inboundPortsExclude, tproxyMark: mark } = this.#options;
    if (inboundPorts !== "*" && inboundPorts.length === 0) return false;
    const tcp = { protocol: "tcp" } as const;
    add("PREROUTING", tcp, { at: "jump", chain: "INBOUND" });
    add("INBOUND", { ...tcp, mark }, toReturn);
    const fromLoopback = { ...tcp, inInterface: "lo" };
    add("INBOUND", { ...fromLoopback, from: INBOUND_SOURCE[this.#family] }, toReturn);
    add("INBOUND", { ...fromLoopback, mark: { not: mark + 1 } }, toReturn);
    for (const toPort of inboundPortsExclude) add("INBOUND", { ...tcp, toPort }, toReturn);
    const captured =
      inboundPorts === "*" ? [tcp] : inboundPorts.map((toPort) => ({ ...tcp, toPort }));
    for (const match of captured) {
      add("INBOUND", { ...match, state: "established" }, { at: "jump", chain: "DIVERT" });
      add("INBOUND", match, { at: "jump", chain: "TPROXY" });
    }
    return true;
  }

  #proxies(): readonly Owner[] {
    const { proxyUsers, proxyGroups } = this.#options;
    return [
      ...proxyUsers.map((id): Owner => ({ of: "user", id })),
      ...proxyGroups.map((id): Owner => ({ of: "group", id })),
    ];
  }

  /** Those of this family. */
  #own(blocks: readonly AddressBlock[]): readonly string[] {
    return blocks.filter(({ family }) => family === this.#family).map(({ text }) => text);
  }

  #adder(table: Table): (chain: Chain, match: Match, verdict: Verdict) => void {
    return (chain, match, verdict) => void this.rules.push({ table, chain, match, verdict });
  }
}

function isLoopback({ text }: AddressBlock): boolean {
  return text.startsWith("127.") || text === "::1" || text.startsWith("::1/");
}

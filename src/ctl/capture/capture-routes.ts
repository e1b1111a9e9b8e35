/**
 * TPROXY marks packets for addresses that are not this machine's; a route of its own table delivers
 * them here all the same. iproute2 replaces and deletes; nothing of others is in that table.
 */
import type { CaptureOptions, Family } from "./capture-options.ts";

export type Command = readonly [program: string, ...args: string[]];

export type RouteOptions = Pick<CaptureOptions, "mode" | "tproxyMark" | "tproxyRouteTable">;

const ipFamily: Readonly<Record<Family, string>> = { ipv4: "inet", ipv6: "inet6" };

export function routeCommands(options: RouteOptions, family: Family): readonly Command[] {
  if (options.mode !== "TPROXY") return [];
  const { rule, route } = words(options);
  return [
    ["ip", "-f", ipFamily[family], "rule", "add", ...rule],
    ["ip", "-f", ipFamily[family], "route", "replace", ...route],
  ];
}

/** Either fails where there is nothing to remove. */
export function routeRemovals(options: RouteOptions, family: Family): readonly Command[] {
  const { rule, route } = words(options);
  return [
    ["ip", "-f", ipFamily[family], "rule", "del", ...rule],
    ["ip", "-f", ipFamily[family], "route", "del", ...route],
  ];
}

function words({ tproxyMark, tproxyRouteTable }: RouteOptions) {
  const table = String(tproxyRouteTable);
  return {
    rule: ["fwmark", String(tproxyMark), "lookup", table],
    route: ["local", "default", "dev", "lo", "table", table],
  };
}

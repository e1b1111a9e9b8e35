/**
 * TPROXY marks packets for addresses that are not this machine's; a route of its own table delivers
 * them here all the same. What an application on 127.0.0.1 answers to a caller in whose name it was
 * called goes there too: the mark comes too late for that, since without a route the kernel makes
 * no packet from loopback to elsewhere at all. iproute2 replaces and deletes; nothing of others is
 * in that table.
 */
import type { CaptureOptions, Family } from "./capture-options.ts";

export type Command = readonly [program: string, ...args: string[]];

export type RouteOptions = Pick<CaptureOptions, "mode" | "tproxyMark" | "tproxyRouteTable">;

const ipFamily: Readonly<Record<Family, string>> = { ipv4: "inet", ipv6: "inet6" };

export function routeCommands(options: RouteOptions, family: Family): readonly Command[] {
  if (options.mode !== "TPROXY") return [];
  const { marked, route, answers } = words(options);
  const commands: readonly Command[] = [
    ["ip", "-f", ipFamily[family], "rule", "add", ...marked],
    ["ip", "-f", ipFamily[family], "route", "replace", ...route],
  ];
  return family === "ipv6" ? commands : [...commands, ["ip", "-4", "rule", "add", ...answers]];
}

/** Each fails where there is nothing to remove. */
export function routeRemovals(options: RouteOptions, family: Family): readonly Command[] {
  const { marked, route, answers } = words(options);
  const commands: readonly Command[] = [
    ["ip", "-f", ipFamily[family], "rule", "del", ...marked],
    ["ip", "-f", ipFamily[family], "route", "del", ...route],
  ];
  return family === "ipv6" ? commands : [...commands, ["ip", "-4", "rule", "del", ...answers]];
}

function words({ tproxyMark, tproxyRouteTable }: RouteOptions) {
  const table = String(tproxyRouteTable);
  return {
    marked: ["fwmark", String(tproxyMark), "lookup", table],
    route: ["local", "default", "dev", "lo", "table", table],
    answers: ["from", "127.0.0.0/8", "lookup", table],
  };
}

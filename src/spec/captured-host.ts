/** A host of a test whose traffic is captured: its rules, its sidecar, its resolvers. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "../testing/network-namespace.ts";
import { meshBinary, type Stage, until } from "./process.ts";

/** Whom capture leaves alone. */
export const PROXY_USER = 1337;
/** Ports below 1024, and TPROXY. */
const CAPABILITIES = "+net_bind_service,+net_admin";

/** What `mesh ctl iptables` says on a host; it must succeed. */
export async function rules(host: Host, ...flags: readonly string[]): Promise<string> {
  const { code, out, err } = await host.run([meshBinary, "ctl", "iptables", ...flags]);
  if (code !== 0) throw new Error(`${flags.join(" ")}: ${err}`);
  return out + err;
}

/** A sidecar as the user that capture leaves alone. */
export async function sidecar(
  stage: Stage,
  host: Host,
  ...flags: readonly string[]
): Promise<void> {
  const state = join(stage.directory, host.name);
  const manager = flags.includes("--standalone") ? [] : ["--manager", "none"];
  const running = stage.run([
    ...["ip", "netns", "exec", host.name],
    ...["setpriv", "--reuid", String(PROXY_USER), "--regid", String(PROXY_USER), "--clear-groups"],
    ...["--ambient-caps", CAPABILITIES, "--inh-caps", CAPABILITIES],
    ...[meshBinary, "proxy", "--state-dir", state, ...manager, ...flags],
  ]);
  await until(`the sidecar to be ready; it said ${running.output()}`, () =>
    / ready /.test(running.output()),
  );
}

/** The resolvers of a host, as its applications see them. */
export function resolvConf(host: Host, text: string): void {
  mkdirSync(`/etc/netns/${host.name}`, { recursive: true });
  writeFileSync(`/etc/netns/${host.name}/resolv.conf`, text);
}

/** All that the sidecar counts. */
export async function statsOf(host: Host): Promise<string> {
  const ask = `fetch("http://127.0.0.1:15000/stats/prometheus")`;
  return await host.must(process.execPath, "-e", `console.log(await (await ${ask}).text())`);
}

/** What a URL answers on a host, to a program that knows nothing of proxies. */
export async function get(host: Host, url: string, name?: string): Promise<string> {
  const headers = name === undefined ? "{}" : `{ headers: { host: "${name}" } }`;
  const program = `console.log(await (await fetch("${url}", ${headers})).text())`;
  return (await host.must(process.execPath, "-e", program)).trim();
}

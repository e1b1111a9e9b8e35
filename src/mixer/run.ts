/** `mesh mixer`: flags in, a running mixer until SIGTERM or SIGINT, an exit code out. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import type { Transport } from "@connectrpc/connect";
import { addressText } from "../api/address.ts";
import { managerTransport } from "../api/discovery/manager-transport.ts";
import { serveFetch } from "../api/serve-fetch.ts";
import { serveUnary } from "../api/serve-unary.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { stopSignal } from "../io/stop-signal.ts";
import { addProcessMetrics } from "../telemetry/process-metrics.ts";
import { adminFetch } from "./admin-pages.ts";
import {
  MIXER_HELP,
  type MixerCredentialFlags,
  type MixerFlags,
  parseMixerFlags,
} from "./flags.ts";
import { Mixer } from "./mixer.ts";
import { monitorFetch } from "./monitor.ts";
import { PolicyFollower } from "./policy-follower.ts";

/** A manager inside this process, for `-f`. */
export interface EmbeddedManager {
  readonly transport: Transport;
  close(): Promise<void>;
}

/** The way to a manager at https, which is proven to be it, and to which we prove who we are. */
export interface JoinedManager {
  readonly transport: Transport;
  close(): void;
}

export interface MixerDependencies {
  /** Throws where what is to be shown cannot be read. */
  readonly joinMesh: (options: {
    readonly manager: string;
    readonly service: string;
    readonly credential: MixerCredentialFlags;
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Log;
  }) => Promise<JoinedManager>;
  /** Opens a manager over these files. Throws where they are unusable. */
  readonly embedManager: (options: {
    readonly files: readonly string[];
    readonly namespace: string;
    readonly domain: string;
  }) => Promise<EmbeddedManager>;
}

/** The manager gives nobody else what a mixer gets. */
const SERVICE = "mesh-mixer.mesh-system";

/** Octets of all calls that are not answered yet. */
const HELD_BYTES_MAX = 64 << 20;

export async function runMixer(
  argv: readonly string[],
  dependencies: MixerDependencies,
): Promise<number> {
  const parsed = parseMixerFlags(argv, process.env, hostname().split(".")[0] || "host");
  switch (parsed.at) {
    case "help":
      process.stdout.write(MIXER_HELP);
      return 0;
    case "problems":
      for (const problem of parsed.problems) process.stderr.write(`mesh mixer: ${problem}\n`);
      return 2;
    case "flags":
      return await serve(parsed.flags, dependencies);
    default:
      return parsed satisfies never;
  }
}

/** What is open, to be closed in the opposite order. */
type Closable = { close(): Promise<void> | void };

async function serve(flags: MixerFlags, dependencies: MixerDependencies): Promise<number> {
  const log = new Log("mixer", { level: flags.logLevel });
  const open: Closable[] = [];
  try {
    const ready = await start(flags, { log, open, dependencies });
    const stopped = stopSignal();
    process.stdout.write(`${ready}\n`);
    log.info("stopping", { signal: await stopped });
    return 0;
  } catch (cause) {
    process.stderr.write(`mesh mixer: ${cause instanceof Error ? cause.message : cause}\n`);
    return 1;
  } finally {
    for (const closable of open.reverse()) await closable.close();
  }
}

interface Surroundings {
  readonly log: Log;
  readonly open: Closable[];
  readonly dependencies: MixerDependencies;
}

/** Returns the line that says where everything is. */
async function start(flags: MixerFlags, { log, open, dependencies }: Surroundings) {
  const [clock, random] = [systemClock, systemRandom];
  const { shedding, rollUp } = flags;
  const mixer = new Mixer({ clock, random, log, shedding, rollUp });
  open.push(mixer);
  const api = await serveUnary({
    ...flags.listen,
    clock,
    methods: mixer.methods,
    messageBytesMax: flags.messageBytesMax,
    heldBytesMax: Math.max(HELD_BYTES_MAX, 2 * flags.messageBytesMax),
    callsMax: flags.callsMax,
    drainMs: flags.drainMs,
    fetch: () => new Response("istio.mixer.v1 is served here\n", { status: 404 }),
  });
  open.push(api);
  const words = [`mesh mixer ready: api ${addressText(api)}`];
  if (flags.metrics !== undefined) {
    const process = addProcessMetrics(mixer.metrics, clock);
    open.push({ close: () => process.stop() });
    const monitor = serveFetch(flags.metrics, monitorFetch(mixer));
    open.push(monitor);
    words.push(`metrics http://${addressText(monitor)}/metrics`);
  }
  let follower: PolicyFollower | undefined;
  let adminAddress = "";
  if (flags.admin !== undefined) {
    const view = { id: flags.id, mixer, log, discovery: () => follower?.status() };
    const admin = serveFetch(flags.admin, adminFetch(view));
    open.push(admin);
    adminAddress = addressText(admin);
    words.push(`admin http://${adminAddress}`);
  }
  follower = await follow(flags, { log, open, dependencies }, { mixer, adminAddress });
  const from = flags.configDirs.length > 0 ? flags.configDirs.join(" ") : flags.manager;
  return [...words, `policy ${from}`].join(", ");
}

async function follow(
  flags: MixerFlags,
  { log, open, dependencies }: Surroundings,
  { mixer, adminAddress }: { readonly mixer: Mixer; readonly adminAddress: string },
): Promise<PolicyFollower> {
  const { configDirs: files, namespace, domain, id } = flags;
  const missing = files.filter((path) => !existsSync(path));
  if (missing.length > 0) throw new Error(`no such file or directory: ${missing.join(", ")}`);
  let transport: Transport;
  if (files.length > 0) {
    const manager = await dependencies.embedManager({ files, namespace, domain });
    open.push(manager);
    transport = manager.transport;
  } else {
    transport = await transportTo(flags, { log, open, dependencies });
    // What a directory holds is on this disk anyway.
    await mkdir(flags.stateDir, { recursive: true, mode: 0o700 });
  }
  const follower = new PolicyFollower({
    ...{ transport, id, namespace, adminAddress, log: log.child("policy") },
    stateDir: files.length > 0 ? undefined : flags.stateDir,
    clock: systemClock,
    random: systemRandom,
    configure: (config) => mixer.configure(config),
  });
  open.push({ close: () => follower.stop() });
  await follower.start();
  return follower;
}

/** On this machine the manager knows whose process we are. */
async function transportTo(
  { manager, credential }: MixerFlags,
  { log, open, dependencies }: Surroundings,
): Promise<Transport> {
  if (!manager.startsWith("https:")) return managerTransport(manager);
  const [clock, random] = [systemClock, systemRandom];
  const joined = await dependencies.joinMesh({
    ...{ manager, credential, clock, random, log: log.child("identity"), service: SERVICE },
  });
  open.push(joined);
  return joined.transport;
}

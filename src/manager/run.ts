/** `mesh manager`: flags in, a running manager until SIGTERM or SIGINT, an exit code out. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { MemoryTidying, OFTEN_MS } from "../io/memory-tidying.ts";
import { stopSignal } from "../io/stop-signal.ts";
import { Access } from "./access/access.ts";
import { AuditLog } from "./audit/audit-log.ts";
import { MemoryAuditStore, SqliteAuditStore } from "./audit/audit-store.ts";
import { openDoors } from "./doors.ts";
import { MANAGER_HELP, type ManagerFlags, parseManagerFlags } from "./flags.ts";
import type { Identity } from "./identity/identity.ts";
import { openIdentity } from "./identity/open-identity.ts";
import { Manager } from "./manager.ts";
import { forgetfulWorkloadStore, SqliteWorkloadStore } from "./registry/workload-store.ts";
import { DirectoryStore } from "./store/directory-store.ts";
import { MemoryStore } from "./store/memory-store.ts";
import { SqliteStore } from "./store/sqlite-store.ts";

export async function runManager(argv: readonly string[]): Promise<number> {
  const parsed = parseManagerFlags(argv, process.env);
  switch (parsed.at) {
    case "help":
      process.stdout.write(MANAGER_HELP);
      return 0;
    case "problems":
      for (const problem of parsed.problems) process.stderr.write(`mesh manager: ${problem}\n`);
      return 2;
    case "flags":
      return await serve(parsed.flags);
    default:
      return parsed satisfies never;
  }
}

/** What is open, to be closed in the opposite order. */
type Closable = { close(): Promise<void> | void };

async function serve(flags: ManagerFlags): Promise<number> {
  const log = new Log("manager", { level: flags.logLevel });
  const open: Closable[] = [];
  try {
    const ready = await start(flags, log, open);
    const stopped = stopSignal();
    process.stdout.write(`${ready}\n`);
    log.info("stopping", { signal: await stopped });
    return 0;
  } catch (cause) {
    process.stderr.write(`mesh manager: ${cause instanceof Error ? cause.message : cause}\n`);
    return 1;
  } finally {
    for (const closable of open.reverse()) await closable.close();
  }
}

/** Returns the line that says where everything is. */
async function start(flags: ManagerFlags, log: Log, open: Closable[]): Promise<string> {
  const audit = openAudit(flags);
  open.push(audit);
  let manager: Manager | undefined;
  const opened = openIdentity(flags.identity, {
    ...{ clock: systemClock, log: log.child("identity"), audit, dataDir: flags.dataDir },
    hosts: flags.secureListen === undefined ? [] : [flags.secureListen.hostname],
    aliases: () => manager?.trustDomainAliases ?? [],
  });
  open.push(opened);
  const { identity } = opened;
  manager = await openManager(flags, log, identity);
  open.push(manager);
  const tidying = new MemoryTidying({ clock: systemClock, unsettledMs: OFTEN_MS });
  open.push(tidying);
  manager.onNews(() => tidying.cause());
  const { domain } = flags;
  const { standing } = identity;
  const access = new Access({ audit, log: log.child("access"), domain, standing });
  const words = await openDoors(flags, { manager, access, identity, open });
  words.push(`data ${flags.dataDir === "" ? "in memory" : flags.dataDir}`);
  return `mesh manager ready: ${words.join(", ")}`;
}

function openAudit({ dataDir }: ManagerFlags): AuditLog {
  const store =
    dataDir === "" ? new MemoryAuditStore() : new SqliteAuditStore(join(dataDir, "audit.db"));
  return new AuditLog(store, systemClock);
}

async function openManager(flags: ManagerFlags, log: Log, identity: Identity): Promise<Manager> {
  const { dataDir, configDirs: paths, namespace, domain, leaseMs } = flags;
  const missing = paths.filter((path) => !existsSync(path));
  if (missing.length > 0) throw new Error(`no such file or directory: ${missing.join(", ")}`);
  const clock = systemClock;
  const store =
    dataDir === "" ? new MemoryStore(clock) : new SqliteStore(join(dataDir, "mesh.db"), clock);
  const workloads =
    dataDir === ""
      ? forgetfulWorkloadStore
      : new SqliteWorkloadStore(join(dataDir, "workloads.db"));
  const files =
    paths.length === 0 ? {} : { files: new DirectoryStore({ paths, namespace, domain }) };
  return await Manager.open({
    clock,
    log,
    store,
    ...files,
    workloads,
    domain,
    namespace,
    leaseMs,
    identity,
    trust: identity,
  });
}

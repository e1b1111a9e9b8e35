/**
 * A manager inside the process that needs it: rules and static registry from files, everything
 * else in memory, reached over an in-memory transport. For `mesh proxy --standalone` and tests.
 */
import { createRouterTransport, type Transport } from "@connectrpc/connect";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { formatProblem, isError } from "../core/problem.ts";
import { Manager } from "./manager.ts";
import { forgetfulWorkloadStore } from "./registry/workload-store.ts";
import { apiRoutes } from "./rpc/routes.ts";
import { DirectoryStore } from "./store/directory-store.ts";
import { MemoryStore } from "./store/memory-store.ts";

export interface EmbeddedOptions {
  /** Files and directories of rules and of the static registry; watched. */
  readonly files: readonly string[];
  /** Of documents that name none. */
  readonly namespace: string;
  readonly domain: string;
}

export interface EmbeddedManager {
  readonly transport: Transport;
  close(): Promise<void>;
}

const LEASE_MS = 10_000;

/** Throws all that is wrong with the files, a line for each. */
export async function embeddedManager(options: EmbeddedOptions): Promise<EmbeddedManager> {
  const { files: paths, namespace, domain } = options;
  const files = new DirectoryStore({ paths, namespace, domain });
  const errors = files.problems().filter(isError);
  if (errors.length > 0) {
    files.close();
    throw new Error(errors.map(formatProblem).join("\n"));
  }
  const manager = await Manager.open({
    clock: systemClock,
    log: new Log("manager", { level: "warn" }),
    store: new MemoryStore(systemClock),
    files,
    workloads: forgetfulWorkloadStore,
    domain,
    namespace,
    leaseMs: LEASE_MS,
  });
  return {
    transport: createRouterTransport(apiRoutes(manager)),
    close: () => manager.close(),
  };
}

/** A manager with its authority and both of its doors, on sockets, and callers of every sort. */
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { managerTransport } from "../api/discovery/manager-transport.ts";
import { rootPinOf } from "../api/discovery/root-pin.ts";
import { DiscoveryService, RegistryService } from "../api/gen/mesh/v1/discovery_pb.ts";
import { IdentityAdminService, IdentityService } from "../api/gen/mesh/v1/identity_pb.ts";
import { Log } from "../core/log.ts";
import { Access } from "../manager/access/access.ts";
import { AuditLog } from "../manager/audit/audit-log.ts";
import { MemoryAuditStore } from "../manager/audit/audit-store.ts";
import { openDoors } from "../manager/doors.ts";
import { Manager } from "../manager/manager.ts";
import { forgetfulWorkloadStore } from "../manager/registry/workload-store.ts";
import { MemoryStore } from "../manager/store/memory-store.ts";
import { freePorts } from "./free-port.ts";
import { type IdentityParts, type IdentitySetUp, openIdentity } from "./identity-set-up.ts";

/** What a caller knows and shows, beside what he sends. */
export interface Shown {
  readonly chainPem?: string;
  readonly keyPem?: string;
  /** Names the manager; the roots of the manager itself unless told. */
  readonly joinToken?: string;
  readonly accessToken?: string;
}

export interface Callers {
  readonly identity: Client<typeof IdentityService>;
  readonly admin: Client<typeof IdentityAdminService>;
  readonly discovery: Client<typeof DiscoveryService>;
  readonly registry: Client<typeof RegistryService>;
}

export interface IdentityManager extends IdentitySetUp {
  readonly manager: Manager;
  /** Of calls; `audit` is of certificates and tokens. */
  readonly calls: AuditLog;
  readonly plainUrl: string;
  readonly secureUrl: string;
  /** A process of our own user, on loopback. */
  readonly local: Callers;
  /** Somebody over TLS. */
  remote(shown: Shown): Callers;
  stop(): Promise<void>;
}

export async function openIdentityManager(parts: IdentityParts = {}): Promise<IdentityManager> {
  const found: { manager?: Manager } = {};
  const set = openIdentity({
    aliases: () => found.manager?.trustDomainAliases ?? [],
    ...parts,
  });
  const { identity, clock } = set;
  const log = new Log("manager", { level: "error" }, () => {});
  const manager = await Manager.open({
    ...{ clock, log, identity, trust: identity, store: new MemoryStore(clock) },
    ...{ workloads: forgetfulWorkloadStore, domain: "cluster.local" },
    ...{ namespace: "default", leaseMs: 10_000 },
  });
  found.manager = manager;
  const audit = new AuditLog(new MemoryAuditStore(), clock);
  const access = new Access({ audit, log, domain: "cluster.local", standing: identity.standing });
  const open: { close(): Promise<void> | void }[] = [];
  const [plain = 0, secure = 0] = freePorts(2);
  const hostname = "127.0.0.1";
  const doors = { listen: { hostname, port: plain }, secureListen: { hostname, port: secure } };
  const others = { http: undefined, metrics: undefined, localUsers: [], roles: new Map() };
  await openDoors({ ...doors, ...others }, { manager, access, identity, open });
  const [plainUrl, secureUrl] = [`http://${hostname}:${plain}`, `https://${hostname}:${secure}`];
  return {
    ...set,
    ...{ manager, calls: audit, plainUrl, secureUrl, local: callersOf(plainUrl, {}, () => []) },
    remote: (shown) => callersOf(secureUrl, shown, () => identity.authority.roots),
    async stop() {
      for (const one of open.reverse()) await one.close();
      await manager.close();
      audit.close();
      set.close();
    },
  };
}

function callersOf(url: string, shown: Shown, roots: () => readonly string[]): Callers {
  const { chainPem, keyPem, joinToken, accessToken } = shown;
  const certificate = chainPem && keyPem ? { chainPem, keyPem } : undefined;
  const rootPin = rootPinOf(joinToken ?? "");
  const transport = managerTransport(
    url,
    {
      ...{ certificate: () => certificate, rootPin: () => rootPin },
      roots: rootPin === "" ? roots : () => [],
    },
    {
      defaultTimeoutMs: 5_000,
      interceptors: [
        (next) => (request) => {
          if (accessToken) request.header.set("authorization", `Bearer ${accessToken}`);
          return next(request);
        },
      ],
    },
  );
  return {
    identity: createClient(IdentityService, transport),
    admin: createClient(IdentityAdminService, transport),
    discovery: createClient(DiscoveryService, transport),
    registry: createClient(RegistryService, transport),
  };
}

/** "ok", or the name of the code that it failed with and the sentence. */
export async function outcome(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return "ok";
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return `${Code[code]}: ${rawMessage}`;
  }
}

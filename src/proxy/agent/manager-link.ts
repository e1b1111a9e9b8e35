/**
 * All that ties this proxy to a manager: configuration comes from it, and it is told of the
 * workload. Loaded only where there is a manager, since its libraries are a good part of an idle
 * proxy's memory.
 *
 *   application ◀─probe─ AppProbe ─▶ Registration ─┐
 *                                                  ├─▶ manager
 *   Configuration ◀──── Discovery ◀────────────────┘
 */
import { create } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { Discovery, type DiscoveryStatus } from "../../api/discovery/discovery.ts";
import {
  Node_Mode,
  NodeSchema,
  type Workload,
  WorkloadSchema,
} from "../../api/gen/mesh/v1/discovery_pb.ts";
import { WorkloadMode } from "../../api/gen/mesh/v1/identity_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import { parseSpiffeId } from "../../core/spiffe-id.ts";
import type { HostPort, ProxyFlags } from "../flags.ts";
import { keepIdentity, readProof, remedyOf, storedIdentity } from "../identity/kept-identity.ts";
import type { WorkloadKeyPair } from "../identity/mesh-identity.ts";
import { WorkloadCredential } from "../identity/workload-credential.ts";
import { AppProbe } from "./app-probe.ts";
import type { Configuration } from "./configuration.ts";
import { Registration, type RegistrationStatus } from "./registration.ts";

/** What a connection to the manager needs, read anew for each: all of it is renewed. */
export interface ManagerAccess {
  /** What it shows; undefined: nothing yet. */
  certificate(): WorkloadKeyPair | undefined;
  /** PEM; none: not known yet. */
  roots(): readonly string[];
  /** Whose manager it is; "": not known yet. */
  trustDomain(): string;
  /** The manager does not know by that who calls. */
  onUnknown(): void;
}

export interface ManagerLinkParts {
  readonly flags: ProxyFlags;
  readonly nodeId: string;
  readonly version: string;
  /** Where other proxies reach this one; absent where it serves nothing. */
  readonly inbound: HostPort | undefined;
  readonly adminAddress: string;
  readonly configuration: Configuration;
  /** Of a predecessor; undefined: there was none. */
  readonly former: WorkloadKeyPair | undefined;
  /** Who this proxy is, for connections from when this resolves. */
  readonly useCertificate: (pair: WorkloadKeyPair) => void | Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** A starting application may take its time before anybody wonders. */
const APPLICATION_NOTE_MS = 10_000;

/** A way to call the manager, and how to give it up. */
export interface ManagerConnection {
  readonly transport: Transport;
  close(): void | Promise<void>;
}

export class ManagerLink {
  readonly credential: WorkloadCredential;
  readonly #connection: ManagerConnection;
  readonly #discovery: Discovery;
  readonly #registration: Registration | undefined;
  readonly #probe: AppProbe | undefined;
  #cancelNote: () => void = () => {};
  #isEnding = false;
  /** Reached by https. */
  readonly #isRemote: boolean;
  /** The manager is part of this process: it issues nothing, and there is nobody else. */
  readonly #isAlone: boolean;

  constructor(connection: ManagerConnection, parts: ManagerLinkParts) {
    this.#connection = connection;
    this.#isRemote = parts.flags.manager?.startsWith("https:") === true;
    const { flags, configuration, clock, random, log } = parts;
    this.#isAlone = flags.standalone;
    const { transport } = connection;
    const calls = { transport, clock, random, log };
    this.credential = new WorkloadCredential({
      ...calls,
      ...credentialParts(parts),
      use: async (pair) => {
        await parts.useCertificate(pair);
        keepIdentity(flags.credential.keptIn, pair, log);
        this.#hasIdentity();
      },
    });
    this.#discovery = new Discovery({
      ...calls,
      node: create(NodeSchema, nodeOf(parts)),
      held: configuration.received,
      accept: async (config) => {
        const problems = await configuration.accept(config);
        if (problems.length === 0 && config.trust !== undefined)
          this.credential.follow(config.trust);
        return problems;
      },
      // A manager that was started again may not know the workload any more.
      onConnected: () => this.#registration?.refresh(),
    });
    if (parts.inbound === undefined || flags.app === undefined) return;
    const registration = new Registration({ ...calls, workload: workloadOf(parts, parts.inbound) });
    this.#registration = registration;
    const app = `${flags.app.hostname}:${flags.app.port}`;
    this.#cancelNote = clock.after(APPLICATION_NOTE_MS, () => {
      log.warn("the application does not answer, so it is not registered", { app });
    });
    this.#probe = new AppProbe(flags.app, clock, (healthy) => {
      this.#cancelNote();
      if (!healthy) log.warn("the application does not answer any more", { app });
      else if (registration.status().at === "registered") {
        log.info("the application answers again", { app });
      }
      registration.setHealthy(healthy);
    });
  }

  /** Listeners must be bound: from here on callers may come. */
  start(): void {
    if (!this.#isAlone) this.credential.start();
    // At a distance nobody is told anything who has not shown a certificate.
    if (!this.#isRemote) this.#discovery.start();
    // Callers are told from the first on how it is to be called.
    void this.settled.then(() => {
      if (this.#isEnding) return;
      if (this.#isRemote) this.#discovery.start();
      this.#probe?.start();
    });
  }

  /** It has its certificate, or would have to wait too long for it. */
  get settled(): Promise<void> {
    return this.#isAlone ? Promise.resolve() : this.credential.settled;
  }

  /** It is called by mutual TLS from now on, and known by the name in its certificate. */
  #hasIdentity(): void {
    const id = parseSpiffeId(this.credential.status().certificate?.uris[0] ?? "");
    if (id === undefined) return;
    this.#registration?.become({ mutualTls: true, serviceAccount: id.account });
  }

  discovery(): DiscoveryStatus {
    return this.#discovery.status();
  }

  registration(): RegistrationStatus | undefined {
    return this.#registration?.status();
  }

  /** True: there was a registration, and it has ended. */
  async withdraw(): Promise<boolean> {
    this.#stopProbe();
    return (await this.#registration?.withdraw()) ?? false;
  }

  /** A successor goes on under the same id. */
  abandon(): void {
    this.#stopProbe();
    this.#registration?.abandon();
  }

  async close(): Promise<void> {
    this.abandon();
    this.credential.close();
    await this.#discovery.stop();
    await this.#connection.close();
  }

  #stopProbe(): void {
    this.#isEnding = true;
    this.#probe?.stop();
    this.#cancelNote();
  }
}

function credentialParts({ flags, former, log }: ManagerLinkParts) {
  const { credential, service, namespace, mode } = flags;
  return {
    mode: mode === "gateway" ? WorkloadMode.GATEWAY : WorkloadMode.SIDECAR,
    service: service === "" ? "" : `${service.split(".")[0]}.${namespace}`,
    serviceAccount: accountOf(flags),
    lifetimeSeconds: credential.lifetimeSeconds,
    proof: () => readProof(credential),
    remedy: remedyOf(credential, service),
    former: former ?? storedIdentity(credential.keptIn, log),
  };
}

/** Who stands for no service and has nothing to show says itself who it is, on this machine. */
function accountOf({ credential, service, namespace, mode }: ProxyFlags): string {
  const { account, tokenFile, token, jwtFile } = credential;
  if (account !== undefined) return `${namespace}/${account}`;
  if (service !== "" || (tokenFile ?? token ?? jwtFile) !== undefined) return "";
  return `${namespace}/${mode === "gateway" ? "gateway" : "default"}`;
}

function nodeOf(parts: ManagerLinkParts) {
  const { flags, nodeId, version, inbound, adminAddress } = parts;
  return {
    id: nodeId,
    service: flags.service,
    namespace: flags.namespace,
    labels: { ...flags.labels },
    address: inbound?.hostname ?? "",
    meshVersion: version,
    adminAddress,
    mode: flags.mode === "gateway" ? Node_Mode.GATEWAY : Node_Mode.SIDECAR,
  };
}

function workloadOf(parts: ManagerLinkParts, inbound: HostPort): Workload {
  const { flags, nodeId } = parts;
  return create(WorkloadSchema, {
    locality: flags.locality,
    id: nodeId,
    service: flags.service,
    namespace: flags.namespace,
    address: inbound.hostname,
    port: inbound.port,
    servicePort: flags.servicePort,
    appPort: flags.app?.port ?? 0,
    protocol: flags.protocol ?? "http",
    labels: { ...flags.labels },
    weight: 1,
    // What is passed on as it is comes without it: nobody there would take it apart.
    meshTransport: flags.protocol !== "tcp",
    node: nodeOf(parts),
  });
}

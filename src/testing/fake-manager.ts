/**
 * The manager's side of discovery and registration as a real server, whose test says what it
 * sends and reads what it was told. Started again on the same port it knows nothing, as a new one.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import {
  type Acknowledgement,
  type ConfigUpdateSchema,
  DiscoveryService,
  RegistryService,
  type WatchRequest,
  type Workload,
} from "../api/gen/mesh/v1/discovery_pb.ts";
import { IdentityService, type IssueCertificateRequest } from "../api/gen/mesh/v1/identity_pb.ts";
import { type ApiServer, serveApi } from "../api/serve.ts";
import { systemClock } from "../core/clock.ts";
import type { CertificateAuthority } from "./certificate-authority.ts";
import { signFor } from "./sign-request.ts";

type Update = MessageInitShape<typeof ConfigUpdateSchema>;

/** One proxy's open stream. */
class Watcher {
  readonly #queue: Update[] = [];
  #wake: () => void = () => {};
  #closed = false;

  send(update: Update): void {
    this.#queue.push(update);
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  async *updates(): AsyncGenerator<Update> {
    for (;;) {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        yield next;
      }
      if (this.#closed) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export class FakeManager {
  /** The Watch requests so far, in order. */
  readonly watched: WatchRequest[] = [];
  readonly acknowledged: Acknowledgement[] = [];
  /** "register reviews-1 healthy", "renew …", "withdraw …" */
  readonly registry: string[] = [];
  readonly workloads = new Map<string, Workload>();
  /** Sent first on each new stream; undefined: nothing until `send`. */
  first: Update | undefined;
  leaseTtlMs = 600;
  /** Who signs for whoever asks; undefined: nobody does. */
  authority: CertificateAuthority | undefined;
  /** What it was asked to sign. */
  readonly issued: IssueCertificateRequest[] = [];
  /** Of what it signs. */
  leafMs = 86_400_000;
  /** Takes every call and answers none, as a stopped process does; streams stay open. */
  frozen = false;
  /** Calls taken and not answered. */
  stuck = 0;
  readonly #watchers = new Set<Watcher>();
  #server: ApiServer | undefined;
  #port = 0;
  #leases = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    this.#server = await serveApi({
      hostname: "127.0.0.1",
      port: this.#port,
      clock: systemClock,
      routes: (router) => this.#routes(router),
      fetch: () => new Response("", { status: 404 }),
    });
    this.#port = this.#server.port;
    return this;
  }

  /** As kill -9: every connection breaks, and what it knew is gone. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers.clear();
    this.workloads.clear();
    await server.close();
  }

  /** To every stream that is open. */
  send(update: Update): void {
    for (const watcher of this.#watchers) watcher.send(update);
  }

  get streams(): number {
    return this.#watchers.size;
  }

  #routes(router: ConnectRouter): void {
    router.service(DiscoveryService, {
      watch: (request, context) => this.#watch(request, context.signal),
      acknowledge: async (message, { signal }) => {
        if (this.frozen) await this.#leave(signal);
        this.acknowledged.push(message);
        return {};
      },
    });
    router.service(IdentityService, { issueCertificate: (request) => this.#issue(request) });
    router.service(RegistryService, {
      register: ({ workload }) => {
        const id = `lease-${++this.#leases}`;
        this.workloads.set(id, workload!);
        this.registry.push(`register ${workload!.id} ${healthWord(workload!.healthy)}`);
        return { id, ttlMs: this.leaseTtlMs };
      },
      renew: ({ leaseId, healthy }) => {
        const workload = this.#workload(leaseId);
        workload.healthy = healthy;
        this.registry.push(`renew ${workload.id} ${healthWord(healthy)}`);
        return { id: leaseId, ttlMs: this.leaseTtlMs };
      },
      withdraw: ({ leaseId }) => {
        this.registry.push(`withdraw ${this.#workload(leaseId).id}`);
        this.workloads.delete(leaseId);
        return {};
      },
    });
  }

  #issue(request: IssueCertificateRequest) {
    this.issued.push(request);
    if (this.authority === undefined) throw new ConnectError("nobody signs", Code.Unavailable);
    const [service, namespace] = request.service.split(".");
    const account = request.serviceAccount || `${namespace || "default"}/${service || "default"}`;
    const uri = `URI:spiffe://cluster.local/ns/${account.replace("/", "/sa/")}`;
    const untilMs = systemClock.wallMs() + this.leafMs;
    const chainPem = signFor(this.authority, request.csrPem, {
      ...{ for: [uri], fromMs: systemClock.wallMs() - 1_000, untilMs },
    });
    const rootPems = [this.authority.certificate];
    return { chainPem, trust: { trustDomain: "cluster.local", rootPems } };
  }

  async *#watch(request: WatchRequest, signal: AbortSignal): AsyncGenerator<Update> {
    this.watched.push(request);
    if (this.frozen) await this.#leave(signal);
    const watcher = new Watcher();
    this.#watchers.add(watcher);
    const close = (): void => watcher.close();
    signal.addEventListener("abort", close);
    if (this.first !== undefined) watcher.send(this.first);
    try {
      yield* watcher.updates();
    } finally {
      signal.removeEventListener("abort", close);
      this.#watchers.delete(watcher);
    }
  }

  #leave(signal: AbortSignal): Promise<void> {
    this.stuck++;
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
  }

  #workload(lease: string): Workload {
    const workload = this.workloads.get(lease);
    if (workload === undefined) throw new ConnectError("no such lease", Code.NotFound);
    return workload;
  }
}

function healthWord(healthy: boolean): string {
  return healthy ? "healthy" : "unhealthy";
}

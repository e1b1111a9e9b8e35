/** Members of a mesh for tests: an authority of its own, and proxies' identities by it. */
import { create } from "@bufbuild/protobuf";
import { MutualTls_Mode, MutualTlsSchema } from "../api/gen/mesh/v1/access_pb.ts";
import { TrustBundleSchema } from "../api/gen/mesh/v1/identity_pb.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import type { InboundSecurity, PassedCall } from "../proxy/identity/inbound-tls.ts";
import { MeshIdentity } from "../proxy/identity/mesh-identity.ts";
import { type MutualTlsMode, MutualTlsModes } from "../proxy/identity/mutual-tls-modes.ts";
import { RefusedHandshakes } from "../proxy/identity/refused-handshakes.ts";
import { Metrics } from "../telemetry/metrics.ts";
import type { CertificateAuthority, CertificateRequest, Issued } from "./certificate-authority.ts";

const DAY_MS = 86_400_000;
const modes = {
  disable: MutualTls_Mode.DISABLE,
  permissive: MutualTls_Mode.PERMISSIVE,
  strict: MutualTls_Mode.STRICT,
} as const;

/** "spiffe://cluster.local/ns/default/sa/web" for "web". */
export function idOf(account: string, domain = "cluster.local"): string {
  return `spiffe://${domain}/ns/default/sa/${account}`;
}

export interface MemberOptions {
  readonly authority: CertificateAuthority;
  /** Named "svc" unless told. */
  readonly account?: string;
  /** In place of that account's. */
  readonly certificate?: Partial<CertificateRequest>;
  /** Whom it believes; its own authority unless told. */
  readonly trusts?: readonly CertificateAuthority[];
  readonly domains?: readonly string[];
}

/** With a certificate, whatever is wrong with that, and roots. */
export function member(options: MemberOptions): MeshIdentity {
  const { authority, account = "svc", certificate, trusts = [authority] } = options;
  const identity = new MeshIdentity();
  believe(identity, trusts, options.domains);
  show(identity, authority.issue({ name: account, for: [`URI:${idOf(account)}`], ...certificate }));
  return identity;
}

/** From now on; one that has expired too. */
export function show(identity: MeshIdentity, { chain, key }: Issued): void {
  const nowMs = systemClock.wallMs() - 365 * DAY_MS;
  const problems = identity.useCertificate({ chainPem: chain, keyPem: key }, nowMs);
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
}

export function believe(
  identity: MeshIdentity,
  authorities: readonly CertificateAuthority[],
  domains: readonly string[] = ["cluster.local"],
): void {
  const [trustDomain = "", ...trustDomainAliases] = domains;
  const rootPems = authorities.map(({ certificate }) => certificate);
  const message = create(TrustBundleSchema, { trustDomain, trustDomainAliases, rootPems });
  identity.useTrust(message, systemClock.wallMs());
}

/** What an inbound listener asks, and what it refused. */
export class Guard implements InboundSecurity {
  readonly identity: MeshIdentity;
  readonly metrics = new Metrics();
  /** Of the log. */
  readonly lines: string[] = [];
  readonly refused: RefusedHandshakes;
  readonly passed: PassedCall[] = [];
  mode: MutualTlsMode;
  ports: Readonly<Record<number, MutualTlsMode>> = {};

  constructor(identity: MeshIdentity, mode: MutualTlsMode, clock: Clock = systemClock) {
    this.identity = identity;
    this.mode = mode;
    const log = new Log("proxy", { level: "info" }, (line) => void this.lines.push(line));
    this.refused = new RefusedHandshakes({
      clock,
      log,
      metrics: this.metrics,
      listener: "inbound",
    });
  }

  readonly modes = (): MutualTlsModes => {
    const ports = Object.entries(this.ports).map(([port, mode]) => [port, modes[mode]] as const);
    const message = { mode: modes[this.mode], ports: Object.fromEntries(ports) };
    return new MutualTlsModes(create(MutualTlsSchema, message));
  };

  passOn: InboundSecurity["passOn"] = (socket, call) => {
    this.passed.push(call);
    socket.terminate();
  };

  /** By reason, as counted. */
  refusals(): Record<string, number> {
    const { values, families } = this.metrics.view();
    const counted = families.find(({ name }) => name === "mesh_tls_handshakes_failed_total");
    const named = (counted?.series ?? []).map(({ labels, slot }) => [
      /reason="([^"]*)"/.exec(labels)?.[1] ?? "",
      values[slot]!,
    ]);
    return Object.fromEntries(named);
  }
}

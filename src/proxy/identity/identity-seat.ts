/**
 * Where identity sits in a data plane: whom its connections are to reach and who may reach it, as
 * the configuration in force says, with the certificate that the agent has got.
 */
import type { MutualTls } from "../../api/gen/mesh/v1/access_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatProblem, type Problem } from "../../core/problem.ts";
import type { MetricScope } from "../../telemetry/metrics.ts";
import { ClaimJudge } from "../policy/claim-judge.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { InboundSecurity } from "./inbound-tls.ts";
import { MeshIdentity, type WorkloadKeyPair } from "./mesh-identity.ts";
import { MutualTlsModes } from "./mutual-tls-modes.ts";
import { RefusedHandshakes, type RefusedHandshakesParts } from "./refused-handshakes.ts";

export interface IdentitySeatParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly passOn: InboundSecurity["passOn"];
  readonly onRefused: RefusedHandshakesParts["onRefused"] & {};
  /** What has connections. */
  readonly planes: () => readonly (Retiring | undefined)[];
}

interface Retiring {
  /** Ends connections of peers whose certificate expired before that time of day. */
  retireExpired(beforeMs: number): void;
  /** Ends connections in plaintext to ports of the application that are STRICT now. */
  retirePlaintext(isStrict: (port: number) => boolean): void;
}

/** How long a connection outlives the certificate that it began with. */
const GRACE_MS = 300_000;
const SWEEP_MS = 60_000;

export class IdentitySeat {
  readonly identity = new MeshIdentity();
  /** For every inbound listener. */
  readonly security: InboundSecurity;
  readonly #parts: IdentitySeatParts;
  readonly #claims: ClaimJudge;
  #message: MutualTls | undefined = undefined;
  #modes = new MutualTlsModes(undefined);
  #cancelSweep: (() => void) | undefined = undefined;

  constructor(parts: IdentitySeatParts) {
    this.#parts = parts;
    this.#claims = new ClaimJudge({ ...parts, expectsProof: (port) => this.#expectsProof(port) });
    this.security = {
      identity: this.identity,
      modes: () => this.#modes,
      refused: new RefusedHandshakes({ ...parts, listener: "inbound" }),
      claims: this.#claims,
      passOn: parts.passOn,
    };
  }

  /** For connections from now on. */
  publish(snapshot: Snapshot): void {
    const { config, members } = snapshot;
    this.#claims.publish(snapshot);
    this.#follow(config.access?.mutualTls);
    this.#say(this.identity.useTrust(config.trust, this.#parts.clock.wallMs()));
    const wanted = [...members.values()].flatMap((specs) => specs.map(({ identity }) => identity));
    this.identity.keep(new Set(wanted));
  }

  useCertificate(pair: WorkloadKeyPair): void {
    this.#say(this.identity.useCertificate(pair, this.#parts.clock.wallMs()));
    if (this.#cancelSweep === undefined) this.#sweepLater();
  }

  close(): void {
    this.#cancelSweep?.();
  }

  /** In a mesh where nobody has an identity, and where it is not asked for, nobody can prove it. */
  #expectsProof(port: number): boolean {
    const { isKnown, trust } = this.identity;
    return isKnown && trust !== undefined && this.#modes.at(port) !== "disable";
  }

  /** Who was let in as anybody is not served as that for as long as he likes. */
  #follow(message: MutualTls | undefined): void {
    if (message === this.#message) return;
    this.#message = message;
    const modes = new MutualTlsModes(message);
    this.#modes = modes;
    for (const plane of this.#parts.planes())
      plane?.retirePlaintext((port) => modes.at(port) === "strict");
  }

  #sweepLater(): void {
    const { clock, planes } = this.#parts;
    this.#cancelSweep = clock.after(SWEEP_MS, () => {
      for (const plane of planes()) plane?.retireExpired(clock.wallMs() - GRACE_MS);
      this.#sweepLater();
    });
  }

  #say(problems: readonly Problem[]): void {
    for (const problem of problems)
      this.#parts.log.warn("identity", { problem: formatProblem(problem) });
  }
}

/**
 * The certificate of this workload: asked for, kept in memory, renewed in time. The manager may be
 * away for as long as what is there lasts; after that it is said aloud, and asked for all the same.
 *
 *   none ──answer──▶ held ──half of its life──▶ asking ──answer──▶ held
 *    │ ▲                                         │ ▲
 *    └─┴─ fault: backoff                          └─┴─ fault: backoff; ever louder near its end
 *
 * It proves itself by the certificate that it has, and where that is refused or none, by what it
 * was started with: a join token, or a JWT that somebody renews in its file. Where the mesh trusts
 * none of the roots behind the certificate any more (its authority was lost, or restored), another
 * one is asked for at once: nobody believes the one that is there.
 */
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { callFault } from "../../api/discovery/call-fault.ts";
import { within } from "../../api/discovery/time-limit.ts";
import {
  IdentityService,
  type IssueCertificateRequest,
  type TrustBundle,
  type WorkloadMode,
} from "../../api/gen/mesh/v1/identity_pb.ts";
import { backoffMs } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatProblem } from "../../core/problem.ts";
import type { Random } from "../../core/random.ts";
import { type KeyedCertificate, parsePair } from "../../io/certificate.ts";
import { createCertificateRequest } from "../../io/certificate-request.ts";
import { leadsToRoot } from "../../io/chain-root.ts";
import type { WorkloadKeyPair } from "./mesh-identity.ts";

export type Proof = IssueCertificateRequest["credential"];

export interface WorkloadCredentialParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** "reviews.default"; "": it stands for none. */
  readonly service: string;
  /** "default/reviews", of the identity to ask for; "": as the credential says. */
  readonly serviceAccount: string;
  /** What it runs as; absent: as the credential says. */
  readonly mode?: WorkloadMode;
  /** 0: as the manager has it. */
  readonly lifetimeSeconds: number;
  /** Read anew for each question. */
  readonly proof: () => Proof;
  /** What a person can do where that is refused. */
  readonly remedy: string;
  /** Of a predecessor, or an earlier run. */
  readonly former: WorkloadKeyPair | undefined;
  /** It counts for connections from when this resolves. */
  readonly use: (pair: WorkloadKeyPair) => void | Promise<void>;
}

export interface CredentialStatus {
  /** Undefined: there was never one. */
  readonly certificate: KeyedCertificate | undefined;
  /** As time of day; undefined: it is being asked for now, or in a moment. */
  readonly renewsAtMs: number | undefined;
  readonly renewals: number;
  readonly failures: number;
  /** "": the last question was answered. */
  readonly fault: string;
  /** It leads to a root that the mesh trusts; also while nothing is known of roots. */
  readonly trusted: boolean;
}

const CALL_MS = 5_000;
const RETRY_MS = 200;
const RETRY_MS_MAX = 30_000;
/** The manager has had enough of it, or does not believe it: a person has to do something. */
const REFUSED_MS = 5_000;
const REFUSED_MS_MAX = 60_000;
/** By wall clocks, which jump, and machines, which sleep. */
const LOOK_MS = 600_000;
const RENEW_MS_MIN = 100;
const NO_ROOT = "none of the mesh's roots stands behind the certificate";
/** Those that come again before this are no accident, and wait: each time longer. */
const DOUBT_MS = 600_000;
/** Failures to replace a certificate that nobody believes, from one word about it to the next. */
const DOUBTS_SAID = 10;
/** Of its life, around the half. */
const JITTER = 0.05;
/** Parts of its life that are left when a failed renewal is worth another word. */
const WARNINGS = [0.25, 0.1, 0] as const;
const REFUSALS: ReadonlySet<Code> = new Set([
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.InvalidArgument,
  Code.ResourceExhausted,
  Code.Unimplemented,
  Code.NotFound,
]);

export class WorkloadCredential {
  readonly #parts: WorkloadCredentialParts;
  readonly #client: Client<typeof IdentityService>;
  readonly #settled = Promise.withResolvers<void>();
  #pair: WorkloadKeyPair | undefined = undefined;
  #certificate: KeyedCertificate | undefined = undefined;
  #trust: TrustBundle | undefined = undefined;
  #renewsAtMs: number | undefined = undefined;
  #cancel: () => void = () => {};
  #isClosed = false;
  #attempt = 0;
  #renewals = 0;
  #failures = 0;
  #fault = "";
  /** The certificate that is there was not believed. */
  #distrusted = false;
  /** PEM, as the mesh said it last; undefined: it has said nothing. */
  #roots: readonly string[] | undefined = undefined;
  /** The certificate leads to one of these. */
  #isTrusted = true;
  #isAsking = false;
  /** These roots are news since the question under way was asked. */
  #isNews = false;
  /** The manager was shown it, and asked who that is. */
  #isDoubted = false;
  #doubts = 0;
  #doubtedAtMs = Number.NEGATIVE_INFINITY;
  /** How many of WARNINGS were said. */
  #warned = 0;

  constructor(parts: WorkloadCredentialParts) {
    this.#parts = parts;
    this.#client = createClient(IdentityService, parts.transport);
  }

  /** Resolves when there is a certificate, or when asking for one has failed once. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** What connections to the manager show; undefined: nothing yet. */
  get pair(): WorkloadKeyPair | undefined {
    return this.#pair;
  }

  /** As the manager said it last; undefined: it has said nothing. */
  get trust(): TrustBundle | undefined {
    return this.#trust;
  }

  status(): CredentialStatus {
    return {
      certificate: this.#certificate,
      renewsAtMs: this.#renewsAtMs,
      renewals: this.#renewals,
      failures: this.#failures,
      fault: this.#fault,
      trusted: this.#isTrusted,
    };
  }

  /** Whom the mesh believes from now on. */
  follow({ rootPems }: TrustBundle): void {
    if (rootPems.length === 0 || sameTexts(rootPems, this.#roots)) return;
    this.#roots = rootPems;
    this.#isNews = true;
    if (this.#certificate === undefined || this.#isAsking) return;
    const wasTrusted = this.#isTrusted;
    this.#judge();
    if (!this.#isTrusted) return this.#replace(NO_ROOT);
    if (wasTrusted) return;
    this.#cancel();
    this.#renewInTime(this.#certificate.notBeforeMs);
  }

  /** The manager does not know who we are by the certificate that it was shown. */
  doubt(): void {
    if (this.#certificate === undefined || this.#isAsking) return;
    if (this.#isDoubted || !this.#isTrusted) return;
    this.#isDoubted = true;
    this.#distrusted = true;
    this.#replace("the manager does not believe the certificate");
  }

  start(): void {
    void this.#begin();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  async #begin(): Promise<void> {
    const { former } = this.#parts;
    if (former === undefined || !(await this.#take(former))) return this.#ask();
    this.#settled.resolve();
    if (this.#isTrusted) this.#renewInTime(this.#certificate!.notBeforeMs);
    else this.#replace(NO_ROOT);
  }

  /** False: it is of no use. */
  async #take(pair: WorkloadKeyPair): Promise<boolean> {
    const { clock, log, use } = this.#parts;
    const file = "the certificate";
    const texts = {
      certificate: { file, text: pair.chainPem },
      key: { file, text: pair.keyPem },
    };
    const { value, problems } = parsePair(texts, clock.wallMs());
    if (value === undefined) {
      this.#fault = problems.map(formatProblem).join("; ");
      log.warn("a certificate is of no use", { reason: this.#fault });
      return false;
    }
    this.#pair = pair;
    this.#certificate = value;
    this.#warned = 0;
    this.#judge();
    await use(pair);
    return true;
  }

  #judge(): void {
    const { chainPem = "" } = this.#pair ?? {};
    this.#isTrusted = this.#roots === undefined || leadsToRoot(chainPem, this.#roots);
  }

  /** At once, unless that has been done a moment ago. */
  #replace(reason: string): void {
    const { clock, random, log } = this.#parts;
    log.warn("another certificate is needed; asking for it", { reason, ...this.#words() });
    if (this.#isClosed) return;
    this.#cancel();
    const nowMs = clock.nowMs();
    if (nowMs > this.#doubtedAtMs + DOUBT_MS) this.#doubts = 0;
    this.#doubtedAtMs = nowMs;
    this.#attempt = 0;
    if (this.#doubts++ === 0) return void this.#ask();
    const waitMs = backoffMs(this.#doubts, REFUSED_MS, REFUSED_MS_MAX, random);
    const atMs = Math.min(clock.wallMs() + waitMs, this.#renewsAtMs ?? Number.POSITIVE_INFINITY);
    this.#renewsAtMs = atMs;
    this.#look(Math.max(0, atMs - clock.wallMs()));
  }

  /** `fromMs`: since when it is used. */
  #renewInTime(fromMs: number): void {
    if (this.#isClosed) return;
    const { clock, random } = this.#parts;
    const { notAfterMs } = this.#certificate!;
    const part = 0.5 + (random() * 2 - 1) * JITTER;
    this.#renewsAtMs = fromMs + (notAfterMs - fromMs) * part;
    this.#look(Math.max(RENEW_MS_MIN, this.#renewsAtMs - clock.wallMs()));
  }

  #look(waitMs: number): void {
    const { clock } = this.#parts;
    this.#cancel = clock.after(Math.min(waitMs, LOOK_MS), () => {
      const leftMs = (this.#renewsAtMs ?? 0) - clock.wallMs();
      if (leftMs <= 0) void this.#ask();
      else this.#look(leftMs);
    });
  }

  async #ask(): Promise<void> {
    if (this.#isClosed) return;
    this.#renewsAtMs = undefined;
    this.#isAsking = true;
    this.#isNews = false;
    try {
      await this.#issue();
    } catch (thrown) {
      this.#failed(thrown);
    }
    this.#isAsking = false;
    this.#settled.resolve();
  }

  async #issue(): Promise<void> {
    const { clock, log, service, serviceAccount, lifetimeSeconds, mode } = this.#parts;
    const { csrPem, keyPem } = await createCertificateRequest("");
    const wanted = { service, serviceAccount, lifetimeSeconds, ...(mode && { mode }) };
    const request = { csrPem, ...wanted, credential: this.#proof() };
    const { chainPem, trust } = await within(clock, CALL_MS, (signal) =>
      this.#client.issueCertificate(request, { signal }),
    );
    if (this.#isClosed) return;
    if (trust !== undefined) {
      this.#trust = trust;
      if (!this.#isNews) this.#roots = trust.rootPems;
    }
    const isFirst = this.#certificate === undefined;
    if (!(await this.#take({ chainPem, keyPem }))) throw new Error(this.#fault);
    if (isFirst) log.info("this workload has an identity", this.#words());
    else this.#renewals++;
    this.#attempt = 0;
    this.#fault = "";
    this.#distrusted = false;
    this.#isDoubted = false;
    if (!this.#isTrusted) return this.#replace(NO_ROOT);
    // It begins a little before it was made, for clocks that are late.
    this.#renewInTime(clock.wallMs());
  }

  #proof(): Proof {
    const isHeld = this.#certificate !== undefined && this.#leftMs() > 0;
    const isGood = isHeld && !this.#distrusted && this.#isTrusted;
    return isGood ? { case: undefined } : this.#parts.proof();
  }

  #failed(thrown: unknown): void {
    const { clock, random } = this.#parts;
    this.#failures++;
    const { code } = ConnectError.from(thrown);
    this.#fault = callFault(thrown);
    if (code === Code.Unauthenticated || code === Code.PermissionDenied)
      this.#distrusted = this.#certificate !== undefined && !this.#distrusted;
    this.#say();
    const isRefusal = REFUSALS.has(code);
    const [base, max] = isRefusal ? [REFUSED_MS, REFUSED_MS_MAX] : [RETRY_MS, RETRY_MS_MAX];
    const waitMs = backoffMs(this.#attempt++, base, max, random);
    if (this.#isClosed) return;
    this.#renewsAtMs = clock.wallMs() + waitMs;
    this.#look(waitMs);
  }

  /** At the first failure, and again as the end comes nearer. */
  #say(): void {
    const { log } = this.#parts;
    const fields = { reason: this.#fault, ...this.#words() };
    const certificate = this.#certificate;
    if (certificate === undefined) {
      if (this.#attempt === 0) log.warn("this workload has no identity yet; asking on", fields);
      return;
    }
    if (!this.#isTrusted || this.#isDoubted) return this.#sayDoubt(fields);
    const left = this.#leftMs() / (certificate.notAfterMs - certificate.notBeforeMs);
    const due = WARNINGS.filter((part) => left <= part).length;
    if (due > this.#warned) {
      this.#warned = due;
      if (left <= 0) log.error("the certificate has expired, and is not renewed", fields);
      else log.warn("the certificate expires soon, and is not renewed", fields);
    } else if (this.#attempt === 0) log.warn("the certificate is not renewed; asking on", fields);
  }

  #sayDoubt(fields: Record<string, string>): void {
    const { log, remedy } = this.#parts;
    if (this.#attempt % DOUBTS_SAID !== 0) return;
    const what = this.#isTrusted ? "the manager refuses" : "others of the mesh refuse";
    log.warn(`${what} the certificate, and there is no other; asking on`, { ...fields, remedy });
  }

  #leftMs(): number {
    return (this.#certificate?.notAfterMs ?? 0) - this.#parts.clock.wallMs();
  }

  #words(): Record<string, string> {
    const certificate = this.#certificate;
    if (certificate === undefined) return {};
    const expires = new Date(certificate.notAfterMs).toISOString();
    return { identity: certificate.uris[0] ?? "", expires };
  }
}

function sameTexts(a: readonly string[], b: readonly string[] | undefined): boolean {
  return a.length === b?.length && a.every((text, i) => text === b[i]);
}

/**
 * The certificate authority of a mesh: which authorities there are, which one signs, whom to trust.
 * Its state is the store's (see authority-table.ts), so that managers that share it are one.
 *
 *   open ─▶ one is active ─rotate─▶ another is coming ─(time passed)─▶ active, the first former
 *
 * A new root is trusted before it signs, for as long as a leaf lives unless told otherwise: whoever
 * has a certificate that is in force has got the new root along with it. The former one stays
 * trusted until the last leaf of it has expired, and until then it vouches for the new one, too.
 */
import { X509Certificate } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { sha256Of } from "../../io/tls-facts.ts";
import type { AuthorityFiles, FileAuthority } from "./authority-files.ts";
import { type AuthorityRow, AuthorityTable } from "./authority-table.ts";
import { type IssuedDer, issueCertificate } from "./certificate-issue.ts";
import type { IdentityStore } from "./identity-store.ts";
import type { KeySeal } from "./key-seal.ts";
import { createRoot, type FormerRoot } from "./root-certificate.ts";
import { type Signer, sealKey, signerOf } from "./signer.ts";
import type { AlternativeName } from "./subject-alt-name.ts";
import { certificatesOf, trustedRoots } from "./trusted-roots.ts";

export interface AuthorityOptions {
  readonly store: IdentityStore;
  readonly seal: KeySeal;
  readonly clock: Clock;
  readonly log: Log;
  readonly trustDomain: string;
  /** Of a leaf, unless it asks for less. */
  readonly leafLifetimeMs: number;
  /** Ten years unless told. */
  readonly rootLifetimeMs?: number;
  /** Undefined: roots of our own. */
  readonly files: AuthorityFiles | undefined;
}

export interface LeafRequest {
  readonly publicKey: Buffer;
  readonly names: readonly AlternativeName[];
  /** Cut to what the authority gives. */
  readonly lifetimeMs: number;
}

export interface SignedLeaf extends IssuedDer {
  /** Leaf first, without roots. */
  readonly chainPem: string;
  readonly notAfterMs: number;
}

/** Why something cannot be had now; in words for whoever asked. */
export class AuthorityFault extends Error {
  override readonly name = "AuthorityFault";
}

const DAY_MS = 86_400_000;
const ROOT_LIFETIME_MS = 3_650 * DAY_MS;
/** Before now; clocks differ. */
const BACKDATED_MS = 300_000;
/** A former root stays that much longer than its last leaf. */
const SLACK_MS = 60_000;
const LOOK_MS = 1_000;
const LOOK_MS_MIN = 10;
const AUTHORITIES_MAX = 1_000;

export class Authority {
  readonly options: AuthorityOptions;
  readonly #table: AuthorityTable;
  readonly #listeners = new Set<() => void>();
  readonly #foreignListeners = new Set<() => void>();
  readonly #signers = new Map<string, Signer>();
  #rows: readonly AuthorityRow[] = [];
  #roots: readonly string[] = [];
  #foreign: number;
  /** When a root of our own comes to its last fifth. */
  #ageingMs = Number.POSITIVE_INFINITY;
  #cancel: () => void = () => {};

  /** Throws a sentence where nothing could ever be signed. */
  constructor(options: AuthorityOptions) {
    this.options = options;
    this.#table = new AuthorityTable(options.store);
    this.#foreign = options.store.foreignVersion;
    const nowMs = options.clock.wallMs();
    options.store.transaction(() => {
      if (options.files !== undefined) this.#adopt(options.files.current, nowMs);
      else if (this.#active() === undefined) this.#add(nowMs, 0);
      this.#advance(nowMs);
    });
    this.#reread();
    const { files } = options;
    files?.onChange(() => this.#change(() => this.#adopt(files.current, options.clock.wallMs())));
    const active = this.#rows[0];
    const signer = active === undefined ? "there is no authority" : this.#signer(active);
    if (typeof signer === "string") throw new Error(signer);
    this.#look();
  }

  /** Every root to trust, PEM, the one that signs first. */
  get roots(): readonly string[] {
    return this.#roots;
  }

  /** As last read, the active one first. */
  get rows(): readonly AuthorityRow[] {
    return this.#rows;
  }

  /** SHA-256, base64url, of a root that is trusted for `lifetimeMs` at least: for tokens. */
  pinFor(lifetimeMs: number): string {
    const untilMs = this.options.clock.wallMs() + lifetimeMs;
    const active = this.#rows[0];
    const [root] = certificatesOf(active?.roots ?? "");
    if (active === undefined || root === undefined) throw new AuthorityFault("there is no root");
    this.#table.need(active.fingerprint, untilMs);
    return Buffer.from(sha256Of(root), "hex").toString("base64url");
  }

  /** Only within a transaction of the store: what is signed is what the rest of it agreed to. */
  sign(leaf: LeafRequest): SignedLeaf {
    const nowMs = this.options.clock.wallMs();
    this.#advance(nowMs);
    const row = this.#active();
    if (row === undefined) throw new AuthorityFault("there is no authority");
    const signer = this.#signer(row);
    if (typeof signer === "string") throw new AuthorityFault(signer);
    const lifetimeMs = Math.min(leaf.lifetimeMs, this.options.leafLifetimeMs);
    const notAfterMs = Math.min(nowMs + lifetimeMs, signer.notAfterMs);
    if (notAfterMs <= nowMs) throw new AuthorityFault("the authority's own certificate expired");
    const notBeforeMs = Math.max(nowMs - BACKDATED_MS, signer.notBeforeMs);
    const { publicKey, names } = leaf;
    const issued = issueCertificate({ publicKey, names, notBeforeMs, notAfterMs }, signer.issuer);
    this.#table.need(row.fingerprint, notAfterMs);
    return { ...issued, chainPem: issued.pem + signer.chain, notAfterMs };
  }

  /**
   * A new root; where one is coming already it is hurried to `spreadMs`: how long everybody has to
   * hear of it before it signs.
   */
  rotate(spreadMs = this.options.leafLifetimeMs): void {
    this.#change(() => {
      const nowMs = this.options.clock.wallMs();
      this.#advance(nowMs);
      const rows = this.#table.rows();
      if (rows[0]?.origin === "files")
        throw new AuthorityFault("the authority is in files of the operator: replace those");
      if (rows.length >= AUTHORITIES_MAX)
        throw new AuthorityFault("too many former roots are still needed");
      const coming = rows.find(({ state }) => state === "coming");
      if (coming === undefined) this.#add(nowMs, spreadMs);
      else {
        const signsFromMs = Math.min(coming.signsFromMs, nowMs + spreadMs);
        this.#table.save({ ...coming, signsFromMs });
      }
    });
  }

  /** Looks whether time or another manager has changed anything. */
  look(): void {
    const nowMs = this.options.clock.wallMs();
    const { foreignVersion } = this.options.store;
    const isDue = this.#rows.some((row) => isOver(row, nowMs) || isReady(row, nowMs));
    if (isDue) this.#change(() => this.#advance(nowMs));
    else if (foreignVersion !== this.#foreign) this.#reread();
    if (foreignVersion !== this.#foreign)
      for (const listener of [...this.#foreignListeners]) listener();
    this.#foreign = foreignVersion;
    if (nowMs > this.#ageingMs && !this.#rows.some(({ state }) => state === "coming"))
      this.rotate();
  }

  /** Calls back when other roots are to be trusted, or another authority signs. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back when another manager has written to the store. */
  onForeignChange(listener: () => void): () => void {
    this.#foreignListeners.add(listener);
    return () => this.#foreignListeners.delete(listener);
  }

  close(): void {
    this.#cancel();
    this.options.files?.close();
  }

  #look(): void {
    const nowMs = this.options.clock.wallMs();
    const coming = this.#rows.find(({ state }) => state === "coming");
    const dueMs = coming === undefined ? LOOK_MS : coming.signsFromMs - nowMs;
    const waitMs = Math.max(LOOK_MS_MIN, Math.min(LOOK_MS, dueMs));
    this.#cancel = this.options.clock.after(waitMs, () => {
      try {
        this.look();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.options.log.error("the authority's store cannot be read", { reason });
      }
      this.#look();
    });
  }

  #change(run: () => void): void {
    this.options.store.transaction(run);
    this.#reread();
  }

  /** In a transaction: what is due. */
  #advance(nowMs: number): void {
    for (const row of this.#table.rows()) {
      if (isReady(row, nowMs)) this.#activate(row);
      if (isOver(row, nowMs)) this.#forget(row);
    }
  }

  #activate(row: AuthorityRow): void {
    const active = this.#active();
    if (active !== undefined) this.#table.save({ ...active, state: "former" });
    this.#table.save({ ...row, state: "active" });
    this.options.log.info("another authority signs from now on", { fingerprint: row.fingerprint });
  }

  #forget(row: AuthorityRow): void {
    this.#table.remove(row.fingerprint);
    this.#signers.delete(row.fingerprint);
    // Its word for the next one is worth nothing any more.
    for (const other of this.#table.rows())
      if (other.origin === "own" && isSignedBy(other.above, row.certificate))
        this.#table.save({ ...other, above: "" });
    this.options.log.info("a former root is no longer trusted", { fingerprint: row.fingerprint });
  }

  /** In a transaction: a root of our own, which signs after `spreadMs`. */
  #add(nowMs: number, spreadMs: number): void {
    const { trustDomain, seal, rootLifetimeMs: lifetimeMs = ROOT_LIFETIME_MS } = this.options;
    const active = this.#active();
    const root = createRoot(trustDomain, { nowMs, lifetimeMs }, this.#former(active));
    const fingerprint = sha256Of(new X509Certificate(root.certificate));
    this.#table.save({
      fingerprint,
      origin: "own",
      state: active === undefined ? "active" : "coming",
      certificate: root.certificate,
      above: root.byFormer,
      roots: root.certificate,
      sealedKey: sealKey(root.key, fingerprint, seal),
      signsFromMs: nowMs + spreadMs,
      neededUntilMs: 0,
    });
    this.options.log.info("a root was made", { fingerprint });
  }

  #former(active: AuthorityRow | undefined): FormerRoot | undefined {
    if (active?.origin !== "own") return undefined;
    const signer = this.#signer(active);
    return typeof signer === "string" ? undefined : signer;
  }

  /** In a transaction: the operator's files say who signs. */
  #adopt(given: FileAuthority, nowMs: number): void {
    const { fingerprint, certificate, above } = given;
    const roots = given.roots.join("");
    const rows = this.#table.rows();
    const known = rows.find((row) => row.fingerprint === fingerprint);
    for (const row of rows)
      if (row.state === "coming" && row !== known) this.#table.remove(row.fingerprint);
    const content = { fingerprint, origin: "files", certificate, above, roots } as const;
    if (known !== undefined && known.state !== "former")
      return this.#table.save({ ...known, ...content });
    const trusted = trustedRoots(rows, nowMs);
    const isKnown = given.roots.every((root) => trusted.includes(root));
    const active = this.#active();
    const isFirst = active === undefined;
    // Nobody else could sign meanwhile: after a restart with other files.
    const isAlone = isFirst || typeof this.#signer(active) === "string";
    this.#table.save({
      ...content,
      state: isFirst ? "active" : "coming",
      sealedKey: null,
      signsFromMs: isAlone || isKnown ? nowMs : nowMs + this.options.leafLifetimeMs,
      neededUntilMs: known?.neededUntilMs ?? 0,
    });
    this.#advance(nowMs);
  }

  #active(): AuthorityRow | undefined {
    return this.#table.rows().find(({ state }) => state === "active");
  }

  #signer(row: AuthorityRow): Signer | string {
    const known = this.#signers.get(row.fingerprint);
    const { files, seal } = this.options;
    const current = files?.current;
    const fileKey = current?.fingerprint === row.fingerprint ? current.key : undefined;
    // Of files that were replaced it signs on until the new authority does.
    const isSame = row.origin === "own" ? known?.chain === row.above : fileKey === undefined;
    if (known !== undefined && isSame) return known;
    const signer = signerOf(row, seal, fileKey);
    if (typeof signer !== "string") this.#signers.set(row.fingerprint, signer);
    return signer;
  }

  #reread(): void {
    const before = `${this.#rows[0]?.fingerprint} ${this.#rows[0]?.above} ${this.#roots.join("")}`;
    this.#rows = this.#table.rows();
    this.#roots = trustedRoots(this.#rows, this.options.clock.wallMs());
    this.#ageingMs = ageingMs(this.#rows[0]);
    const now = `${this.#rows[0]?.fingerprint} ${this.#rows[0]?.above} ${this.#roots.join("")}`;
    if (now !== before) for (const listener of [...this.#listeners]) listener();
  }
}

function ageingMs(active: AuthorityRow | undefined): number {
  const [root] = active?.origin === "own" ? certificatesOf(active.certificate) : [];
  if (root === undefined) return Number.POSITIVE_INFINITY;
  const [from, to] = [root.validFromDate.getTime(), root.validToDate.getTime()];
  return to - (to - from) / 5;
}

function isReady({ state, signsFromMs }: AuthorityRow, nowMs: number): boolean {
  return state === "coming" && signsFromMs <= nowMs;
}

function isOver({ state, neededUntilMs }: AuthorityRow, nowMs: number): boolean {
  return state === "former" && neededUntilMs + SLACK_MS < nowMs;
}

function isSignedBy(above: string, certificate: string): boolean {
  const [upper] = certificatesOf(above);
  const [former] = certificatesOf(certificate);
  return upper !== undefined && former !== undefined && upper.verify(former.publicKey);
}

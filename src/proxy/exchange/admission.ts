/**
 * Policy before a request is forwarded.
 *
 *   routed ─▶ judged ─┬─ denied ─▶ a reply of ours
 *                     ├─ the mixer has to be asked ─▶ waiting ─▶ judged
 *                     ├─ head changed ─▶ routed again
 *                     └─ admitted
 *
 * Only the mixer makes it wait; who has to wait is told to go on by `resume`.
 */
import { type Failure, Failures } from "../../core/failure.ts";
import { PathVerdict } from "../../http/path-normalization.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import type { FailPolicy } from "../../model/handler.ts";
import { StatusCode } from "../../policy/status-code.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import { type Denial, denialOf, statusText, unanswered } from "../policy/denial.ts";
import type { ExchangePolicy } from "../policy/exchange-policy.ts";
import { HeaderEdits } from "../policy/header-edit.ts";
import type { MixerAnswer, MixerAsker, MixerCall } from "../policy/mixer-seat.ts";
import { rewriteRequest } from "../policy/request-rewrite.ts";
import { type DeniedAs, requestIdOf, tellDenied } from "./denied.ts";
import { type Exchange, type PolicyWait, Wake } from "./exchange.ts";
import { renewRecord } from "./record.ts";
import { replyDenied, replyFailure } from "./reply.ts";
import { describeRequest } from "./report.ts";
import { hideUnproven, rescan } from "./request-head.ts";
import { armTimer } from "./timing.ts";

/** Istio's clients wait so long for a mixer. */
const ANSWER_MS = 5_000;

type Resume = (ex: Exchange) => void;

/** True: nothing speaks against it, and its head is as it was. False: it is taken care of. */
export function isAdmitted(ex: Exchange, policy: ExchangePolicy, resume: Resume): boolean {
  if (!policy.checks || (policy.leavesToCallee && isGuarded(ex))) return true;
  const { facts } = policy;
  facts.requestHead = ex.env.requestHead;
  describeRequest(ex, policy, facts);
  const verdict = policy.judge(ex.env.wallMs);
  if (verdict.code !== StatusCode.ok) {
    deny(ex, denialOf(verdict));
    return false;
  }
  ex.checkCode = StatusCode.ok;
  const edits = withEdits(undefined, verdict.requestHeaders);
  ex.responseEdits = withEdits(ex.responseEdits, verdict.responseHeaders);
  if (verdict.needsMixer || policy.needsQuotas) {
    new MixerWait(ex, edits, { failPolicy: verdict.mixerFailPolicy, resume }).ask(policy);
    return false;
  }
  if (edits === undefined) return true;
  goOn(ex, edits, resume);
  return false;
}

/** Whom it goes to has a proxy of its own, which judges it. */
function isGuarded({ route }: Exchange): boolean {
  const action = route?.action;
  if (action?.at !== "forward") return false;
  const [endpoint] = action.clusters.entries[0]!.cluster.endpoints;
  return endpoint?.facts.meshTransport === true;
}

function deny(ex: Exchange, denial: Denial): void {
  ex.checkCode = denial.code;
  ex.checkMessage = statusText(denial.code, denial.message);
  ex.responseEdits = undefined;
  if (ex.env.denials !== undefined) tellDenied(ex, deniedAs(ex, denial));
  replyDenied(ex, denial);
}

function deniedAs(ex: Exchange, { status, rule, message }: Denial): DeniedAs {
  const by = { object: rule === "" ? "policy" : rule, rule: "", place: "", reason: message };
  return { kind: "policy", status, by, id: requestIdOf(ex) };
}

export function withEdits(
  edits: HeaderEdits | undefined,
  changes: readonly HeaderChange[],
): HeaderEdits | undefined {
  if (changes.length === 0) return edits;
  const all = (edits ?? new HeaderEdits()).add(changes);
  return all.isEmpty ? undefined : all;
}

function goOn(ex: Exchange, edits: HeaderEdits | undefined, resume: Resume): void {
  const failure = edits === undefined ? undefined : rewriteHead(ex, edits);
  if (failure === undefined) resume(ex);
  else replyFailure(ex, failure);
}

/** The head is what rules make of it, for routes, upstreams and logs alike. */
export function rewriteHead(ex: Exchange, edits: HeaderEdits): Failure | undefined {
  const { env } = ex;
  const head = rescan(ex);
  const { schemeIsHttps } = head;
  const octets = rewriteRequest(head, edits);
  env.scannedFor = undefined;
  if (scanRequestHead(octets, 0, octets.length, head) <= 0) {
    ex.detail = head.detail;
    return head.failure ?? Failures.headTooLarge;
  }
  head.schemeIsHttps = schemeIsHttps;
  ex.bytes = octets;
  const verdict = env.paths.normalize(head, ex.generation!.snapshot.settings.paths);
  if (verdict === PathVerdict.refused) return head.failure;
  ex.headStart = head.start;
  ex.headEnd = head.end;
  env.scannedFor = ex;
  hideUnproven(ex, head);
  if (ex.call !== undefined) {
    ex.call.pathStart = head.pathStart;
    ex.call.pathEnd = head.pathEnd;
  }
  renewRecord(ex);
  return undefined;
}

interface WaitRules {
  readonly failPolicy: FailPolicy;
  readonly resume: Resume;
}

/** One exchange that waits for the mixer. */
class MixerWait implements PolicyWait, MixerAsker {
  readonly #ex: Exchange;
  readonly #edits: HeaderEdits | undefined;
  readonly #rules: WaitRules;
  #call: MixerCall | undefined = undefined;

  constructor(ex: Exchange, edits: HeaderEdits | undefined, rules: WaitRules) {
    this.#ex = ex;
    this.#edits = edits;
    this.#rules = rules;
  }

  ask(policy: ExchangePolicy): void {
    const answer = policy.ask(this);
    if (answer === undefined) return this.#goWithout("there is no mixer");
    const ex = this.#ex;
    const isKnown = answer.at === "answered";
    ex.checkCacheHit = isKnown || answer.isCheckKnown;
    if (policy.needsQuotas) ex.quotaCacheHit = isKnown;
    if (answer.at === "answered") return this.#take(answer);
    this.#call = answer;
    ex.wait = this;
    ex.wake = Wake.unanswered;
    ex.wakeMs = ex.env.nowMs + ANSWER_MS;
    armTimer(ex);
  }

  mixerAnswered(answer: MixerAnswer): void {
    this.#end();
    this.#take(answer);
    this.#resumeInput();
  }

  mixerFailed(reason: string): void {
    this.#end();
    this.#goWithout(reason);
    this.#resumeInput();
  }

  expire(): void {
    this.#call?.cancel();
    this.#end();
    this.#goWithout("no answer in time");
  }

  cancel(): void {
    this.#call?.cancel();
  }

  #take(answer: MixerAnswer): void {
    const ex = this.#ex;
    if (answer.code !== StatusCode.ok) return deny(ex, denialOf(answer));
    ex.responseEdits = withEdits(ex.responseEdits, answer.responseHeaders);
    goOn(ex, withEdits(this.#edits, answer.requestHeaders), this.#rules.resume);
  }

  /** Nobody has judged it: the rules say what that means. */
  #goWithout(reason: string): void {
    if (this.#rules.failPolicy === "closed") deny(this.#ex, unanswered(reason));
    else goOn(this.#ex, this.#edits, this.#rules.resume);
  }

  #end(): void {
    const ex = this.#ex;
    ex.env.tick();
    ex.wait = undefined;
    ex.wake = Wake.nothing;
    ex.wakeMs = 0;
  }

  /** What came of the request meanwhile has a place to go. */
  #resumeInput(): void {
    const { downstream, acceptsBody } = this.#ex;
    if (downstream !== undefined && acceptsBody) downstream.resumeInput();
  }
}

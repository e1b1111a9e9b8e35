/**
 * Who may call, before anything else is asked of a request:
 *
 *   arrived ─▶ steps, then rules ─┬─ refused ─▶ a reply of ours
 *                                 ├─ somebody else is asked ─▶ waiting ─▶ goes on where it was
 *                                 ├─ head changed ─▶ the next step sees the new one
 *                                 └─ let in
 *
 * A request that has to wait is told to go on by `resume`. What refused it is told to operators,
 * and to nobody outside.
 */
import { Failures } from "../../core/failure.ts";
import type { Decision } from "../../policy/authorization/decision.ts";
import type {
  AccessAsker,
  AccessPass,
  AccessRefusal,
  AccessStep,
  AccessWaiting,
} from "../access/access-step.ts";
import type { DenialKind } from "../access/denial-ring.ts";
import { type RequestGate, refusalText, refusedBy } from "../access/request-gate.ts";
import { HeaderEdits } from "../policy/header-edit.ts";
import { rewriteHead, withEdits } from "./admission.ts";
import { BodyPreview } from "./body-preview.ts";
import { describeFacts, requestIdOf, tellDenied } from "./denied.ts";
import { type Exchange, type PolicyWait, Wake } from "./exchange.ts";
import { replyFailure, replyRefused } from "./reply.ts";
import { rescan } from "./request-head.ts";
import { armTimer } from "./timing.ts";

type Resume = (ex: Exchange) => void;

const NO_BYTES = new Uint8Array(0);
/** Places of one request that are looked at for secrets. */
const HIDDEN_MAX = 8;

/** True: it may go on. False: it is taken care of. Its head is in env.requestHead. */
export function isLetIn(ex: Exchange, gate: RequestGate, resume: Resume): boolean {
  if (gate.isShut) {
    // Nor may a connection of that time be somebody's later on.
    ex.keepsAlive = false;
    replyFailure(ex, Failures.notReady);
    return false;
  }
  return passes(ex, gate, 0, resume);
}

/** From one of the steps on. */
function passes(ex: Exchange, gate: RequestGate, from: number, resume: Resume): boolean {
  const { steps, facts } = gate;
  describeFacts(ex, facts);
  for (let at = from; at < steps.length; at++) {
    const { step, when } = steps[at]!;
    if (when !== undefined && when.find(facts) === undefined) continue;
    if (step.bodyBytesMax > 0 && !isShown(ex, gate, at, resume)) return false;
    const wait = spare.take(ex, gate, at, resume);
    const answer = step.ask(facts, wait);
    if (answer?.at === "waiting") {
      wait.begin(answer, step);
      return false;
    }
    spare.giveBack(wait);
    if (answer !== undefined && !goesOn(ex, gate, at, answer)) return false;
  }
  const decision = gate.decide();
  if (decision === undefined) return true;
  refuse(ex, "authorization", refusalOf(decision));
  return false;
}

/** False: it is refused. What the step says of it holds for those that follow. */
function goesOn(
  ex: Exchange,
  gate: RequestGate,
  at: number,
  answer: AccessPass | AccessRefusal,
): boolean {
  if (answer.at === "refused") {
    const { kind, step } = gate.steps[at]!;
    hide(ex, step);
    refuse(ex, kind, answer);
    return false;
  }
  const { token, requestHeaders, responseHeaders } = answer;
  if (token !== undefined) ex.token = token;
  if (responseHeaders !== undefined)
    ex.responseEdits = withEdits(ex.responseEdits, responseHeaders);
  if (requestHeaders !== undefined && requestHeaders.length > 0) {
    const failure = rewriteHead(ex, new HeaderEdits().add(requestHeaders));
    if (failure !== undefined) {
      replyFailure(ex, failure);
      return false;
    }
  }
  describeFacts(ex, gate.facts);
  return true;
}

/** False: the content that the step wants to see is still to come, and then it goes on. */
function isShown(ex: Exchange, gate: RequestGate, at: number, resume: Resume): boolean {
  const { facts, steps } = gate;
  const { bodyBytesMax } = steps[at]!.step;
  if (ex.requestDone) {
    facts.body = NO_BYTES;
    facts.bodyIsPartial = false;
    return true;
  }
  let preview = ex.preview;
  if (preview === undefined || (preview.isPartial && preview.bytes.length < bodyBytesMax)) {
    const made = new BodyPreview(ex, bodyBytesMax, () => {
      if (passes(ex, gate, at, resume)) resume(ex);
    });
    preview = made;
    ex.preview = made;
    if (!made.begin(facts.head.expectsContinue)) return false;
  }
  facts.body = preview.bytes.subarray(0, bodyBytesMax);
  facts.bodyIsPartial = preview.isPartial || preview.bytes.length > bodyBytesMax;
  return true;
}

function refusalOf(decision: Decision): AccessRefusal {
  return {
    at: "refused",
    failure: Failures.accessDenied,
    status: 0,
    body: "RBAC: access denied",
    lines: "",
    contentType: "",
    by: refusedBy(decision),
  };
}

/** What nobody is to find in a log: a token that is bad here may be good elsewhere. */
function hide(ex: Exchange, step: AccessStep): void {
  for (let i = 0; i < HIDDEN_MAX; i++) {
    const change = step.hides?.(rescan(ex));
    if (change === undefined) return;
    if (rewriteHead(ex, new HeaderEdits().add([change])) !== undefined) return;
  }
}

function refuse(ex: Exchange, kind: DenialKind, refusal: AccessRefusal): void {
  const { failure, by } = refusal;
  const id = requestIdOf(ex);
  const status = refusal.status === 0 ? failure.http : refusal.status;
  tellDenied(ex, { kind, status, by, id });
  ex.responseEdits = undefined;
  replyRefused(ex, refusal, { id, detail: refusalText(refusal) });
}

/** One exchange at one of its steps, for which it may have to wait. */
class AccessWait implements PolicyWait, AccessAsker {
  #ex: Exchange | undefined = undefined;
  #gate: RequestGate = undefined as never;
  #at = 0;
  #resume: Resume = undefined as never;
  #waiting: AccessWaiting | undefined = undefined;
  #late: AccessPass | AccessRefusal | undefined = undefined;

  aim(ex: Exchange | undefined, gate: RequestGate, at: number, resume: Resume): this {
    this.#ex = ex;
    this.#gate = gate;
    this.#at = at;
    this.#resume = resume;
    return this;
  }

  begin(waiting: AccessWaiting, { timeoutMs, late }: AccessStep): void {
    const ex = this.#ex!;
    this.#waiting = waiting;
    this.#late = late;
    ex.wait = this;
    ex.wake = Wake.unanswered;
    ex.wakeMs = ex.env.nowMs + timeoutMs;
    armTimer(ex);
  }

  answered(answer: AccessPass | AccessRefusal): void {
    const ex = this.#end();
    if (ex === undefined) return;
    this.#take(ex, answer);
    // What came of the request meanwhile has a place to go.
    const { downstream, acceptsBody } = ex;
    if (downstream !== undefined && acceptsBody) downstream.resumeInput();
  }

  expire(): void {
    this.#waiting?.cancel();
    const ex = this.#end();
    if (ex !== undefined) this.#take(ex, this.#late!);
  }

  cancel(): void {
    this.#ex = undefined;
    this.#waiting?.cancel();
  }

  /** Undefined: nobody waits for it any more. */
  #end(): Exchange | undefined {
    const ex = this.#ex;
    if (ex?.wait !== this) return undefined;
    this.#ex = undefined;
    ex.env.tick();
    ex.wait = undefined;
    ex.wake = Wake.nothing;
    ex.wakeMs = 0;
    return ex;
  }

  #take(ex: Exchange, answer: AccessPass | AccessRefusal): void {
    const gate = this.#gate;
    if (!goesOn(ex, gate, this.#at, answer)) return;
    if (passes(ex, gate, this.#at + 1, this.#resume)) this.#resume(ex);
  }
}

/** One that nobody waits for is used again, so that a step that answers at once costs none. */
class SpareWait {
  #wait: AccessWait | undefined = undefined;

  take(ex: Exchange, gate: RequestGate, at: number, resume: Resume): AccessWait {
    const wait = this.#wait ?? new AccessWait();
    this.#wait = undefined;
    return wait.aim(ex, gate, at, resume);
  }

  giveBack(wait: AccessWait): void {
    this.#wait = wait;
  }
}

const spare = new SpareWait();

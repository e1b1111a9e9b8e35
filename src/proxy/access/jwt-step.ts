/**
 * RequestAuthentication of one workload: who is behind a request, by the token that it brings.
 *
 *   found ─┬─ nothing ──────────▶ passes, and is nobody
 *          ├─ known to be good ─▶ passes
 *          ├─ verified ─────────▶ passes, and is known from then on
 *          ├─ its key is being fetched ─▶ waits for that, and is looked at once more
 *          └─ anything else ────▶ 401
 *
 * Every token at a place that is looked at has to be good; where several are, the first place in
 * the order of the rules says who it is. The usual case, one token that is known, costs a lookup
 * and a comparison of its octets.
 */
import { Failures } from "../../core/failure.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { type TokenFault, TokenFaults } from "../../policy/jwt/token-fault.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import type { Counter } from "../../telemetry/metrics.ts";
import { findAlike } from "../policy/alike-field.ts";
import type {
  AccessAsker,
  AccessPass,
  AccessRefusal,
  AccessRequest,
  AccessStep,
  AccessWaiting,
} from "./access-step.ts";
import { type JwtRule, outputsOf } from "./jwt-rule.ts";
import {
  type BadToken,
  type FoundToken,
  type GoodToken,
  judge,
  type WatchedSpot,
} from "./token-judgement.ts";
import { Found } from "./token-spot.ts";
import { type TokenAnswer, TokenWait } from "./token-wait.ts";

/** What has to be known of a request to judge it when its head is gone. */
interface Question {
  readonly tokens: readonly FoundToken[];
  readonly realm: string;
  /** Since 1970. */
  readonly wallMs: number;
}

/** Of a result: the name of a fault, "verified", "known". */
export type CountTokens = (result: string) => Counter;

const REALM_CHARS_MAX = 256;

export class JwtStep implements AccessStep {
  readonly bodyBytesMax = 0;
  readonly refusesLarger = false;
  readonly timeoutMs: number;
  readonly late: AccessRefusal;
  readonly #spots: readonly WatchedSpot[];
  /** Fields that only we may set. */
  readonly #outputs: readonly Uint8Array[];
  readonly #removals: readonly HeaderChange[];
  readonly #sanitized: AccessPass;
  readonly #count: CountTokens;
  readonly #known: Counter;
  /** Of tokens that came alone, at a place that is cleared in one way. */
  readonly #passes = new WeakMap<GoodToken, AccessPass>();

  constructor(
    rules: readonly [JwtRule, ...JwtRule[]],
    spots: readonly WatchedSpot[],
    count: CountTokens,
  ) {
    this.#spots = spots;
    this.#count = count;
    this.#known = count("known");
    const names = [...new Set(rules.flatMap(outputsOf))];
    this.#outputs = names.map((name) => new TextEncoder().encode(name));
    this.#removals = Object.freeze(
      names.map((name) => Object.freeze({ name, value: "", operation: "remove" })),
    );
    this.#sanitized = Object.freeze({ at: "passed", requestHeaders: this.#removals });
    this.timeoutMs = Math.max(...rules.map(({ timeoutMs }) => timeoutMs));
    const fault = TokenFaults.noKeys;
    this.late = refusalOf({ fault, rule: rules[0], reason: "the keys did not come in time" }, "");
  }

  ask(
    request: AccessRequest,
    asker: AccessAsker,
  ): AccessPass | AccessRefusal | AccessWaiting | undefined {
    // A preflight brings no credentials, by its nature (Fetch 4.8).
    if (request.isPreflight) return this.#without(request);
    const { head, wallMs } = request;
    let only: WatchedSpot | undefined;
    let count = 0;
    for (const watched of this.#spots) {
      const found = watched.spot.find(head);
      if (found === Found.several) return this.#refuse(severalAt(watched), realmOf(request));
      if (found === Found.nothing) continue;
      only ??= watched;
      count++;
    }
    if (only === undefined) return this.#without(request);
    if (count === 1) {
      const { spot, cache } = only;
      const good = cache.find(head.bytes, spot.start, spot.end, wallMs);
      if (good !== undefined) {
        this.#known.increment();
        return this.#passes.get(good) ?? this.#pass([good], [spot.removal(head)]);
      }
    }
    const question = { tokens: this.#tokens(request), realm: realmOf(request), wallMs };
    const answer = this.#answer(question);
    if (!("waitsFor" in answer)) return answer;
    const wait = new TokenWait(asker, () => this.#answer(question), this.late);
    return wait.begin(answer.waitsFor);
  }

  hides(head: MessageHead): HeaderChange | undefined {
    for (const { spot } of this.#spots)
      if (spot.isLogged && spot.find(head) !== Found.nothing) return spot.removal(head);
    return undefined;
  }

  /** Nobody; but what only we may say is not said by others. */
  #without({ head }: AccessRequest): AccessPass | undefined {
    for (const name of this.#outputs) if (findAlike(head, name) !== -1) return this.#sanitized;
    return undefined;
  }

  #tokens({ head }: AccessRequest): FoundToken[] {
    return this.#spots
      .filter(({ spot }) => spot.find(head) === Found.one)
      .map((watched) => ({
        watched,
        // A copy, which slice() of a Buffer would not be.
        octets: new Uint8Array(head.bytes.subarray(watched.spot.start, watched.spot.end)),
        removal: watched.spot.removal(head),
      }));
  }

  #answer({ tokens, realm, wallMs }: Question): TokenAnswer {
    const good: GoodToken[] = [];
    for (const token of tokens) {
      const judgement = judge(token, wallMs);
      if ("waitsFor" in judgement) return judgement;
      if ("fault" in judgement) return this.#refuse(judgement, realm);
      good.push(judgement);
    }
    const removals = tokens.map(({ removal }) => removal);
    const names = new Set(removals.map(({ name }) => name));
    if (names.size < removals.length) return this.#refuse(severalAt(tokens[0]!.watched), realm);
    this.#count("verified").add(good.length);
    const pass = this.#pass(good, removals);
    const [{ watched }, second] = tokens as readonly [FoundToken, FoundToken?];
    const [first] = good as [GoodToken];
    if (second === undefined && (first.rule.forwards || watched.spot.fixedRemoval !== undefined))
      this.#passes.set(first, pass);
    return pass;
  }

  /** The first says who it is. */
  #pass(good: readonly GoodToken[], removals: readonly HeaderChange[]): AccessPass {
    const requestHeaders = [...this.#removals];
    for (const [index, { rule, output }] of good.entries()) {
      requestHeaders.push(...output);
      if (!rule.forwards) requestHeaders.push(removals[index]!);
    }
    const { token } = good[0]!;
    if (requestHeaders.length === 0) return { at: "passed", token };
    return { at: "passed", token, requestHeaders: Object.freeze(requestHeaders) };
  }

  #refuse(bad: BadToken, realm: string): AccessRefusal {
    this.#count(bad.fault.fault).increment();
    return refusalOf(bad, realm);
  }
}

function severalAt({ rules, spot }: WatchedSpot): BadToken {
  const fault: TokenFault = TokenFaults.severalTokens;
  return { fault, rule: rules[0]!, reason: `${fault.text}, in ${spot.name}` };
}

function refusalOf({ fault, rule, reason }: BadToken, realm: string): AccessRefusal {
  const { object, name, place } = rule;
  return {
    at: "refused",
    failure: Failures.tokenRefused,
    status: Failures.tokenRefused.http,
    body: fault.text,
    lines: `www-authenticate: Bearer realm="${realm}", error="invalid_token"\r\n`,
    contentType: "",
    by: { object, rule: name, place, reason },
  };
}

/** What was asked for, as far as it fits into a quoted text. */
function realmOf({ scheme, authority, path }: AccessRequest): string {
  const text = `${scheme}://${authority}${path}`.slice(0, REALM_CHARS_MAX);
  return text.replace(/[^!#-[\]-~]/g, "");
}

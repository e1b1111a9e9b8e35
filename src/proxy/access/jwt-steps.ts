/**
 * Makes the step of RequestAuthentications for each configuration. Keys that were fetched, and
 * tokens that were verified, outlive one: equal rules get the step that they had, and a set of keys
 * that is still named is not fetched again.
 */
import { toBinary } from "@bufbuild/protobuf";
import type { UrlSource } from "../../adapter/guarded-fetch.ts";
import { type FetchLimits, type KeyPlace, RemoteKeySet } from "../../adapter/remote-key-set.ts";
import {
  type JwtRule as JwtRuleMessage,
  type RequestAuthentication,
  RequestAuthenticationSchema,
} from "../../api/gen/mesh/v1/access_pb.ts";
import type { TrustSource } from "../../io/tls-settings.ts";
import { parseKeySet } from "../../policy/jwt/key-set.ts";
import type { Counter } from "../../telemetry/metrics.ts";
import type { AccessParts, AccessPass, AccessStep, AccessStepMaker } from "./access-step.ts";
import { FixedKeys } from "./fixed-keys.ts";
import { type JwtRule, jwtRuleOf, type KeySource, spotsOf, timeoutOf } from "./jwt-rule.ts";
import { JwtStep } from "./jwt-step.ts";
import { MeshKeyFetch } from "./mesh-key-fetch.ts";
import { TokenCache } from "./token-cache.ts";
import type { GoodToken, WatchedSpot } from "./token-judgement.ts";
import type { TokenSpot } from "./token-spot.ts";

interface Made {
  /** Of the rules. */
  readonly text: string;
  readonly step: AccessStep;
  readonly remote: ReadonlySet<RemoteKeySet>;
}

/** A configuration may be made and not be published: then the one before goes on. */
const STEPS_KEPT = 2;

const passed: AccessPass = Object.freeze({ at: "passed" });
/** There are no rules. */
const openStep: AccessStep = {
  bodyBytesMax: 0,
  refusesLarger: false,
  timeoutMs: 1,
  late: passed,
  ask: () => undefined,
};

export class JwtSteps implements AccessStepMaker<readonly RequestAuthentication[]> {
  readonly #parts: AccessParts;
  /** Of servers of keys, for tests; the system's unless told. */
  readonly #roots: (() => TrustSource) | undefined;
  readonly #remote = new Map<string, RemoteKeySet>();
  readonly #counters = new Map<string, Counter>();
  /** The newest last. */
  readonly #made: Made[] = [];

  constructor(parts: AccessParts, roots?: () => TrustSource) {
    this.#parts = parts;
    this.#roots = roots;
  }

  stepFor(policies: readonly RequestAuthentication[]): AccessStep {
    if (policies.every(({ rules }) => rules.length === 0)) return openStep;
    const text = policies.map(textOf).join(" ");
    const before = this.#made.findIndex((one) => one.text === text);
    const [made = this.#make(text, policies)] = before === -1 ? [] : this.#made.splice(before, 1);
    this.#made.push(made);
    if (this.#made.length > STEPS_KEPT) this.#made.shift();
    this.#restOthers();
    return made.step;
  }

  close(): void {
    for (const keys of this.#remote.values()) keys.close();
    this.#remote.clear();
  }

  #make(text: string, policies: readonly RequestAuthentication[]): Made {
    const rules: JwtRule[] = [];
    const remote = new Set<RemoteKeySet>();
    const spots = new Map<string, { readonly spot: TokenSpot; readonly rules: JwtRule[] }>();
    for (const policy of policies)
      for (const [index, message] of policy.rules.entries()) {
        const source = this.#source(message, policy);
        if (source instanceof RemoteKeySet) remote.add(source);
        const rule = jwtRuleOf(policy, index, source);
        rules.push(rule);
        for (const [name, make] of spotsOf(message)) {
          const watched = spots.get(name) ?? { spot: make(), rules: [] };
          spots.set(name, watched);
          watched.rules.push(rule);
        }
      }
    const watched: WatchedSpot[] = [...spots.values()].map((one) => ({
      ...one,
      cache: new TokenCache<GoodToken>(),
    }));
    const [first, ...others] = rules as [JwtRule, ...JwtRule[]];
    const step = new JwtStep([first, ...others], watched, (result) => this.#counter(result));
    return { text, step, remote };
  }

  #source(rule: JwtRuleMessage, { origin }: RequestAuthentication): KeySource {
    const { issuer, jwks, jwksUri } = rule;
    if (jwks === "") return this.#fetched(jwksUri === "" ? { issuer } : { uri: jwksUri }, rule);
    const keys = parseKeySet(jwks);
    if (!("fault" in keys)) return new FixedKeys(keys, "");
    const fields = { object: origin?.object ?? "", issuer, why: keys.text };
    this.#parts.log.error("keys cannot be read: no token of this issuer is believed", fields);
    return new FixedKeys(undefined, keys.text);
  }

  #fetched(place: KeyPlace, rule: JwtRuleMessage): RemoteKeySet {
    const { clock, random, log, metrics } = this.#parts;
    const timeoutMs = timeoutOf(rule);
    const name = JSON.stringify([place, timeoutMs]);
    const roots = this.#roots && { roots: this.#roots };
    const allowsLinkLocal = this.#parts.flags?.linkLocalKeys === true;
    const sourceOf = (limits: FetchLimits): UrlSource =>
      new MeshKeyFetch({ clock, allowsLinkLocal, ...limits }, this.#parts);
    const keys =
      this.#remote.get(name) ??
      new RemoteKeySet({ place, timeoutMs, clock, random, log, metrics, sourceOf, ...roots });
    this.#remote.set(name, keys);
    keys.start();
    return keys;
  }

  /** Exchanges of a configuration that is gone may still ask for keys: those only rest. */
  #restOthers(): void {
    for (const [name, keys] of this.#remote) {
      if (this.#made.some(({ remote }) => remote.has(keys))) continue;
      keys.rest();
      this.#remote.delete(name);
    }
  }

  #counter(result: string): Counter {
    const known = this.#counters.get(result);
    if (known !== undefined) return known;
    const help = "Tokens of requests, by what became of them.";
    const counter = this.#parts.metrics.counter("mesh_jwt_tokens_total", help, { result });
    this.#counters.set(result, counter);
    return counter;
  }
}

function textOf(policy: RequestAuthentication): string {
  return Buffer.from(toBinary(RequestAuthenticationSchema, policy)).toString("base64");
}

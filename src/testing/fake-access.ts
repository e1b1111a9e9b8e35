/** Gates of access with policies and steps that a test says. */

import { systemClock } from "../core/clock.ts";
import { Failures } from "../core/failure.ts";
import { Log } from "../core/log.ts";
import { compileAuthorization } from "../policy/authorization/compile-authorization.ts";
import type {
  AccessAsker,
  AccessPass,
  AccessRefusal,
  AccessRequest,
  AccessStep,
  AccessWaiting,
} from "../proxy/access/access-step.ts";
import { DenialWatch } from "../proxy/access/denial-watch.ts";
import { type GateStep, RequestGate } from "../proxy/access/request-gate.ts";
import { type PolicySample, policySample } from "./access-sample.ts";
import type { EngineFixture } from "./engine-fixture.ts";

export type StepAnswer = AccessPass | AccessRefusal | "waits" | undefined;

export const refusal: AccessRefusal = {
  at: "refused",
  failure: { ...Failures.accessDenied, http: 401, grpc: 16 },
  status: 0,
  body: "Jwt is expired",
  lines: 'www-authenticate: Bearer realm="x"\r\n',
  contentType: "",
  by: { object: "RequestAuthentication/default/jwt", rule: "", place: "a.yaml:1", reason: "late" },
};

/** A step whose answers a test says; those that wait are in `waiting`. */
export class FakeStep implements AccessStep {
  bodyBytesMax = 0;
  readonly refusesLarger = false;
  readonly timeoutMs = 1_000;
  late: AccessPass | AccessRefusal = refusal;
  /** It breaks its word, and answers before it has returned. */
  isHasty = false;
  readonly waiting: AccessAsker[] = [];
  asked = 0;
  cancelled = 0;
  readonly #answer: (request: AccessRequest) => StepAnswer;

  constructor(answer: (request: AccessRequest) => StepAnswer) {
    this.#answer = answer;
  }

  ask(
    request: AccessRequest,
    asker: AccessAsker,
  ): AccessPass | AccessRefusal | AccessWaiting | undefined {
    this.asked++;
    const answer = this.#answer(request);
    if (answer !== "waits") return answer;
    if (this.isHasty) asker.answered({ at: "passed" });
    this.waiting.push(asker);
    return {
      at: "waiting",
      cancel: () => {
        this.cancelled++;
      },
    };
  }
}

export interface FakeAccess {
  readonly policies?: readonly PolicySample[];
  /** For every request, before the policies. */
  readonly steps?: readonly AccessStep[];
  /** Where a policy of CUSTOM with the provider "opa" matches. */
  readonly authorizer?: AccessStep;
}

/** The engine asks these from now on. */
export function useAccess(mesh: EngineFixture, access: FakeAccess): DenialWatch {
  const { policies = [], steps = [], authorizer } = access;
  const { http } = compileAuthorization(policies.map(policySample), {
    trustDomains: ["cluster.local"],
    providers: new Set(["opa"]),
  });
  const all: GateStep[] = steps.map((step) => ({ kind: "jwt", step, when: undefined }));
  for (const { rules } of http?.custom ?? [])
    if (authorizer !== undefined) all.push({ kind: "ext-authz", step: authorizer, when: rules });
  const log = new Log("test", { level: "error" });
  const watch = new DenialWatch({ clock: systemClock, log, metrics: mesh.metrics });
  mesh.engine.watchers.denials = watch;
  mesh.engine.watchers.access = new RequestGate({ steps: all, authorizer: http, watch });
  return watch;
}

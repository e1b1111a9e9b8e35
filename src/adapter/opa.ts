/**
 * opa: an Open Policy Agent, asked over its HTTP API whether a subject may do an action. The
 * original ran policies itself; here the server has them, and `checkMethod` names the rule.
 */
import { list, message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { checkedText, flag, integer, text } from "../dialect/schema/scalar.ts";
import { type Environment, type RemoteHandler, remoteAdapter } from "../policy/adapter.ts";
import { instanceFieldsJson } from "../policy/instance-json.ts";
import { positiveSpan, span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type CheckResult, checkFault } from "../policy/result.ts";
import { StatusCode } from "../policy/status-code.ts";
import type { AnyInstance } from "../policy/template.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { BoundedFetch } from "./bounded-fetch.ts";
import { httpUrl } from "./webhook.ts";

interface Parameters {
  readonly url: string;
  readonly timeoutMs: number;
  readonly failClose: boolean;
  readonly validDurationMs: number;
  readonly validUseCount: number;
}

const ANSWER_BYTES_MAX = 64 * 1024;

const fields = message({
  serverUrl: httpUrl,
  checkMethod: checkedText((value) =>
    /^data(\.[A-Za-z_]\w*)+$/.test(value) ? undefined : "is no data.package.rule",
  ),
  policy: list(text),
  failClose: flag,
  timeout: positiveSpan,
  validDuration: span(),
  validUseCount: integer({ least: 0 }),
});

function read(place: Place): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  if (value.has("policy"))
    value.at("policy").error("is not run here", "give it to an OPA server, and its serverUrl here");
  if (!value.has("checkMethod")) value.at("checkMethod").error("must be given");
  const server = (value.serverUrl ?? "http://localhost:8181").replace(/\/+$/, "");
  const method = value.checkMethod ?? "data";
  return {
    url: `${server}/v1/${method.replaceAll(".", "/")}`,
    timeoutMs: value.timeout ?? 1_000,
    failClose: value.failClose ?? false,
    validDurationMs: value.validDuration ?? 5_000,
    validUseCount: value.validUseCount ?? 1_000,
  };
}

class Opa implements RemoteHandler {
  readonly #parameters: Parameters;
  readonly #fetch: BoundedFetch;
  readonly #failed: Counter;
  readonly #environment: Environment;

  constructor(parameters: Parameters, environment: Environment) {
    this.#parameters = parameters;
    this.#environment = environment;
    const { timeoutMs } = parameters;
    this.#fetch = new BoundedFetch(environment.clock, { bytesMax: ANSWER_BYTES_MAX, timeoutMs });
    const what = "Requests that OPA did not answer with true or false.";
    const labels = { handler: environment.handler };
    this.#failed = environment.metrics.counter("mesh_opa_failed_total", what, labels);
  }

  async check(instance: AnyInstance): Promise<CheckResult> {
    if (instance.template !== "authorization")
      return checkFault(`cannot check ${instance.template}`, StatusCode.unimplemented);
    const body = `{"input":${instanceFieldsJson(instance)}}`;
    const asked = await this.#fetch.text(this.#parameters.url, { type: "application/json", body });
    const allowed = asked.at === "done" ? resultOf(asked.body) : undefined;
    if (allowed === true) return this.#answer(true);
    if (allowed === false) return this.#answer(false);
    const why = asked.at === "failed" ? asked.why : "an answer that is neither true nor false";
    const { handler, log } = this.#environment;
    log.debug("opa did not judge", { handler, why });
    this.#failed.increment();
    // Not to be used again: the next request asks anew.
    const { failClose } = this.#parameters;
    return { ...this.#answer(!failClose), validDurationMs: 1, validUseCount: 1 };
  }

  close(): void {
    this.#fetch.abort();
  }

  #answer(allowed: boolean): CheckResult {
    const { validDurationMs, validUseCount } = this.#parameters;
    return {
      code: allowed ? StatusCode.ok : StatusCode.permissionDenied,
      message: allowed ? "" : "opa: request was rejected",
      validDurationMs,
      validUseCount,
      isFault: false,
    };
  }
}

/** Of `{"result": true}`; a rule that is not defined has none. */
function resultOf(body: string): unknown {
  try {
    const answer: unknown = JSON.parse(body);
    return typeof answer === "object" && answer !== null && "result" in answer
      ? answer.result
      : undefined;
  } catch {
    return undefined;
  }
}

export const opa = remoteAdapter<Parameters>({
  name: "opa",
  templates: ["authorization"],
  read,
  open: (parameters, environment) => new Opa(parameters, environment),
});

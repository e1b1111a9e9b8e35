/**
 * webhook: a backend of the operator's own, asked over HTTP in JSON. What adapters that ran out of
 * process were for, without a protocol to learn:
 *
 *   POST {"template":"listentry","instance":{"name":"…","value":"…"}}
 *     ◀── {"code":7,"message":"no","validDuration":"5s","validUseCount":100,
 *          "direct":{"code":302,"headers":{"location":"/login"}}}
 *   POST {"template":"quota","instance":{…},"amount":1,"bestEffort":true,"dedupId":"…"}
 *     ◀── {"granted":1,"validDuration":"1s"}
 *   POST {"template":"metric","instances":[{…},…]}   ◀── anything
 *
 * Or over gRPC, as Istio's adapters out of process were asked (grpc-backend.ts), where the URL or
 * the handler's connection says so: grpc://host:port, grpcs://host:port, and there host:port alone.
 *
 * A backend that is late, away or answers nonsense is a fault: the rule's own fail policy decides.
 */
import { mapOf, message, toRecord } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { checkedText, text } from "../dialect/schema/scalar.ts";
import type { HandlerConnection } from "../model/handler.ts";
import {
  type BoundInstance,
  type Environment,
  type RemoteHandler,
  remoteAdapter,
} from "../policy/adapter.ts";
import { instanceJson } from "../policy/instance-json.ts";
import { positiveSpan } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import {
  type CheckResult,
  checkFault,
  type QuotaRequest,
  type QuotaResult,
  quotaFault,
  type ReportResult,
  reported,
} from "../policy/result.ts";
import { StatusCode } from "../policy/status-code.ts";
import type { AnyInstance, TemplateName } from "../policy/template.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { BoundedFetch, type Fetched } from "./bounded-fetch.ts";
import { type GrpcAddress, GrpcBackend, parseGrpcUrl } from "./grpc-backend.ts";
import { parseHostPort } from "./host-port.ts";
import { isHeaderName, isHeaderValue, readCheckAnswer, readQuotaAnswer } from "./webhook-answer.ts";

interface Parameters {
  readonly url: string;
  /** Of a backend that speaks gRPC. */
  readonly grpc?: GrpcAddress | undefined;
  readonly timeoutMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

const ANSWER_BYTES_MAX = 256 * 1024;
const PENDING_MAX = 1_000;

const isHttpUrl = (url: string): boolean => /^https?:\/\/[^/?#]/i.test(url) && URL.canParse(url);

export const httpUrl = checkedText((url) => (isHttpUrl(url) ? undefined : "is no http:// URL"));

const isBackendUrl = (url: string): boolean => isHttpUrl(url) || parseGrpcUrl(url) !== undefined;

const backendUrl = checkedText((url) =>
  isBackendUrl(url) ? undefined : "is no http:// or grpc:// URL",
);

const fields = message({ url: backendUrl, timeout: positiveSpan, headers: mapOf(text) });

/** What a call has of its own, or HTTP/2 does not know (RFC 9113 8.2.2). */
const RESERVED: readonly string[] = [
  ...["te", "host", "content-type", "content-length", "user-agent", "connection"],
  ...["keep-alive", "proxy-connection", "transfer-encoding", "upgrade"],
];

function read(
  place: Place,
  _: readonly BoundInstance[],
  connection?: HandlerConnection,
): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  if (connection === undefined && !value.has("url")) value.at("url").error("must be given");
  if (connection !== undefined && value.has("url"))
    value.at("url").error("is what the handler's connection says: leave one of them out");
  const url = connection === undefined ? (value.url ?? "") : urlOf(connection.address);
  if (connection !== undefined && !isBackendUrl(url))
    place.error(`the connection's address "${url}" is no host:port, http:// or grpc:// URL`);
  const grpc = parseGrpcUrl(url);
  const headers = toRecord(value.headers);
  if (grpc !== undefined)
    for (const [name, of] of Object.entries(headers))
      if (!isMetadata(name) || !isHeaderValue(of))
        value.at("headers").error(`"${name}" cannot be sent with a call`);
  const timeoutMs = value.timeout ?? (connection?.timeoutMs || 1_000);
  return { url, grpc, timeoutMs, headers };
}

function isMetadata(name: string): boolean {
  const lower = name.toLowerCase();
  return isHeaderName(name) && !lower.startsWith("grpc-") && !RESERVED.includes(lower);
}

/** Istio's form is host:port alone. */
function urlOf(address: string): string {
  return parseHostPort(address) === undefined ? address : `grpc://${address}`;
}

class Webhook implements RemoteHandler {
  readonly #parameters: Parameters;
  readonly #fetch: BoundedFetch;
  readonly #failed: Counter;
  #pending = 0;

  constructor(parameters: Parameters, { clock, handler, metrics }: Environment) {
    this.#parameters = parameters;
    const { timeoutMs } = parameters;
    this.#fetch = new BoundedFetch(clock, { bytesMax: ANSWER_BYTES_MAX, timeoutMs });
    const what = "Requests that the backend did not answer as it should.";
    this.#failed = metrics.counter("mesh_webhook_failed_total", what, { handler });
  }

  async check(instance: AnyInstance): Promise<CheckResult> {
    const { template } = instance;
    const asked = await this.#post(
      `{"template":"${template}","instance":${instanceJson(instance)}}`,
    );
    const answer = asked.at === "done" ? readCheckAnswer(asked.body) : undefined;
    if (answer !== undefined) return answer;
    return checkFault(`webhook: ${this.#complaint(asked)}`, StatusCode.unavailable);
  }

  async allocate(instance: AnyInstance, request: QuotaRequest): Promise<QuotaResult> {
    const { amount, bestEffort, dedupId } = request;
    const rest = JSON.stringify({ amount, bestEffort, dedupId }).slice(1);
    const asked = await this.#post(
      `{"template":"quota","instance":${instanceJson(instance)},${rest}`,
    );
    const answer = asked.at === "done" ? readQuotaAnswer(asked.body) : undefined;
    if (answer !== undefined) return answer;
    return quotaFault(StatusCode.unavailable, `webhook: ${this.#complaint(asked)}`);
  }

  async report(instances: readonly AnyInstance[]): Promise<ReportResult> {
    const [first] = instances;
    if (first === undefined) return reported;
    const all = instances.map(instanceJson).join(",");
    const asked = await this.#post(`{"template":"${first.template}","instances":[${all}]}`);
    return asked.at === "done" ? reported : [`webhook: ${this.#complaint(asked)}`];
  }

  close(): void {
    this.#fetch.abort();
  }

  async #post(body: string): Promise<Fetched> {
    const { url, headers } = this.#parameters;
    if (this.#pending >= PENDING_MAX)
      return { at: "failed", status: 0, why: `${PENDING_MAX} requests wait already` };
    this.#pending++;
    const asked = await this.#fetch.text(url, { type: "application/json", body, headers });
    this.#pending--;
    return asked;
  }

  #complaint(asked: Fetched): string {
    this.#failed.increment();
    return asked.at === "failed" ? asked.why : "the answer is not understood";
  }
}

const webhookTemplates: readonly TemplateName[] = [
  "checknothing",
  "listentry",
  "authorization",
  "apikey",
  "quota",
  "metric",
  "logentry",
  "reportnothing",
  "tracespan",
  "edge",
];

export const webhook = remoteAdapter<Parameters>({
  name: "webhook",
  templates: webhookTemplates,
  read,
  open: (parameters, environment) => {
    const { grpc, timeoutMs, headers } = parameters;
    if (grpc === undefined) return new Webhook(parameters, environment);
    return new GrpcBackend({ address: grpc, timeoutMs, headers }, environment);
  },
});

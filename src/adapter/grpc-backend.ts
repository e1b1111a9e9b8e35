/**
 * A backend that speaks gRPC as Istio's adapters out of process do: a service for each template.
 *
 *   /listentry.HandleListEntryService/HandleListEntry {instance, dedup_id} ◀── CheckResult
 *   /quota.HandleQuotaService/HandleQuota {instance, dedup_id, quota_request} ◀── QuotaResult
 *   /metric.HandleMetricService/HandleMetric {instances, dedup_id} ◀── ReportResult
 *
 * A denial is a status within the answer. A call that ends with an error has judged nothing, and
 * the rule's own fail policy decides.
 */
import { create, type DescMethodUnary } from "@bufbuild/protobuf";
import { HandleApiKeyService } from "../api/gen/istio/mixer/template/apikey_pb.ts";
import { HandleAuthorizationService } from "../api/gen/istio/mixer/template/authorization_pb.ts";
import { HandleCheckNothingService } from "../api/gen/istio/mixer/template/checknothing_pb.ts";
import { HandleEdgeService } from "../api/gen/istio/mixer/template/edge_pb.ts";
import { HandleListEntryService } from "../api/gen/istio/mixer/template/listentry_pb.ts";
import { HandleLogEntryService } from "../api/gen/istio/mixer/template/logentry_pb.ts";
import { HandleMetricService } from "../api/gen/istio/mixer/template/metric_pb.ts";
import { HandleQuotaService } from "../api/gen/istio/mixer/template/quota_pb.ts";
import { HandleReportNothingService } from "../api/gen/istio/mixer/template/reportnothing_pb.ts";
import { HandleTraceSpanService } from "../api/gen/istio/mixer/template/tracespan_pb.ts";
import { GrpcClient } from "../api/grpc-client.ts";
import { framed } from "../api/grpc-text.ts";
import type { CallAnswer } from "../api/outgoing-call.ts";
import { systemRandom } from "../core/random.ts";
import { ClientTls, systemTrust, type TrustSource } from "../io/tls-settings.ts";
import type { Environment, RemoteHandler } from "../policy/adapter.ts";
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
import { readCheckResult, readQuotaResult, readReportResult } from "./backend-answer.ts";
import { parseHostPort } from "./host-port.ts";
import { instanceInit } from "./instance-message.ts";

export interface GrpcAddress {
  readonly hostname: string;
  readonly port: number;
  /** TLS, and by its certificate it is who it is called. */
  readonly isSecure: boolean;
}

export interface GrpcBackendParameters {
  readonly address: GrpcAddress;
  /** Who may say who a server is; the system's roots unless told. */
  readonly roots?: TrustSource;
  readonly timeoutMs: number;
  /** Metadata. */
  readonly headers: Readonly<Record<string, string>>;
}

type Served = Exclude<TemplateName, "kubernetes">;

const methods: Readonly<Record<Served, DescMethodUnary>> = {
  checknothing: HandleCheckNothingService.method.handleCheckNothing,
  listentry: HandleListEntryService.method.handleListEntry,
  authorization: HandleAuthorizationService.method.handleAuthorization,
  apikey: HandleApiKeyService.method.handleApiKey,
  quota: HandleQuotaService.method.handleQuota,
  metric: HandleMetricService.method.handleMetric,
  logentry: HandleLogEntryService.method.handleLogEntry,
  reportnothing: HandleReportNothingService.method.handleReportNothing,
  tracespan: HandleTraceSpanService.method.handleTraceSpan,
  edge: HandleEdgeService.method.handleEdge,
};

const ANSWER_BYTES_MAX = 256 * 1024;
const CALLS_MAX = 1_000;
const REASON_MAX = 200;

/** "grpc://host:port", "grpcs://host:port". Undefined: none of these. */
export function parseGrpcUrl(url: string): GrpcAddress | undefined {
  const [, secure, authority = ""] = /^grpc(s?):\/\/([^/?#@\s]+)\/?$/i.exec(url) ?? [];
  const at = authority.startsWith(":") ? undefined : parseHostPort(authority);
  return at && { hostname: at.host, port: at.port, isSecure: secure !== "" };
}

export class GrpcBackend implements RemoteHandler {
  readonly #client: GrpcClient;
  readonly #timeoutMs: number;
  readonly #metadata: string;
  readonly #failed: Counter;
  readonly #waiting = new Set<(answer: CallAnswer) => void>();
  readonly #dedupPrefix = crypto.randomUUID();
  #dedupCount = 0;

  constructor(parameters: GrpcBackendParameters, { clock, handler, log, metrics }: Environment) {
    const { address, roots, timeoutMs, headers } = parameters;
    const { hostname, port } = address;
    this.#client = new GrpcClient({
      ...{ hostname, port, clock, random: systemRandom, connectMs: timeoutMs },
      ...{ callsMax: CALLS_MAX, answerBytesMax: ANSWER_BYTES_MAX },
      ...(address.isSecure && { tls: tlsTo(hostname, roots ?? systemTrust()) }),
      onState: (state, reason) => {
        if (state === "lost") log.warn("the backend is away", { handler, reason });
      },
    });
    this.#timeoutMs = timeoutMs;
    this.#metadata = Object.entries({ "grpc-timeout": timeoutText(timeoutMs), ...headers })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join("");
    const what = "Requests that the backend did not answer as it should.";
    this.#failed = metrics.counter("mesh_webhook_failed_total", what, { handler });
  }

  async check(instance: AnyInstance): Promise<CheckResult> {
    const answer = await this.#ask(instance, { instance: instanceInit(instance) });
    const result = answer.ok ? readCheckResult(answer.message) : undefined;
    return result ?? checkFault(this.#complaint(answer), StatusCode.unavailable);
  }

  async allocate(instance: AnyInstance, request: QuotaRequest): Promise<QuotaResult> {
    const { amount, bestEffort, dedupId } = request;
    const quotas = { [instance.name]: { amount: BigInt(amount), bestEffort } };
    const answer = await this.#ask(instance, {
      instance: instanceInit(instance),
      quotaRequest: { quotas },
      ...(dedupId !== "" && { dedupId }),
    });
    const result = answer.ok ? readQuotaResult(answer.message, instance.name) : undefined;
    return result ?? quotaFault(StatusCode.unavailable, this.#complaint(answer));
  }

  async report(instances: readonly AnyInstance[]): Promise<ReportResult> {
    const [first] = instances;
    if (first === undefined) return reported;
    const answer = await this.#ask(first, { instances: instances.map(instanceInit) });
    const result = answer.ok ? readReportResult(answer.message) : undefined;
    return result ?? [this.#complaint(answer)];
  }

  close(): void {
    this.#client.close();
    const lost = { ok: false, code: StatusCode.cancelled, isLost: true, isSent: false } as const;
    for (const settle of [...this.#waiting]) settle({ ...lost, reason: "the handler is closed" });
  }

  #ask({ template }: AnyInstance, fields: object): Promise<CallAnswer> {
    const desc = methods[template as Served];
    const dedupId = `${this.#dedupPrefix}-${this.#dedupCount++}`;
    const bytes = framed(desc.input, create(desc.input, { dedupId, ...fields }));
    return new Promise((resolve) => {
      const onAnswer = (answer: CallAnswer): void => {
        this.#waiting.delete(onAnswer);
        resolve(answer);
      };
      this.#waiting.add(onAnswer);
      const options = { timeoutMs: this.#timeoutMs, headers: this.#metadata, onAnswer };
      this.#client.call(desc, bytes, options);
    });
  }

  #complaint(answer: CallAnswer): string {
    this.#failed.increment();
    if (answer.ok) return "webhook: the answer is not understood";
    const reason = answer.reason.slice(0, REASON_MAX);
    return answer.isLost ? `webhook: ${reason}` : `webhook: answered ${answer.code}: ${reason}`;
  }
}

function tlsTo(host: string, roots: TrustSource): ClientTls {
  return new ClientTls({
    ...{ serverName: host, expected: { host, uris: new Set<string>() } },
    ...{ roots, protocols: ["h2"] },
  });
}

/** At most eight digits (PROTOCOL-HTTP2.md, Timeout). */
function timeoutText(ms: number): string {
  return ms < 1e8 ? `${Math.max(1, Math.ceil(ms))}m` : `${Math.min(99_999_999, ms / 1_000) | 0}S`;
}

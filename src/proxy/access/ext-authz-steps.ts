/** Makes the steps that ask external authorizers; connections to them outlive a configuration. */
import { toBinary } from "@bufbuild/protobuf";
import {
  type ExternalAuthorizer,
  ExternalAuthorizer_Protocol,
  ExternalAuthorizerSchema,
} from "../../api/gen/mesh/v1/access_pb.ts";
import type { AccessParts, AccessStep, AccessStepMaker } from "./access-step.ts";
import { AskedService } from "./asked-service.ts";
import type { AuthorizerClient } from "./authorizer.ts";
import { ExternalAuthorizerStep } from "./ext-authz-step.ts";
import { GrpcAuthorizer } from "./grpc-authorizer.ts";
import { HttpAuthorizer } from "./http-authorizer.ts";

interface Made {
  readonly text: string;
  readonly step: AccessStep;
  readonly client: AuthorizerClient;
}

const TIMEOUT_MS = 2_000;
/** Questions of requests that began with a configuration before are answered still. */
const LEAVE_MS = 5_000;

export class ExternalAuthorizerSteps implements AccessStepMaker<ExternalAuthorizer> {
  readonly #parts: AccessParts;
  /** By name. */
  readonly #made = new Map<string, Made>();

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  stepFor(rule: ExternalAuthorizer): AccessStep {
    const text = Buffer.from(toBinary(ExternalAuthorizerSchema, rule)).toString("base64");
    const before = this.#made.get(rule.name);
    if (before?.text === text) return before.step;
    const timeoutMs = rule.timeoutMs || TIMEOUT_MS;
    const client = this.#clientFor(rule, timeoutMs);
    const step = new ExternalAuthorizerStep(rule, { client, timeoutMs, ...this.#parts });
    this.#made.set(rule.name, { text, step, client });
    if (before !== undefined)
      this.#parts.clock.after(timeoutMs + LEAVE_MS, () => before.client.close());
    return step;
  }

  close(): void {
    for (const { client } of this.#made.values()) client.close();
    this.#made.clear();
  }

  #clientFor(rule: ExternalAuthorizer, timeoutMs: number): AuthorizerClient {
    const { clock } = this.#parts;
    const { service: host, port } = rule;
    const isGrpc = rule.protocol === ExternalAuthorizer_Protocol.GRPC;
    const protocol = isGrpc ? "h2" : "http/1.1";
    const service = new AskedService({ service: host, port, protocol }, this.#parts);
    return isGrpc
      ? new GrpcAuthorizer(rule, { service, timeoutMs }, this.#parts)
      : new HttpAuthorizer(rule, { clock, service, timeoutMs });
  }
}

/**
 * An external authorizer over gRPC, by Envoy's protocol (envoy.service.auth.v3.Authorization): it
 * sees the whole head, and answers with what is to change, or with the denial (check-response.ts).
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Authorization,
  CheckRequestSchema,
} from "../../api/gen/envoy/service/auth/v3/external_auth_pb.ts";
import type { ExternalAuthorizer } from "../../api/gen/mesh/v1/access_pb.ts";
import { framed } from "../../api/grpc-text.ts";
import { textOfBytes } from "../../attribute/byte-text.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import { HeaderEdits } from "../policy/header-edit.ts";
import type { AccessParts, AccessRequest } from "./access-step.ts";
import type { AskedService } from "./asked-service.ts";
import { type AuthorizerAnswer, type AuthorizerClient, PARTIAL_BODY } from "./authorizer.ts";
import { readCheckAnswer } from "./check-response.ts";
import { GrpcAsker } from "./grpc-asker.ts";

type CheckInit = Exclude<MessageInitShape<typeof CheckRequestSchema>, { $typeName: unknown }>;

export interface GrpcAuthorizerOptions {
  readonly service: AskedService;
  readonly timeoutMs: number;
}

const { check } = Authorization.method;

export class GrpcAuthorizer implements AuthorizerClient {
  readonly #asker: GrpcAsker;
  readonly #rule: ExternalAuthorizer;
  readonly #headers: string;

  constructor(rule: ExternalAuthorizer, options: GrpcAuthorizerOptions, parts: AccessParts) {
    this.#rule = rule;
    this.#asker = new GrpcAsker(rule.name, options, parts);
    const added = rule.additionalHeaders.map(({ name, value }) => ({
      ...{ name, value, operation: "replace" as const },
    }));
    this.#headers = textOfBytes(new HeaderEdits().add(added).lines);
  }

  ask(request: AccessRequest, onAnswer: (answer: AuthorizerAnswer) => void): () => void {
    const { target } = request;
    const message = create(CheckRequestSchema, questionOf(request, this.#rule));
    return this.#asker.ask({
      method: check,
      framed: framed(check.input, message),
      headers: this.#headers,
      onAnswer: (answer) => onAnswer(readCheckAnswer(answer, target)),
    });
  }

  close(): void {
    this.#asker.close();
  }
}

function questionOf(request: AccessRequest, { body: shown }: ExternalAuthorizer): CheckInit {
  const { connection, path, target, headers, wallMs, body } = request;
  const fields: Record<string, string> = {};
  for (const [name, value] of headers.entries()) fields[name] = value;
  fields[":scheme"] = request.scheme;
  if (shown !== undefined) fields[PARTIAL_BODY] = String(request.bodyIsPartial);
  const length = Number(fields["content-length"] ?? -1);
  const query = target.indexOf("?");
  const seconds = Math.floor(wallMs / 1_000);
  return {
    attributes: {
      source: {
        address: addressOf(connection.source),
        principal: connection.principal === "" ? "" : `spiffe://${connection.principal}`,
      },
      destination: { address: addressOf(connection.local) },
      request: {
        time: { seconds: BigInt(seconds), nanos: Math.trunc(wallMs - seconds * 1_000) * 1_000_000 },
        http: {
          id: fields["x-request-id"] ?? "",
          method: request.method,
          headers: fields,
          path: target,
          host: request.authority,
          scheme: request.scheme,
          query: query === -1 || path === "" ? "" : target.slice(query + 1),
          size: BigInt(Number.isSafeInteger(length) ? length : -1),
          protocol: request.protocol,
          ...(shown === undefined
            ? {}
            : shown.packAsBytes
              ? { rawBody: new Uint8Array(body) }
              : { body: new TextDecoder().decode(body) }),
        },
      },
      tlsSession: { sni: connection.serverName },
    },
  };
}

function addressOf({ address, port }: SocketAddress) {
  if (address === "") return {};
  const portSpecifier = { case: "portValue", value: port } as const;
  return { address: { case: "socketAddress", value: { address, portSpecifier } } } as const;
}

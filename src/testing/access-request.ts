/** A request as steps of access see it, made of its octets; and what goes on after one passed. */
import { MessageHead } from "../http/message-head.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import type { VerifiedToken } from "../policy/jwt/verified-token.ts";
import type { AccessPass, AccessRequest } from "../proxy/access/access-step.ts";
import { type ConnectionFacts, unknownConnection } from "../proxy/policy/connection-facts.ts";
import { authorityOf, methodOf, RequestFields, targetOf } from "../proxy/policy/field-map.ts";
import { HeaderEdits } from "../proxy/policy/header-edit.ts";
import { rewriteRequest } from "../proxy/policy/request-rewrite.ts";
import { isPreflight } from "../proxy/route/cors.ts";

export interface RequestOptions {
  /** Since 1970. */
  readonly wallMs?: number;
  readonly body?: string;
  readonly bodyIsPartial?: boolean;
  readonly connection?: ConnectionFacts;
  readonly token?: VerifiedToken;
}

/** "GET /path?query" or "GET /path", and lines of fields. */
export function accessRequest(
  line: string,
  fields: readonly string[] = [],
  options: RequestOptions = {},
): AccessRequest {
  const text = [`${line} HTTP/1.1`, "host: shop.example", ...fields, "", ""].join("\r\n");
  const bytes = Buffer.from(text, "latin1");
  const head = new MessageHead();
  if (scanRequestHead(bytes, 0, bytes.length, head) <= 0) throw new Error(head.detail);
  const target = targetOf(head);
  return {
    ...{ head, target, scheme: "http", protocol: "HTTP/1.1", remoteAddress: "203.0.113.7" },
    connection: options.connection ?? unknownConnection,
    method: methodOf(head),
    path: target.replace(/\?.*/, ""),
    authority: authorityOf(head) ?? "",
    headers: new RequestFields().of(head, false),
    wallMs: options.wallMs ?? Date.UTC(2026, 0, 1),
    isPreflight: isPreflight(head),
    token: options.token,
    body: Buffer.from(options.body ?? ""),
    bodyIsPartial: options.bodyIsPartial ?? false,
  };
}

/** The lines of its head, the first without its version. */
export function passedOn({ head }: AccessRequest, pass: AccessPass | undefined): string[] {
  const edits = new HeaderEdits().add(pass?.requestHeaders ?? []);
  const lines = Buffer.from(rewriteRequest(head, edits)).toString().trimEnd().split("\r\n");
  return [lines[0]!.replace(" HTTP/1.1", ""), ...lines.slice(1)].filter(
    (line) => line !== "host: shop.example",
  );
}

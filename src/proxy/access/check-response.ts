/** What an authorizer that speaks gRPC has said, as its step takes it. */
import { fromBinary } from "@bufbuild/protobuf";
import {
  type CheckResponse,
  CheckResponseSchema,
  type DeniedHttpResponse,
  type HeaderValueOption,
  type OkHttpResponse,
} from "../../api/gen/envoy/service/auth/v3/external_auth_pb.ts";
import type { CallAnswer } from "../../api/outgoing-call.ts";
import { textOfBytes } from "../../attribute/byte-text.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import { HeaderEdits } from "../policy/header-edit.ts";
import { type AuthorizerAnswer, isModest, isPassedOn } from "./authorizer.ts";

const REASON_MAX = 200;
const FORBIDDEN = 403;

/** `target`: path and query that were asked about. A call that failed has judged nothing. */
export function readCheckAnswer(answer: CallAnswer, target: string): AuthorizerAnswer {
  if (!answer.ok) {
    const reason = answer.reason.slice(0, REASON_MAX);
    return { at: "failed", why: answer.isLost ? reason : `it answered ${answer.code}: ${reason}` };
  }
  const response = decode(answer.message);
  if (response === undefined) return { at: "failed", why: "the answer is not understood" };
  const { httpResponse, status } = response;
  // A denial that calls itself OK is one all the same.
  if (httpResponse.case === "deniedResponse") return denialOf(httpResponse.value);
  if ((status?.code ?? 0) !== 0) return denialOf(undefined);
  if (httpResponse.case !== "okResponse") return { at: "passed" };
  return passOf(httpResponse.value, target);
}

function decode(message: Uint8Array): CheckResponse | undefined {
  try {
    return fromBinary(CheckResponseSchema, message);
  } catch {
    return undefined;
  }
}

function denialOf(denied: DeniedHttpResponse | undefined): AuthorizerAnswer {
  const code = denied?.status?.code ?? 0;
  // It is a denial whatever it has; of fields that are too many nobody is told.
  const said = changesOf(denied?.headers ?? [], "append");
  const changes = isModest(said) ? said : [];
  return {
    at: "denied",
    status: code >= 200 && code <= 599 ? code : FORBIDDEN,
    body: denied?.body ?? "",
    lines: textOfBytes(new HeaderEdits().add(changes).lines),
  };
}

function passOf(ok: OkHttpResponse, target: string): AuthorizerAnswer {
  const removed = ok.headersToRemove.map((name) => name.toLowerCase()).filter(isPassedOn);
  const requestHeaders: HeaderChange[] = [
    ...removed.map((name) => ({ name, value: "", operation: "remove" as const })),
    ...changesOf(ok.headers, "replace"),
  ];
  const path = withParameters(ok, target);
  if (path !== target) requestHeaders.push({ name: ":path", value: path, operation: "replace" });
  const responseHeaders = changesOf(ok.responseHeadersToAdd, "replace");
  return { at: "passed", requestHeaders, responseHeaders };
}

/** `usual`: where it is not said that a value comes beside those that are there. */
function changesOf(
  options: readonly HeaderValueOption[],
  usual: "replace" | "append",
): HeaderChange[] {
  const changes: HeaderChange[] = [];
  for (const { header, append } of options) {
    const name = header?.key.toLowerCase() ?? "";
    if (header === undefined || name === "" || !isPassedOn(name)) continue;
    const value = header.value === "" ? textOfBytes(header.rawValue) : header.value;
    changes.push({ name, value, operation: append === true ? "append" : usual });
  }
  return changes;
}

/** A parameter that is set takes the place of all of that name. */
function withParameters(ok: OkHttpResponse, target: string): string {
  const { queryParametersToSet: set, queryParametersToRemove: removed } = ok;
  if (set.length + removed.length === 0) return target;
  const gone = new Set([...removed, ...set.map(({ key }) => key)]);
  const [path = "", query = ""] = splitOnce(target, "?");
  const kept = query
    .split("&")
    .filter((pair) => pair !== "" && !gone.has(nameOf(splitOnce(pair, "=")[0] ?? "")));
  for (const { key, value } of set)
    kept.push(`${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  return kept.length === 0 ? path : `${path}?${kept.join("&")}`;
}

function splitOnce(text: string, at: string): readonly string[] {
  const index = text.indexOf(at);
  return index === -1 ? [text] : [text.slice(0, index), text.slice(index + 1)];
}

/** As it is written, where it is written badly. */
function nameOf(written: string): string {
  try {
    return decodeURIComponent(written.replaceAll("+", " "));
  } catch {
    return written;
  }
}

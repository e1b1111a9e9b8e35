/**
 * Which words of HTTP may be written in a rule. They end in messages, so that what could end a line
 * or split a field early is refused here. RFC 9110 5.1, 5.5, 7.1; RFC 3986 3.2.
 */
import type { Complaint } from "./validate-name.ts";

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const control = /[\0-\x08\x0a-\x1f\x7f]/;
const spaceOrControl = /[\0-\x20\x7f]/;
const authority = /^[A-Za-z0-9._~!$&'()*+,;=:[\]-]+$/;
/** Of one hop, or what its readers find the end of a message by. */
const ofTheProxy = new Set([
  "connection",
  "content-length",
  "expect",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const methods = "GET HEAD POST PUT PATCH DELETE CONNECT OPTIONS TRACE".split(" ");

/** In lower case, since rules compare names as bytes. */
export function checkHeaderName(text: string): Complaint {
  if (text === "") return "must not be empty";
  if (!token.test(text)) return "is not a header name";
  return text === text.toLowerCase() ? undefined : "must be in lower case";
}

/** For one that a rule adds: a second one of some would let two readers see two messages. */
export function checkAppendedName(text: string): Complaint {
  if (text === "host") return "cannot be appended: rewrite.authority sets it";
  if (ofTheProxy.has(text)) return "cannot be appended: the proxy says it itself";
  return checkHeaderName(text);
}

export function checkHeaderValue(text: string): Complaint {
  if (text === "") return "must not be empty";
  if (control.test(text)) return "must not have control characters";
  return text.trim() === text ? undefined : "must not begin or end with a space";
}

/** A path, with a query or not. */
export function checkPath(text: string): Complaint {
  return spaceOrControl.test(text) ? "must not have spaces or control characters" : undefined;
}

/** "example.com", "example.com:8080", "[::1]:80" */
export function checkAuthority(text: string): Complaint {
  return text === "" || authority.test(text) ? undefined : "is not a host with or without port";
}

export function checkMethod(text: string): Complaint {
  return methods.includes(text) ? undefined : `is not one of ${methods.join(", ")}`;
}

/** Which content-types are gRPC, and which are not. */
import { describe, expect, test } from "bun:test";
import { MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { CallKind, callKindOf, mediaKind, suffixOf } from "./media-type.ts";
import { answerKind, contentTypeLine } from "./web-bridge.ts";

const { none, grpc, web, webText } = CallKind;

function headOf(fields: string): MessageHead {
  const bytes = Buffer.from(`POST /s/m HTTP/1.1\r\nHost: svc\r\n${fields}\r\n`);
  const head = new MessageHead();
  expect(scanRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  return head;
}

// biome-ignore format: a table reads as a table
const rows: readonly (readonly [type: string, kind: CallKind, suffix: string])[] = [
  ["application/grpc",                        grpc,    ""],
  ["Application/GRPC",                        grpc,    ""],
  ["application/grpc+proto",                  grpc,    "+proto"],
  ["application/grpc+json; charset=utf-8",    grpc,    "+json; charset=utf-8"],
  ["application/grpc;x=y",                    grpc,    ";x=y"],
  ["application/grpc ; x=y",                  grpc,    " ; x=y"],
  ["application/grpc-web",                    web,     ""],
  ["application/grpc-web+proto",              web,     "+proto"],
  ["application/grpc-Web+thrift",             web,     "+thrift"],
  ["application/grpc-web-text",               webText, ""],
  ["application/grpc-web-text+proto",         webText, "+proto"],
  ["application/grpc-web-texts",              none,    ""],
  ["application/grpc-webs",                   none,    ""],
  ["application/grpc-timeout",                none,    ""],
  ["application/grpcs",                       none,    ""],
  ["application/grp",                         none,    ""],
  ["application/xrpc",                        none,    ""],
  ["xapplication/grpc",                       none,    ""],
  ["application/json",                        none,    ""],
  ["text/plain; a=application/grpc",          none,    ""],
  ["g",                                       none,    ""],
];

describe("content-type", () => {
  for (const [type, kind, suffix] of rows)
    test(`${type} is ${Object.keys(CallKind)[kind]}`, () => {
      expect(callKindOf(headOf(`Content-Type: ${type}\r\n`))).toBe(kind);
      const bytes = Buffer.from(`<${type}>`);
      expect(mediaKind(bytes, 1, bytes.length - 1)).toBe(kind);
      if (kind !== none) expect(suffixOf(bytes, 1, bytes.length - 1)).toBe(suffix);
    });

  test("none, or two of them, is not gRPC", () => {
    expect(callKindOf(headOf(""))).toBe(none);
    const two = "Content-Type: application/grpc\r\nContent-Type: text/plain\r\n";
    expect(callKindOf(headOf(two))).toBe(none);
  });

  test("keeps its suffix where gRPC-Web becomes gRPC, and back", () => {
    const line = (kind: CallKind, type: string): string => {
      const bytes = Buffer.from(type);
      return Buffer.from(contentTypeLine(kind, bytes, 0, bytes.length)).toString();
    };
    expect(line(grpc, "application/grpc-web-text+proto")).toBe(
      "content-type: application/grpc+proto\r\n",
    );
    expect(line(web, "application/grpc")).toBe("content-type: application/grpc-web\r\n");
    expect(line(webText, "application/grpc+x; a=b")).toBe(
      "content-type: application/grpc-web-text+x; a=b\r\n",
    );
  });
});

describe("the answer to gRPC-Web has the form", () => {
  // biome-ignore format: a table reads as a table
  const asked: readonly (readonly [request: CallKind, accept: string, answer: CallKind])[] = [
    [web,     "",                                                             web],
    [webText, "",                                                             webText],
    [webText, "Accept: */*\r\n",                                              webText],
    [web,     "Accept: application/grpc-web-text\r\n",                        webText],
    [webText, "Accept: application/grpc-web+proto\r\n",                       web],
    [webText, "Accept: text/html,  application/grpc-web;q=1, application/grpc-web-text\r\n", web],
    [web,     "Accept: a/b\r\nAccept: application/grpc-web-text+proto\r\n",   webText],
    [web,     "Accept: application/grpc\r\n",                                 web],
  ];
  for (const [request, accept, answer] of asked)
    test(`of ${accept.trim() || "the request"} (${Object.keys(CallKind)[request]})`, () =>
      expect(answerKind(request, headOf(accept))).toBe(answer));
});

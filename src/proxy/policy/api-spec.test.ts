/** What specs of APIs say of requests. */
import { expect, test } from "bun:test";
import { defaultHeadLimits, MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import type { HttpApiSpec } from "../../model/http-api-spec.ts";
import { serviceNameOf } from "../cluster/service-name.ts";
import { ApiSpecs } from "./api-spec.ts";
import { ExchangeFacts, HeadScratch } from "./exchange-facts.ts";

const text = (value: string) => ({ type: "STRING", value }) as const;
const pets: HttpApiSpec = {
  attributes: { "api.service": text("pets"), "api.version": text("1.0") },
  patterns: [
    {
      method: "GET",
      path: { by: "template", template: "/pets/{id}" },
      attributes: { "api.operation": text("getPet"), "api.version": text("1.1") },
    },
    {
      method: "POST",
      path: { by: "template", template: "/pets" },
      attributes: { "api.operation": text("addPet"), weight: { type: "INT64", value: 5 } },
    },
    {
      method: "GET",
      path: { by: "template", template: "/files/**" },
      attributes: { "api.operation": text("files") },
    },
    {
      method: "GET",
      path: { by: "regex", pattern: "/old/[0-9]+" },
      attributes: { "api.operation": text("old") },
    },
  ],
  apiKeys: [],
};
const keyed: HttpApiSpec = {
  attributes: { "api.service": text("keyed") },
  patterns: [],
  apiKeys: [
    { in: "cookie", name: "token" },
    { in: "header", name: "x-token" },
  ],
};
const specs = new ApiSpecs([
  { name: "pets", services: ["pets.default.svc.cluster.local"], spec: pets },
  { name: "keyed", services: ["*"], spec: keyed },
]);

function ask(line: string, fields = "", host = "pets"): (name: string) => unknown {
  const bytes = new TextEncoder().encode(`${line} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
  const head = new MessageHead();
  expect(scanRequestHead(bytes, 0, bytes.length, head)).toBeGreaterThan(0);
  const facts = new ExchangeFacts(new HeadScratch(defaultHeadLimits));
  facts.requestHead = head;
  facts.service = serviceNameOf(`${host}.default.svc.cluster.local`);
  return (name) => specs.readers.get(name)?.[1](facts);
}

test.each<[line: string, operation: string | undefined, version: string]>([
  ["GET /pets/7?x=1", "getPet", "1.1"],
  ["GET /pets/7/toys", undefined, "1.0"],
  ["GET /pets/", undefined, "1.0"],
  ["PUT /pets/7", undefined, "1.0"],
  ["POST /pets", "addPet", "1.0"],
  ["GET /files/a/b/c", "files", "1.0"],
  ["GET /files/", "files", "1.0"],
  ["GET /file/a", undefined, "1.0"],
  ["GET /old/12", "old", "1.0"],
  ["GET /old/12/x", undefined, "1.0"],
])("%s is %s of %s", (line, operation, version) => {
  const read = ask(line);
  expect([read("api.operation"), read("api.version"), read("api.service")]).toEqual([
    operation,
    version,
    "pets",
  ]);
});

test("constants have the types that they were written with", () => {
  expect(specs.readers.get("weight")?.[0]).toBe("INT64");
  expect(ask("POST /pets")("weight")).toBe(5);
  expect(ask("GET /pets/7")("weight")).toBeUndefined();
});

test.each<[line: string, fields: string, key: string | undefined]>([
  ["GET /", "", undefined],
  ["GET /?key=a&api_key=b", "x-api-key: c\r\n", "a"],
  ["GET /?api_key=b", "x-api-key: c\r\n", "b"],
  ["GET /", "X-API-Key: c\r\n", "c"],
  ["GET /", "cookie: a=1; token=t; b=2\r\n", "t"],
  ["GET /", "x-token: h\r\n", "h"],
])("the key of %s is where the spec says", (line, fields, key) => {
  expect(ask(line, fields)("request.api_key")).toBe(key);
});

test("a service without a spec of its own has those for all", () => {
  const read = ask("GET /pets/7?key=a", "", "other");
  expect([read("api.service"), read("api.operation"), read("request.api_key")]).toEqual([
    "keyed",
    undefined,
    undefined,
  ]);
  expect(new ApiSpecs([]).readers.size).toBe(0);
});

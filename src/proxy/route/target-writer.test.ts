/** What the upstream is asked for after a rewrite, and where a redirect points. */
import { describe, expect, test } from "bun:test";
import { head, published } from "../../testing/snapshot-sample.ts";
import { TargetWriter } from "./target-writer.ts";

const writer = new TargetWriter(200);

function written(length: number): string | undefined {
  return length < 0 ? undefined : Buffer.from(writer.out.subarray(0, length)).toString("latin1");
}

function route(json: Readonly<Record<string, string | object>>) {
  const snapshot = published({
    clusters: [{ name: "c" }],
    virtualHosts: [{ name: "h", domains: ["*"], routes: [JSON.parse(JSON.stringify(json))] }],
  });
  return snapshot.virtualHosts[0]!.routes[0]!;
}

describe("a rewrite", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [path: object, uri: string, target: string, result: string][] = [
    [{ prefix: "/old" },        "/new",     "/old/a?q=1", "/new/a?q=1"],
    [{ prefix: "/old" },        "/new",     "/old",       "/new"],
    [{ prefix: "/old" },        "/new",     "/older",     "/newer"],
    [{ prefix: "/old/" },       "/",        "/old/a",     "/a"],
    [{ prefix: "/old" },        "/",        "/old/a",     "/a"],
    [{ prefix: "/old" },        "/",        "/old",       "/"],
    [{ prefix: "/" },           "/v1/",     "/a",         "/v1/a"],
    [{ prefix: "/" },           "/v1",      "/a",         "/v1/a"],
    [{ prefix: "/" },           "/v1",      "/",          "/v1"],
    [{ prefix: "/" },           "/v1/",     "/",          "/v1/"],
    [{ prefix: "/" },           "/",        "/a",         "/a"],
    [{ segmentPrefix: "/" },    "/v1",      "/a",         "/v1/a"],
    [{ segmentPrefix: "/" },    "/v1",      "/",          "/v1"],
    [{ prefix: "/old" },        "new",      "/old/a",     "/new/a"],
    [{ segmentPrefix: "/old" }, "/new",     "/old/a",     "/new/a"],
    [{ segmentPrefix: "/old/" },"/",        "/old/a?q",   "/a?q"],
    [{ exact: "/old" },         "/new",     "/old?q=1",   "/new?q=1"],
    [{ exact: "/old" },         "/new?v=1", "/old?q=1",   "/new?v=1&q=1"],
    [{ regex: "/o.*" },         "/new",     "/old/a",     "/new"],
    [{ prefix: "/OLD", ignoreCase: true }, "/new", "/old/a", "/new/a"],
  ];
  for (const [path, uri, target, result] of rows)
    test(`of ${JSON.stringify(path)} by ${uri} makes ${result} of ${target}`, () => {
      const { rewrite } = route({
        match: { path },
        rewrite: { uri },
        forward: { clusters: [{ cluster: "c" }] },
      });
      expect(written(writer.target(rewrite!, head(`GET ${target}`)))).toBe(result);
    });

  test("without a path match replaces the whole path", () => {
    const { rewrite } = route({
      rewrite: { uri: "/x" },
      forward: { clusters: [{ cluster: "c" }] },
    });
    expect(written(writer.target(rewrite!, head("GET /a/b?q")))).toBe("/x?q");
  });

  test("of the authority alone leaves path and query", () => {
    const { rewrite } = route({
      rewrite: { authority: "other:81" },
      forward: { clusters: [{ cluster: "c" }] },
    });
    expect(written(writer.target(rewrite!, head("GET http://reviews?q")))).toBe("/?q");
    expect(Buffer.from(rewrite!.authority!).toString()).toBe("other:81");
  });

  test("that would be too long is refused", () => {
    const { rewrite } = route({
      rewrite: { uri: "/x" },
      forward: { clusters: [{ cluster: "c" }] },
    });
    expect(writer.target(rewrite!, head(`GET /?${"q".repeat(198)}`))).toBe(-1);
    const fits = head(`GET /?${"q".repeat(197)}`);
    expect(written(writer.target(rewrite!, fits))).toBe(`/x?${"q".repeat(197)}`);
  });
});

describe("a redirect", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [redirect: object, line: string, location: string][] = [
    [{ uri: "/new" },                          "GET /old",      "http://reviews/new"],
    [{ uri: "/new" },                          "GET /old?q=1",  "http://reviews/new?q=1"],
    [{ uri: "/new?v=1" },                      "GET /old?q=1",  "http://reviews/new?v=1"],
    [{ authority: "other" },                   "GET /old?q=1",  "http://other/old?q=1"],
    [{ authority: "other:81", uri: "/new" },   "GET /old",      "http://other:81/new"],
    [{ authority: "other" },                   "GET http://reviews",  "http://other/"],
    [{ authority: "other" },                   "GET https://reviews/a", "https://other/a"],
  ];
  for (const [redirect, line, location] of rows)
    test(`${JSON.stringify(redirect)} sends ${line} to ${location}`, () => {
      const { action } = route({ redirect: { code: 302, ...redirect } });
      if (action.at !== "redirect") throw new Error("it is a redirect");
      expect(action.redirect.status).toBe(302);
      expect(written(writer.location(action.redirect, head(line), false))).toBe(location);
    });
});

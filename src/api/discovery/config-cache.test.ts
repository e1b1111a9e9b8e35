/** The last good configuration, on disk. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../gen/mesh/v1/proxy_config_pb.ts";
import { ConfigCache } from "./config-cache.ts";

const directory = mkdtempSync(join(tmpdir(), "config-cache-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const config = (version: string) =>
  create(ProxyConfigSchema, { version, virtualHosts: [{ name: "a", domains: ["a"] }] });

test("what was stored is there for the next start, and for this node only", async () => {
  await new ConfigCache(directory, "reviews.default/9080").store(config("v1"));
  expect((await new ConfigCache(directory, "reviews.default/9080").load())?.version).toBe("v1");
  expect(await new ConfigCache(directory, "ratings.default/9080").load()).toBeUndefined();
});

test("versions stored in haste end with the last one and leave no other file", async () => {
  const own = join(directory, "haste");
  const cache = new ConfigCache(own, "a");
  await Promise.all(Array.from({ length: 20 }, (_, i) => cache.store(config(`v${i}`))));
  expect((await cache.load())?.version).toBe("v19");
  expect(readdirSync(own)).toEqual(["a.config"]);
});

test("a file cut at any byte, or with a byte changed, counts as none", async () => {
  const cache = new ConfigCache(directory, "damaged");
  await cache.store(config("v1"));
  const whole = readFileSync(cache.path);
  for (let at = 0; at < whole.length; at++) {
    writeFileSync(cache.path, whole.subarray(0, at));
    expect(await cache.load()).toBeUndefined();
    const changed = Buffer.from(whole);
    changed[at]! ^= 1;
    writeFileSync(cache.path, changed);
    expect(await cache.load()).toBeUndefined();
  }
});

test("a directory that cannot be made is a rejection; the next store is tried again", async () => {
  const file = join(directory, "in-the-way");
  writeFileSync(file, "");
  const cache = new ConfigCache(join(file, "state"), "a");
  expect(cache.store(config("v1"))).rejects.toThrow();
  rmSync(file);
  await cache.store(config("v2"));
  expect((await cache.load())?.version).toBe("v2");
});

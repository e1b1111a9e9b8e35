/** Which requests a browser makes for somebody else's page. */
import { expect, test } from "bun:test";
import { isForeignPage } from "./foreign-page.ts";

const cases: readonly (readonly [foreign: boolean, headers: Readonly<Record<string, string>>])[] = [
  [false, {}],
  [false, { host: "127.0.0.1:15000" }],
  [false, { "sec-fetch-site": "same-origin", host: "127.0.0.1:15000" }],
  [false, { "sec-fetch-site": "none" }],
  [true, { "sec-fetch-site": "cross-site" }],
  [true, { "sec-fetch-site": "same-site" }],
  [true, { "sec-fetch-site": "" }],
  [true, { "sec-fetch-site": "same-origin, cross-site" }],
  [false, { origin: "http://127.0.0.1:15000", host: "127.0.0.1:15000" }],
  [true, { origin: "http://127.0.0.1:8080", host: "127.0.0.1:15000" }],
  [true, { origin: "https://127.0.0.1:15000", host: "127.0.0.1:15000" }],
  [true, { origin: "null", host: "127.0.0.1:15000" }],
  [true, { origin: "", host: "127.0.0.1:15000" }],
  [true, { origin: "http://", host: "127.0.0.1:15000" }],
  [true, { origin: "http://evil.example", "sec-fetch-site": "same-origin", host: "a" }],
];

test.each(cases)("foreign: %p, with %j", (foreign, headers) => {
  expect(isForeignPage((name) => headers[name], "http")).toBe(foreign);
});

/**
 * A person with a browser: the pages of `mesh ctl demo`, and a page with a WebSocket in the mesh.
 * Debian: chromium.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { type DemoReady, startDemo } from "./demo.ts";
import { type Meeting, startMeeting } from "./mesh.ts";
import { buildFixtures, installed } from "./peer.ts";
import { ctl, Stage, until } from "./process.ts";

const { missing, skipped } = installed("chromium", "node");
const WAIT_MS = 15_000;
/** Root may use it only so; the rest keeps it from calling home. */
const flags = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update"],
];
const stage = new Stage();
const demos: Bun.Subprocess[] = [];
const browsers: Browser[] = [];
let ready: DemoReady;
let meeting: Meeting;

beforeAll(async () => {
  if (missing !== "") return;
  await buildFixtures(stage, "websocket-server");
  const command = ["node", join(stage.directory, "websocket-server.mjs")];
  const demo = startDemo((child) => demos.push(child));
  meeting = await startMeeting(stage, [{ service: "chat", protocol: "http", command }]);
  ready = (await demo).ready;
}, 90_000);

afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  for (const child of demos) {
    child.kill("SIGINT");
    await child.exited;
  }
  await stage.close();
});

interface Visit {
  readonly page: Page;
  /** What the console said in red, and what was not loaded. */
  readonly faults: readonly string[];
}

async function open(
  extra: readonly string[] = [],
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const executablePath = Bun.which("chromium") ?? "";
  const browser = await chromium.launch({ executablePath, args: [...flags, ...extra] });
  browsers.push(browser);
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(WAIT_MS);
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  page.on("requestfailed", (request) => faults.push(request.url()));
  page.on("response", (response) => {
    if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
  });
  return { page, faults };
}

test.skipIf(skipped)(
  "the product page shows the book, its details and its reviews",
  async () => {
    expect(missing).toBe("");
    const { page, faults } = await open();
    for (let i = 0; i < 6; i++) {
      await page.goto(ready.page);
      expect(await page.textContent("h1")).toBe("The Comedy of Errors");
      expect(await page.locator("article h2").allTextContents()).toEqual(["Details", "Reviews"]);
      expect(await page.textContent("body")).toContain("Reviewer1");
    }
    expect(faults).toEqual([]);
  },
  60_000,
);

test.skipIf(skipped)(
  "the dashboard lists what runs, and shows a rule as soon as it is applied",
  async () => {
    expect(missing).toBe("");
    const { page, faults } = await open();
    await page.goto(ready.dashboard);
    await page.locator("#state[data-is=live]").waitFor();
    const reviews = page.locator("tr", { hasText: "reviews.default.svc.cluster.local" });
    expect(await reviews.first().textContent()).toContain("3 of 3 healthy");
    await page.click("#to-proxies");
    await page.locator(".badge.good").first().waitFor();
    const proxies = await page.locator("tbody tr").count();
    expect(proxies).toBeGreaterThanOrEqual(7);
    await page.fill("#filter", "reviews");
    expect(await page.locator("tbody tr").count()).toBe(3);
    await page.fill("#filter", "");
    await page.click("#to-graph");
    await until("traffic in the graph", async () => {
      await (await fetch(ready.page)).text();
      return (await page.locator("svg text", { hasText: "reviews" }).count()) > 0;
    });
    await page.click("#to-rules");
    const rule = page.locator("tr", { hasText: "reviews-test-user" });
    expect(await rule.count()).toBe(0);
    const file = join(ready.rules, "test-user-v2.yaml");
    expect((await ctl("apply", "-f", file, "--manager", ready.manager)).err).toBe("");
    await rule.first().waitFor();
    expect(faults).toEqual([]);
  },
  60_000,
);

const ways: readonly (readonly [string, (outbound: number) => readonly string[]])[] = [
  ["as its proxy", (port) => [`--proxy-server=127.0.0.1:${port}`]],
  ["by the service's name", (port) => [`--host-resolver-rules=MAP chat 127.0.0.1:${port}`]],
];

test.skipIf(skipped).each([...ways])(
  "a page and its WebSocket through sidecars, found %s",
  async (_how, flagsFor) => {
    expect(missing).toBe("");
    const { page, faults } = await open(flagsFor(meeting.caller.outbound));
    await page.goto("http://chat:8000/");
    await page.locator("#said", { hasText: "hello from a page" }).waitFor();
    await page.waitForFunction(() => document.title !== "echo");
    expect(await page.title()).toBe("closed 4001 enough");
    expect(faults).toEqual([]);
  },
  60_000,
);

/** What a visitor of Bookinfo sees, and what its services tell each other. */
import { expect, test } from "bun:test";
import { detailsService, ratingsService, reviewsService } from "./bookinfo.ts";
import { headersToPassOn } from "./bookinfo-call.ts";
import { serveDenyList } from "./deny-list.ts";
import { edgeService } from "./edge.ts";
import { productPageService } from "./product-page.ts";
import { escapeHtml, type PageContent, renderPage } from "./product-page-html.ts";

const whole: PageContent = {
  user: "",
  version: "v1",
  details: {
    at: "ok",
    tookMs: 1,
    body: await (await detailsService("v1")(new Request("http://details:9080/details/0"))).json(),
  },
  reviews: {
    at: "ok",
    tookMs: 2,
    body: {
      id: 0,
      version: "v3",
      reviews: [{ reviewer: "R", text: "Good", rating: { stars: 4, color: "red" } }],
    },
  },
};

test("a page with details and red stars", () => {
  const html = renderPage(whole);
  expect(html).toContain("<h1>The Comedy of Errors</h1>");
  expect(html).toContain('class="stars red" aria-label="4 of 5 stars">★★★★<i>★</i>');
  expect(html).toContain("Log in");
});

test("what did not come is said, with the mesh's reason", () => {
  const html = renderPage({
    ...whole,
    user: "test-user",
    details: { at: "failed", reason: "503 circuit-breaker-open", tookMs: 1 },
  });
  expect(html).toContain("Details are unavailable (503 circuit-breaker-open)");
  expect(html).toContain("test-user");
  expect(html).toContain("Log out");
});

test("ratings that did not come cost only the stars", () => {
  const reviews = [{ reviewer: "R", text: "Good", rating: { error: "500 fault-abort" } }];
  const body = { id: 0, version: "v2", reviews };
  const html = renderPage({ ...whole, reviews: { at: "ok", tookMs: 1, body } });
  expect(html).toContain("Ratings are unavailable (500 fault-abort)");
  expect(html).toContain("Good");
});

test("what came from elsewhere cannot become markup", () => {
  expect(escapeHtml(`<b a="1">'&`)).toBe("&#60;b a=&#34;1&#34;&#62;&#39;&#38;");
  expect(renderPage({ ...whole, user: "<script>" })).not.toContain("<script>");
});

test("reviews v1 has no ratings and asks nobody", async () => {
  const answer = await reviewsService("v1")(new Request("http://reviews:9080/reviews/7"));
  const body = await answer.json();
  expect(body).toMatchObject({ id: 7, version: "v1" });
  expect(JSON.stringify(body)).not.toContain("rating");
});

test("ratings are by reviewer; other paths are not there", async () => {
  const ratings = ratingsService("v1");
  const answer = await ratings(new Request("http://ratings:9080/ratings/0"));
  expect(await answer.json()).toMatchObject({ ratings: { Reviewer1: 5, Reviewer2: 4 } });
  for (const path of ["/", "/ratings/", "/ratings/x", "/details/0", "/ratings/0/1"])
    expect((await ratings(new Request(`http://ratings:9080${path}`))).status).toBe(404);
});

test("the user and the trace are passed on, and nothing else", () => {
  const headers = headersToPassOn(
    new Headers({
      "end-user": "test-user",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7",
      "x-request-id": "r1",
      cookie: "user=test-user",
      authorization: "secret",
    }),
  );
  expect([...headers.keys()].sort()).toEqual([
    "accept",
    "end-user",
    "traceparent",
    "x-b3-traceid",
    "x-request-id",
  ]);
});

test("logging in sets a cookie, a strange name does not", async () => {
  const page = productPageService("v1");
  const login = (username: string): Promise<Response> =>
    Promise.resolve(
      page(
        new Request("http://localhost/login", {
          method: "POST",
          body: new URLSearchParams({ username }),
        }),
      ),
    );
  const known = await login("test-user");
  expect(known.status).toBe(303);
  expect(known.headers.get("set-cookie")).toStartWith("user=test-user;");
  expect((await login("a; Domain=evil")).headers.get("set-cookie")).toBeNull();
  expect((await login("")).headers.get("set-cookie")).toBeNull();
});

test("the edge passes requests on, and keeps redirects on its own address", async () => {
  const seen: string[] = [];
  const behind = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request): Promise<Response> {
      const { pathname, search, host } = new URL(request.url);
      seen.push(`${request.method} ${pathname}${search} ${request.headers.get("cookie")}`);
      seen.push(await request.text());
      const target = `http://${host}/productpage`;
      return new Response("moved", { status: 302, headers: { location: target, "x-kept": "1" } });
    },
  });
  try {
    const edge = edgeService(`http://127.0.0.1:${behind.port}`);
    const answer = await edge(
      new Request("http://localhost:9080/home?a=1", {
        method: "POST",
        body: "hello",
        headers: { cookie: "user=test-user" },
      }),
    );
    expect(answer.status).toBe(302);
    expect(answer.headers.get("location")).toBe("/productpage");
    expect(answer.headers.get("x-kept")).toBe("1");
    expect(seen).toEqual(["POST /home?a=1 user=test-user", "hello"]);
  } finally {
    await behind.stop(true);
  }
});

test("the list of denied guests is shown, and another put in its place", async () => {
  const list = serveDenyList("mallory\n");
  try {
    expect(await (await fetch(list.url)).text()).toBe("mallory\n");
    expect((await fetch(list.url, { method: "PUT", body: "eve" })).status).toBe(200);
    expect(await (await fetch(list.url)).text()).toBe("eve");
    expect((await fetch(list.url, { method: "DELETE" })).status).toBe(405);
    expect((await fetch(new URL("/", list.url))).status).toBe(404);
  } finally {
    await list.stop();
  }
});

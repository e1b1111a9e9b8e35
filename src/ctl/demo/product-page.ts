/**
 * Bookinfo's product page: asks details and reviews at once, and shows what came and what did not.
 * `x-bookinfo-…` headers say the same to scripts: the version that answered, or "unavailable".
 */
import type { Book, Reviews, Service } from "./bookinfo.ts";
import { type Answer, callService, headersToPassOn } from "./bookinfo-call.ts";
import { renderPage } from "./product-page-html.ts";

const DETAILS_TIMEOUT_MS = 1_500;
const REVIEWS_TIMEOUT_MS = 3_000;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

export function productPageService(version: string): Service {
  return async (request) => {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/":
        return redirect("/productpage");
      case "/productpage":
        return await page(request, version);
      case "/login":
        return await login(request);
      case "/logout":
        return redirect("/productpage", "user=; Path=/; Max-Age=0");
      case "/health":
        return new Response("ok\n");
      default:
        return new Response("no such page\n", { status: 404 });
    }
  };
}

async function page(request: Request, version: string): Promise<Response> {
  const user = userOf(request.headers.get("cookie") ?? "");
  const headers = headersToPassOn(request.headers);
  if (user !== "") headers.set("end-user", user);
  const [details, reviews] = await Promise.all([
    callService<Book>("http://details:9080/details/0", { timeoutMs: DETAILS_TIMEOUT_MS, headers }),
    callService<Reviews>("http://reviews:9080/reviews/0", {
      timeoutMs: REVIEWS_TIMEOUT_MS,
      headers,
    }),
  ]);
  return new Response(renderPage({ user, version, details, reviews }), {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "x-bookinfo-details": versionText(details),
      "x-bookinfo-reviews": versionText(reviews),
      "x-bookinfo-ratings": ratingsText(reviews),
    },
  });
}

async function login(request: Request): Promise<Response> {
  if (request.method !== "POST") return redirect("/productpage");
  const body = new URLSearchParams(await request.text());
  const name = body.get("username") ?? "";
  if (!NAME.test(name)) return redirect("/productpage");
  return redirect("/productpage", `user=${name}; Path=/; HttpOnly; SameSite=Lax`);
}

/** There is no password: anybody may be anybody in a demo. */
function userOf(cookie: string): string {
  const name = /(?:^|;\s*)user=([^;]*)/.exec(cookie)?.[1] ?? "";
  return NAME.test(name) ? name : "";
}

function versionText(answer: Answer<{ readonly version: string }>): string {
  return answer.at === "ok" ? answer.body.version : "unavailable";
}

function ratingsText(answer: Answer<Reviews>): string {
  const rating = answer.at === "ok" ? answer.body.reviews[0]?.rating : undefined;
  if (rating === undefined) return "none";
  return "error" in rating ? "unavailable" : rating.color;
}

function redirect(location: string, cookie?: string): Response {
  const headers = new Headers({ location });
  if (cookie !== undefined) headers.set("set-cookie", cookie);
  return new Response(null, { status: 303, headers });
}

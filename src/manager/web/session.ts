/**
 * Who may see the dashboard and REST: whoever reads by the API. A browser shows an access token
 * once and gets it back as a cookie, which is good for reading only, here only, and not for
 * requests that another site causes.
 */
import type { Context, Hono, MiddlewareHandler } from "hono";
import { isForeignPage } from "../../api/foreign-page.ts";
import { type Caller, hasRole } from "../../api/principal.ts";
import type { Access } from "../access/access.ts";
import { SESSION_COOKIE } from "../access/authenticate.ts";
import { loginPage } from "./login-page.tsx";

/** What the app knows of a request besides itself. */
export interface WebBindings {
  readonly Bindings: { readonly caller: Caller };
}

export type WebContext = Context<WebBindings>;

/** For everybody: they say nothing of the mesh, or ask who calls. */
const OPEN = new Set(["/healthz", "/dashboard.css", "/login.js", "/login", "/logout"]);
const SESSION_SECONDS = 12 * 60 * 60;

/** In front of every page. Without `access` all may see all. */
export function readersOnly(access: Access | undefined): MiddlewareHandler<WebBindings> {
  const login = loginPage();
  return async (context, next) => {
    const { caller } = context.env;
    const { path } = context.req;
    if (access === undefined || OPEN.has(path) || hasRole(caller.principal, "viewer"))
      return await next();
    // Whoever opens the dashboard for the first time has done nothing wrong.
    if (path === "/") return context.html(login, 401);
    access.refuse(caller, `${context.req.method} ${path}`, "log in to see this");
    context.header("www-authenticate", "Bearer");
    const status = caller.principal.kind === "anonymous" ? 401 : 403;
    return context.text("log in to see this\n", status);
  };
}

/** For what goes on after its answer has begun: whether a new request would still be let in. */
export function mayStillRead(access: Access | undefined, { principal, again }: Caller): boolean {
  return access === undefined || hasRole(again?.() ?? principal, "viewer");
}

export function addSession(app: Hono<WebBindings>, access: Access | undefined): void {
  app.get("/login", (context) => context.html(loginPage()));
  app.post("/login", (context) => {
    const { caller } = context.env;
    const token = /^Bearer +([!-~]+)$/i.exec(context.req.header("authorization") ?? "")?.[1];
    const { principal } = caller;
    if (token === undefined || principal.kind !== "person") {
      access?.refuse(caller, "POST /login", "no access token in force");
      return context.text("no access token in force\n", 401);
    }
    context.header("set-cookie", cookie(context, token, SESSION_SECONDS));
    return context.body(null, 204);
  });
  app.post("/logout", (context) => {
    context.header("set-cookie", cookie(context, "", 0));
    return context.body(null, 204);
  });
}

/** What a page of somebody else made a browser do. */
export function isForeign(context: WebContext): boolean {
  return isForeignPage((name) => context.req.header(name), isSecure(context) ? "https" : "http");
}

export function isSecure(context: WebContext): boolean {
  return context.req.url.startsWith("https:");
}

/** Not all browsers take a secure cookie from plaintext, not even from loopback. */
function cookie(context: WebContext, value: string, seconds: number): string {
  const secure = isSecure(context) ? "; Secure" : "";
  const life = `Max-Age=${seconds}; Path=/; HttpOnly; SameSite=Strict${secure}`;
  return `${SESSION_COOKIE}=${value}; ${life}`;
}

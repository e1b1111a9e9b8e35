/** What a page of a proxy's admin port is. */
import type { AdminPage } from "../../api/admin-page.ts";
import type { ProxyView } from "./proxy-view.ts";

export type Page = AdminPage<ProxyView>;

/** All pages of the admin port, in the order of its index. */
import { certificatePage } from "./certificate-page.ts";
import { configPages } from "./config-pages.ts";
import { controlPages } from "./control-pages.ts";
import { denialPage } from "./denial-page.ts";
import type { Page } from "./page.ts";
import { policyPage } from "./policy-page.ts";
import { statePages } from "./state-pages.ts";
import { tapPage } from "./tap-page.ts";

export const pages: readonly Page[] = [
  ...configPages,
  policyPage,
  denialPage,
  certificatePage,
  ...statePages,
  tapPage,
  ...controlPages,
];

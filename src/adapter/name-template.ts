/**
 * Names made of an instance's dimensions, `{{.apiMethod}}-{{.responseCode}}`: the part of Go's
 * templates that names are written with.
 */
import type { Dimensions } from "../policy/template.ts";
import { valueText } from "../policy/value-text.ts";

type Part = { readonly literal: string } | { readonly dimension: string };

export type NameTemplate = readonly Part[];

/** What is wrong with it, in words. */
export function parseNameTemplate(text: string): NameTemplate | string {
  const parts: Part[] = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf("{{", at);
    if (open === -1) {
      parts.push({ literal: text.slice(at) });
      break;
    }
    if (open > at) parts.push({ literal: text.slice(at, open) });
    const close = text.indexOf("}}", open);
    if (close === -1) return 'has "{{" without "}}"';
    const action = text.slice(open + 2, close).trim();
    const [, plain, quoted] = /^(?:\.([A-Za-z_]\w*)|index \. "([^"\\]+)")$/.exec(action) ?? [];
    const dimension = plain ?? quoted;
    if (dimension === undefined)
      return `knows {{.name}} and {{index . "name"}}, and not {{${action.slice(0, 50)}}}`;
    parts.push({ dimension });
    at = close + 2;
  }
  return parts;
}

export function applyNameTemplate(template: NameTemplate, dimensions: Dimensions): string {
  let name = "";
  for (const part of template)
    name += "literal" in part ? part.literal : valueText(dimensions[part.dimension]);
  return name;
}

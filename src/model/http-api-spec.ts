/** What an API calls its operations, and where its keys are. Spec table: mixer 2.7. */
import type { TypedValue } from "../attribute/value.ts";

/** Constant attributes, as an HTTPAPISpec declares them. */
export type ConstantAttributes = Readonly<Record<string, ConstantAttribute>>;

/** Types that stand for all that are written alike: STRING for a DNS_NAME too. */
export type ConstantAttribute = Exclude<
  TypedValue,
  { readonly type: "EMAIL_ADDRESS" | "URI" | "DNS_NAME" }
>;

export interface HttpApiSpec {
  readonly attributes: ConstantAttributes;
  readonly patterns: readonly {
    readonly method: string;
    readonly path:
      | { readonly by: "template"; readonly template: string }
      | { readonly by: "regex"; readonly pattern: string };
    readonly attributes: ConstantAttributes;
  }[];
  /** Where an API key may be; the first that is there counts. */
  readonly apiKeys: readonly {
    readonly in: "query" | "header" | "cookie";
    readonly name: string;
  }[];
}

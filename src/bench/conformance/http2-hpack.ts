/** Field blocks of several encoders (http2jp/hpack-test-case), decoded story by story. */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { HpackDecoder, Step } from "../../http2/hpack-decoder.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface Story {
  readonly story: string;
  readonly cases: readonly {
    readonly wire: string;
    readonly headers: readonly (readonly [name: string, value: string])[];
    /** The decoder allows so much from this case on. */
    readonly header_table_size?: number;
  }[];
}

const tableBytesAtStart = 4096;
const tableBytesMax = 16384;

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const text = gunzipSync(readFileSync(path)).toString();
  const { encoders } = JSON.parse(text) as { encoders: Record<string, Story[]> };
  for (const [encoder, stories] of Object.entries(encoders)) {
    for (const { story, cases } of stories) {
      const decoder = new HpackDecoder(tableBytesMax);
      decoder.table.bytesMax = tableBytesAtStart;
      decoder.table.resize(tableBytesAtStart);
      for (const [i, { wire, headers, header_table_size: size }] of cases.entries()) {
        if (size !== undefined) decoder.table.bytesMax = size;
        const fields = decodeFields(decoder, new Uint8Array(Buffer.from(wire, "hex")));
        const same = JSON.stringify(fields) === JSON.stringify(headers);
        const why = fields === undefined ? "broken" : `decodes to ${JSON.stringify(fields)}`;
        verdicts.judge(`${encoder} ${story} ${i}`, same ? undefined : why);
      }
    }
  }
  return verdicts.result();
}

/** Names and values; undefined where the block is broken. */
function decodeFields(
  decoder: HpackDecoder,
  block: Uint8Array,
): [name: string, value: string][] | undefined {
  const fields: [name: string, value: string][] = [];
  const text = (from: number, to: number): string =>
    Buffer.from(decoder.out.subarray(from, to)).toString();
  decoder.begin(block, 0, block.length);
  for (;;) {
    const step = decoder.next();
    if (step === Step.end) return fields;
    if (step === Step.broken) return undefined;
    if (step === Step.room) decoder.out = new Uint8Array(decoder.needed);
    else {
      fields.push([text(decoder.at, decoder.nameEnd), text(decoder.valueStart, decoder.valueEnd)]);
    }
  }
}

export const hpackSuites: readonly Suite[] = [{ file: "http/hpack.json.gz", run }];

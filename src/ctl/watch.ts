/**
 * `--watch`: shows again whenever what is shown has changed, until it is interrupted. On a terminal
 * the screen is redrawn; elsewhere each new state is printed below the last.
 */
import type { CommandContext } from "./command.ts";

const INTERVAL_MS = 1_000;

export async function showWatched(
  watch: boolean,
  { io }: CommandContext,
  show: () => Promise<{ readonly text: string; readonly code: number }>,
): Promise<number> {
  let last: string | undefined;
  for (;;) {
    const { text, code } = await show();
    if (text !== last) io.stdout(watch && io.isTty ? `\u001b[H\u001b[2J${text}` : text);
    last = text;
    if (!watch) return code;
    await new Promise<void>((resolve) => io.clock.after(INTERVAL_MS, resolve));
  }
}

/** How a client is told where it is among the pushes that are kept for it. */
import type { Push } from '../contract/commands.ts';

export const CURSOR_ROUTE = 'pith.cursor';

/** @param missed Some before `seq` are no longer kept, and will not come. */
export function cursorPush(seq: number, missed = false): Push {
  return {
    target: null,
    route: CURSOR_ROUTE,
    body: Buffer.from(missed ? `{"seq":${seq},"missed":true}` : `{"seq":${seq}}`),
    delivery: 'must',
    latestKey: '',
    expiresInMs: 0,
    afterReply: false,
  };
}

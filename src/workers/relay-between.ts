/** What a worker has to say to another one goes through the parent. */
import type { RawHandle } from '../transport/raw-handle.ts';
import type { Child } from './child.ts';
import { factsOf } from './of-all.ts';

/** @param isTaken What it says is for the parent's own ends. */
export function relayFrom(
  child: Child,
  children: () => readonly Child[],
  isTaken: (name: string, body: unknown, handle: RawHandle | undefined) => boolean,
): void {
  const { n, channel } = child;
  const otherOf = (to: number | string): Child | undefined =>
    children().find((other) => other !== child && (other.n === to || other.status.gateway === to));
  channel.onTell('pass', ({ to, name, body }, handle) => {
    if (isTaken(name, body, handle)) return;
    const other = otherOf(to);
    if (other === undefined) handle?.close();
    else other.channel.tell('passed', { from: n, name, body }, handle);
  });
  channel.onAsk('workers', () => Promise.resolve(children().map(factsOf)));
  channel.onAsk('sibling', async ({ to, ask, body, waitMs }) => {
    const other = otherOf(to);
    if (other === undefined) throw new Error(`no other worker is ${to}`);
    return other.channel.ask(ask, body as never, waitMs);
  });
}

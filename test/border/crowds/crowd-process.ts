/** The process that a crowd is in, so that what it costs to be many falls on nobody who plays. */
import { Crowd, type CrowdPorts, KINDS } from './kinds.ts';

export type Told =
  | {
      readonly tell: 'come';
      readonly kind: number;
      readonly count: number;
      readonly ports: CrowdPorts;
      readonly perSecond: number;
    }
  | { readonly tell: 'look' }
  | { readonly tell: 'listen' }
  | { readonly tell: 'leave' };
/** How many there are, and how many have seen their end. */
export type Said = { readonly size: number; readonly ended: number };

let crowd: Crowd | null = null;

async function obey(told: Told): Promise<void> {
  if (told.tell === 'come') {
    const { count, kind, perSecond, ports } = told;
    crowd = await Crowd.come(KINDS[kind]!, count, ports, perSecond);
  } else if (told.tell === 'listen') crowd?.listen();
  else if (told.tell === 'leave') crowd?.[Symbol.dispose]();
  process.send!({ size: crowd?.size ?? 0, ended: crowd?.ended ?? 0 } satisfies Said);
}

process.on('message', (told: Told) => {
  void obey(told).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
// Started by whoever counts, and never longer there than it.
process.on('disconnect', () => process.exit(0));

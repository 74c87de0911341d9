/** `Profile`: where the gateway's process spends its time, or its memory. */
import { type Clock, nextTurn, within } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { ProfileKind } from '../telemetry/profiler.ts';
import { pieceMessage } from './answers.ts';
import type { OwnGateway } from './gateway-methods.ts';
import type { MakeMethods, Methods } from './method.ts';

/** How long a profile may take, in milliseconds; and how long it does unless the caller says. */
const PROFILE_MS = { min: 1_000, max: 60_000, usual: 10_000 } as const;
/** Bytes of data in one answer: clients of gRPC take 4 MiB by default. */
const PIECE_BYTES = 262_144;
/** How often the caller is told at least that it goes on. */
const TELL_EVERY_MS = 10_000;

const ENDINGS = { cpu: 'cpuprofile', heap: 'heapprofile' } as const satisfies Record<
  ProfileKind,
  string
>;

export type ProfileParts = {
  readonly own: Pick<OwnGateway, 'info' | 'profilerOf' | 'workers'>;
  readonly clock: Clock;
};

export function profileMethods({ own, clock }: ProfileParts, { held }: MakeMethods): Methods {
  return {
    Profile: held('Profile', async function* ({ kind = '', durationMs, worker = 0 }, _call, gone) {
      const gateway = await gatewayOf(worker, own);
      const profiler = own.profilerOf(gateway === own.info().gateway ? 0 : worker);
      const known = kindOf(kind);
      const ms = lengthOf(durationMs);
      if (profiler.isBusy)
        throw new GatewayError('OVERLOADED', 'a profile is being taken already; try again');
      const leaving = new Promise<void>((resolve) => {
        gone.addEventListener('abort', () => {
          resolve();
        });
      });
      const taken = profiler.take(known, () => within(clock, ms, leaving, undefined));
      // The caller may leave before anybody looks at it.
      taken.catch(() => {});
      const time = new Date(clock.wallNow()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
      yield pieceMessage(`${gateway}-${time}Z.${ENDINGS[known]}`, null);
      let profile: string | null = null;
      while (profile === null) {
        profile = await within<string | null>(clock, TELL_EVERY_MS, taken, null);
        if (profile === null) yield pieceMessage('', null);
      }
      const bytes = Buffer.from(profile);
      for (let at = 0; at < bytes.length && !gone.aborted; at += PIECE_BYTES) {
        yield pieceMessage('', bytes.subarray(at, at + PIECE_BYTES));
        await nextTurn(clock);
      }
    }),
  };
}

function kindOf(kind: string): ProfileKind {
  if (kind === '' || kind === 'cpu') return 'cpu';
  if (kind === 'heap') return 'heap';
  throw new GatewayError('BAD_ARGUMENT', 'kind is not cpu or heap');
}

function lengthOf(ms: number = PROFILE_MS.usual): number {
  if (ms >= PROFILE_MS.min && ms <= PROFILE_MS.max) return ms;
  throw new GatewayError('BAD_ARGUMENT', 'duration is not 1s to 60s');
}

/** @param worker 0: the one that answers. */
async function gatewayOf(worker: number, own: ProfileParts['own']): Promise<string> {
  if (worker === 0) return own.info().gateway;
  const workers = await own.workers();
  const found = workers.find((one) => one.worker === worker);
  if (found !== undefined && found.gateway !== '') return found.gateway;
  const known = workers.map((one) => one.worker).join(', ');
  const why =
    known === ''
      ? 'this gateway has no workers: leave worker out'
      : `worker is not one of ${known}`;
  throw new GatewayError('BAD_ARGUMENT', why);
}

/** Makes the door for backends that dial in. */
import { Attach } from '../control/attach.ts';
import { DialInUpstream } from '../upstream/dial-in/dial-in-upstream.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { UpstreamParts } from './upstreams.ts';

/** The door for backends that dial in, to those of `upstreams` that are for them. */
export function makeAttach(
  upstreams: readonly Upstream[],
  parts: Pick<UpstreamParts, 'clock' | 'wheel' | 'log' | 'convertBytesMax'>,
): Attach {
  const { clock, wheel, log, convertBytesMax } = parts;
  const throttle = new LogThrottle(clock);
  const backends = upstreams.filter((upstream) => upstream instanceof DialInUpstream);
  return new Attach(backends, wheel, {
    convertBytesMax,
    onRefusedFrame: (address, kind, why) => {
      const left = throttle.allow(`refused ${kind}`);
      if (left !== null) log.warn({ address, why, ...left }, `${kind} refused`);
    },
    onRefused: (address, backend, why) => {
      const left = throttle.allow('refused');
      if (left !== null) log.warn({ address, backend, why, ...left }, 'attach refused');
    },
  });
}

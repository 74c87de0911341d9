/** What a Link is made of, for backends that ask for nothing. */
import type { TimerWheel } from '../../src/timer-wheel.ts';
import type { BackendReport } from '../../src/upstream/backend-report.ts';
import type { LinkParts } from '../../src/upstream/link/link-transport.ts';

export function linkParts(wheel: TimerWheel, report: BackendReport): LinkParts {
  const commands = {
    convertBytesMax: 1_048_576,
    report,
    push: () => {},
    pushCounted: () => Promise.reject(new Error('no pushes here')),
    verb: () => Promise.reject(new Error('no verbs here')),
  };
  return { gatewayId: 'g', version: '1', wheel, commands };
}

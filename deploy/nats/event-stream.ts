/**
 * Makes, or changes, the JetStream stream that keeps the events of gateways, for those who must not miss one. Not the
 * signs of life, which come every second. Environment: as make-stream.ts, and MAX_AGE (24h).
 */
import { makeStream, nanoseconds, prefix } from './make-stream.ts';

/** Within this time JetStream takes an event that is published again for the same. */
const REPEATS_NS = 120 * 1e9;

await makeStream('event-stream', () => {
  const gateway = ['ready', 'draining', 'stopped', 'lost', 'returned', 'gap'];
  return {
    name: 'PITH_EVENTS',
    subjects: [
      `${prefix()}.event.session.*`,
      ...gateway.map((name) => `${prefix()}.event.gateway.${name}`),
    ],
    max_age: nanoseconds('MAX_AGE', '24h'),
    duplicate_window: REPEATS_NS,
  };
});

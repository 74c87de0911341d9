/**
 * Makes, or changes, the JetStream stream of kept pushes, from which gateways with `sessions.resume.replay` send a
 * client what it has missed. Environment: as make-stream.ts, MAX_AGE (1h), which must not be less than
 * `sessions.resume.window`, and MAX_PER_USER (100), the pushes that are kept of one user.
 */
import { makeStream, nanoseconds, prefix, wholeNumber } from './make-stream.ts';

await makeStream('keep-stream', () => ({
  name: 'PITH_KEEP',
  subjects: [`${prefix()}.keep.user.*`],
  max_msgs_per_subject: wholeNumber('MAX_PER_USER', 100),
  max_age: nanoseconds('MAX_AGE', '1h'),
  // A push that is published again within this time, with the same Nats-Msg-Id, is kept once.
  duplicate_window: Math.min(120 * 1e9, nanoseconds('MAX_AGE', '1h')),
  allow_direct: true,
  // No backend may publish there, so what gateways take for kept is.
  republish: {
    src: `${prefix()}.keep.user.*`,
    dest: `${prefix()}.user.{{wildcard(1)}}.kept`,
  },
}));

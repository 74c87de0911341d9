/** What a wrong backend sends on NATS. */
import type { Ledger } from '../ledger.ts';
import type { Way } from '../records.ts';
import { NOBODY } from './courier.ts';
import type { Mischief } from './wrong.ts';

/** Header blocks of answers, none of which can be read. */
export const GARBAGE: readonly Buffer[] = [
  'NATS/1.0\r\nPith-Set: {"a":\r\n\r\n',
  'NATS/1.0\r\nPith-Set: [1]\r\n\r\n',
  'NATS/1.0\r\nPith-Join: 5\r\n\r\n',
  'NATS/1.0\r\nPith-Leave: {"a":1}\r\n\r\n',
  'NATS/1.0\r\nPith-Bind: garbage\r\nPith-If-Version: x\r\n\r\n',
  'NATX/1.0\r\nPith-Bind: garbage\r\n\r\n',
  'NATS/1.0\r\nPith-Bind: garbage',
  'NATS/1.0\r\nPith Bind: garbage\r\n\r\n',
].map((text) => Buffer.from(text, 'latin1'));

/** Answers to Connect that let nobody in. */
export const CONNECT_GARBAGE: readonly Buffer[] = [
  '{"accept":',
  '[]',
  '{}',
  '{"accept":{"patch":{"uid":5}}}',
  '{"accept":{"expires_in":"-1s"}}',
  '{"accept":{},"error":{"code":500}}',
].map((text) => Buffer.from(text));

/** The connection, as far as being strange needs it. */
type Speaker = {
  readonly way: Way;
  publish(subject: string, body: Buffer, lines?: readonly string[], reply?: string): void;
};

/** Says something that nobody asked for. @param sid Of a session that it knows. */
export function beStrange(
  mischief: Mischief,
  speaker: Speaker,
  { sid, ledger }: { sid: string; ledger: Ledger },
): void {
  const say = (subject: string, body = '', lines: readonly string[] = [], to = ''): void => {
    speaker.publish(subject, Buffer.from(body), lines, to);
  };
  const gateway = sid.slice(0, sid.lastIndexOf('.'));
  const nobodys = (): string => {
    const plan = { to: { kind: 'session', name: '' }, counted: false, delivery: 'must' } as const;
    return ledger.pushing(speaker.way, plan, NOBODY).body;
  };
  const session = `pith.session.${NOBODY}`;
  const route = ['Pith-Route', 'onPush'];
  mischief.oneOf<() => void>([
    // Answers that nobody waits for.
    () => { say(`_INBOX.${gateway}.rpc.zzzzzzz`, '{"by":"stray"}', ['Pith-Bind', 'stray']); },
    () => { say(`_INBOX.${gateway}.rpc.-1`, '{"by":"stray"}', ['Pith-Bind', 'stray']); },
    () => { say(`_INBOX.${gateway}.ask.zzzzzzz`, '{"delivered":1}'); },
    // Names that are no names.
    () => { say('pith.session.nobody.push', nobodys(), route); },
    () => { say('pith.user.a.b.push', nobodys(), route, 'strange.1'); },
    () => { say('pith.all.push.twice', nobodys(), route); },
    () => { say('pith.group.g', nobodys(), route); },
    // Unknown verbs, and verbs for sessions that do not exist.
    () => { say(`pith.session.${sid}.explode`, '{}', [], 'strange.2'); },
    () => { say('pith.all.explode', '{}'); },
    () => { say('pith.all.bind', '{"uid":"stray"}'); },
    () => { say(`pith.session.${sid}.get`, '', [], 'strange.3'); },
    () => { say(`pith.session.${sid}.get`, '', [], `_INBOX.${gateway}.rpc.1`); },
    () => { say(`${session}.push`, nobodys(), route, 'strange.4'); },
    () => { say(`${session}.patch`, '{"uid":'); },
    // Without what they need, or with what cannot be read.
    () => { say('pith.all.push', nobodys()); },
    () => { say('pith.all.push', nobodys(), [...route, 'Pith-Delivery', 'never']); },
    () => { say('pith.all.push', nobodys(), [...route, 'Pith-Where', '{"a":']); },
    () => { say('pith.all.push', nobodys(), ['Pith-Route', 'r'.repeat(200)]); },
    () => { speaker.publish(`pith.gateway.${gateway}.push`, Buffer.alloc(40, 0xff)); },
    () => { say(`pith.gateway.${gateway}.push`, ''); },
    () => { say(`pith.gateway.${gateway}.explode`, '{}', [], `_INBOX.${gateway}.rpc.1`); },
  ])(); // prettier-ignore
}

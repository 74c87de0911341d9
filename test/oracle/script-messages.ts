/** The script's second part: requests, notifies, pushes, kicks and frames that are out of order. */
import { data, pack } from '../support/raw.ts';
import {
  FENCE_ID,
  HEARTBEAT,
  notify,
  pushed,
  pushFromClient,
  request,
  route,
  sent,
  type Step,
} from './step.ts';
import type { Transport } from './wire.ts';

const ECHO = route('echo');
const ONE = request(1, ECHO, { n: 1 });
const TWO = request(2, ECHO, { n: 2 });
const BOTH: readonly Transport[] = ['ws', 'tcp'];

/**
 * What the originals' decoders throw at. The connection stays, and nothing is read from it any more: here the
 * heartbeat's timeout ends it soon.
 */
function broken(name: string, ...send: Buffer[]): Step {
  return sent(name, send, { world: 'protobuf' });
}

const IDS = [1, 127, 128, 129, 300, 16_383, 16_384, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 31 - 1];

export const REQUESTS: readonly Step[] = [
  ...IDS.filter((id) => id !== FENCE_ID).map((id) =>
    sent(`a request with id ${id}`, [request(id, ECHO, { id })], { transports: BOTH }),
  ),
  sent('a request with id 0', [request(0, ECHO, { id: 0 })]),
  sent('the id 300 of an old client', [request(Buffer.from([0x82, 0x2c]), ECHO, { id: 300 })]),
  sent('the id 128 of an old client', [request(Buffer.from([0x81, 0x00]), ECHO, { id: 128 })]),
  sent('the id 1 in three bytes', [request(Buffer.from([0x81, 0x80, 0x00]), ECHO, { id: 1 })]),
  sent('two requests in two frames', [request(1, ECHO, { n: 1 }), request(2, ECHO, { n: 2 })]),
  sent('a request without a body', [request(1, ECHO, '')]),
  sent('a request whose body is not JSON', [request(1, ECHO, '{"a":')]),
  sent('a request with spaces in its JSON', [request(1, ECHO, ' { "a" : [ 1 , 2 ] } ')]),
  sent('a request with CJK', [request(1, ECHO, { text: '你好 안녕 こんにちは é' })]),
  sent('a request with an emoji', [request(1, ECHO, { text: '😀' })]),
  sent('a request with an emoji as browsers write it', [
    request(1, ECHO, Buffer.from('{"text":"\u00ed\u00a0\u00bd\u00ed\u00b8\u0080"}', 'latin1')),
  ]),
  sent('a request of 60,000 bytes', [request(1, ECHO, { text: 'x'.repeat(60_000) })]),
  sent('a request with the flag of compression', [Buffer.from(withFlag(request(1, ECHO), 0x10))]),
  sent('a request with flags nobody knows', [Buffer.from(withFlag(request(1, ECHO), 0xe0))]),
  sent('a request in a text frame', [request(1, ECHO, { n: 1 })], { text: true }),
  sent('a notify', [notify(ECHO, { n: 1 })], { transports: BOTH }),
  sent('a notify that is answered', [notify(route('nothing'))]),
  sent('a push from a client', [pushFromClient(ECHO, { n: 1 })]),
  sent('a response from a client', [data(0x04, 0x01, 0x7b, 0x7d)]),
  sent('an answer without a body', [request(1, route('nothing'))]),
];

/** The same package with these bits set in the message's flag. */
function withFlag(bytes: Buffer, bits: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[4]! |= bits;
  return changed;
}

export const ERRORS: readonly Step[] = [
  sent('a handler that fails', [request(1, route('fail'))], { transports: BOTH }),
  sent('a notify whose handler fails', [notify(route('fail'))]),
  sent('a handler that fails with a body', [
    request(1, route('refuse'), { code: 1001, msg: 'full' }),
  ]),
  sent('a method that the handler lacks', [request(1, route('nope'))]),
  sent('a notify of a method that the handler lacks', [notify(route('nope'))]),
  sent('a handler that the server lacks', [request(1, 'connector.otherHandler.echo')]),
  sent('a server type that nobody has', [request(1, 'chat.chatHandler.send')]),
  sent('a notify to a server type that nobody has', [notify('chat.chatHandler.send')]),
  sent('a route of two parts', [request(1, 'connector.echo')]),
  sent('a route of four parts', [request(1, 'connector.entryHandler.echo.more')]),
  sent('a route of one part', [request(1, 'echo')]),
  sent('an empty route', [request(1, '')]),
  sent('a route of dots', [request(1, '..')]),
  sent('a route with a space', [request(1, 'connector.entryHandler.ec ho')]),
  sent('the method constructor', [request(1, route('constructor'))]),
  sent('a notify of the method constructor', [notify(route('constructor'))]),
  sent('a route code where there is no dictionary', [request(1, 2)]),
  sent('a notify with a route code where there is no dictionary', [notify(2)]),
];

export const MALFORMED: readonly Step[] = [
  sent('a message of a kind that there is none of', [data(0x08, 0x01, 0x02)]),
  broken('data without a message', pack(4)),
  broken('a request that ends within its id', data(0x00, 0x81)),
  broken('a request that ends after its id', data(0x00, 0x01)),
  broken('a request whose route is cut off', data(0x00, 0x01, 0x20, 0x61)),
  broken('a notify that ends after its flag', data(0x02)),
  broken('a package in two frames', ONE.subarray(0, 9), ONE.subarray(9)),
];

const CHAT = { route: 'onChat', body: { from: 'ann', text: '你好' } };

export const PUSHES: readonly Step[] = [
  pushed('a push before the response', [request(2, route('pushFirst'), CHAT)], {
    transports: BOTH,
  }),
  pushed('a push after the response', [request(2, route('pushLater'), CHAT)]),
  pushed('three pushes before the response', [request(2, route('pushThree'), CHAT)]),
  pushed('a push by a notify', [notify(route('pushFirst'), CHAT)]),
  pushed('a push with an emoji', [
    request(2, route('pushFirst'), { route: 'onChat', body: { text: '😀' } }),
  ]),
  pushed('a push with a route of 127 bytes', [
    request(2, route('pushFirst'), { route: 'o'.repeat(127), body: {} }),
  ]),
];

const KICK = route('kick');

export const ENDS: readonly Step[] = [
  sent('a kick with a reason', [notify(KICK, { reason: 'bye' })], {
    until: 'end',
    transports: BOTH,
  }),
  sent('a kick with CJK in its reason', [notify(KICK, { reason: '再见' })], { until: 'end' }),
  sent('a kick without a reason', [notify(KICK, {})], { until: 'end', transports: BOTH }),
  sent('a kick by a request', [request(1, KICK, { reason: 'bye' })], { until: 'end' }),
  sent('a kick from a client', [pack(5, '{}')], { until: 'end', transports: BOTH }),
  sent('packet type 0', [pack(0)], { until: 'end', transports: BOTH }),
  sent('packet type 6', [pack(6)], { until: 'end', transports: BOTH }),
  sent('packet type 255', [pack(255)], { until: 'end', transports: BOTH }),
];

export const FRAMES: readonly Step[] = [
  sent('two packages in one frame', [Buffer.concat([ONE, TWO])]),
  sent('three packages in one segment', [HEARTBEAT, ONE, TWO], { transports: ['tcp'] }),
  sent('one byte at a time', [HEARTBEAT, ONE, TWO], { transports: ['tcp'], slowly: true }),
  sent('an empty frame', [Buffer.alloc(0)]),
  sent('an empty text frame', [Buffer.alloc(0)], { text: true }),
  sent('a package and one zero byte in a frame', [Buffer.concat([ONE, Buffer.alloc(1)])]),
];

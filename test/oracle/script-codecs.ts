/** The script's third part: routes as codes of the dictionary, and bodies in pomelo-protobuf. */
import { METHODS } from './game.ts';
import { notify, pushed, request, route, sent, type Step } from './step.ts';

/** Pomelo counts the handlers' methods in the order of their names, from 1; dictionary.json goes on from there. */
const NAMES = Object.keys(METHODS).toSorted();
const ECHO_CODE = NAMES.indexOf('echo') + 1;
const MOVE_CODE = NAMES.indexOf('move') + 1;
const LAST_CODE = NAMES.length + 2;

const CHAT = { route: 'onChat', body: { from: 'ann', text: '你好' } };

export const CODES: readonly Step[] = [
  sent('a request with a route code', [request(1, ECHO_CODE, { n: 1 })], { world: 'both' }),
  sent('a notify with a route code', [notify(ECHO_CODE, { n: 1 })], { world: 'both' }),
  sent('a request with its route in words', [request(1, route('echo'), {})], { world: 'both' }),
  sent('a code that there is none of', [request(1, LAST_CODE + 1)], { world: 'both' }),
  sent('a notify with a code that there is none of', [notify(LAST_CODE + 1)], { world: 'both' }),
  sent('code 0', [request(1, 0)], { world: 'both' }),
  sent('code 65535', [request(1, 0xffff)], { world: 'both' }),
  pushed('a push with a code', [request(2, route('pushFirst'), CHAT)], { world: 'both' }),
  pushed(
    'a push that the dictionary lacks',
    [request(2, route('pushFirst'), { ...CHAT, route: 'onOther' })],
    { world: 'both' },
  ),
  pushed('a push with a code of dictionary.json', [request(2, route('pushFirst'), CHAT)], {
    world: 'dictionary',
  }),
];

/** {"entityId":1001,"path":[{"x":5,"y":10},{"x":300,"y":400}],"speed":1.5,"name":"勇者"} */
const MOVE = Buffer.from(
  '08e907' + '1204080a1014' + '1206' + '08d80410a006' + '1d0000c03f' + '2206e58b87e88085',
  'hex',
);
/** Every field of the route: repeated numbers and strings, a double, a negative int32, a tag of two bytes. */
const MOVE_ALL = Buffer.concat([
  MOVE,
  Buffer.from(
    '28030102ac02' + '320161' + '32026263' + '39000000000000f8bf' + '4005' + '82010408011002',
    'hex',
  ),
]);
/** entityId alone, and with the wire type that browsers write for numbers. */
const BRIEF = Buffer.from('0807', 'hex');
const BRIEF_OF_BROWSER = Buffer.from('0a07', 'hex');

const MOVED = {
  entityId: 7,
  stop: { name: '码头', scores: [1, 1.5] },
  stops: [
    { name: 'a', scores: [] },
    { name: 'b', scores: [-2] },
  ],
  text: 'ok',
};

export const PROTOBUF: readonly Step[] = (['protobuf', 'both'] as const).flatMap((world) => [
  sent('a request and its response in protobuf', [request(1, route('move'), MOVE)], { world }),
  sent('every type of field', [request(1, route('move'), MOVE_ALL)], { world }),
  sent('wire types as browsers write them', [request(1, route('move'), BRIEF_OF_BROWSER)], {
    world,
  }),
  sent('a notify in protobuf', [notify(route('move'), BRIEF)], { world }),
  sent('a request without a required field', [request(1, route('move'), Buffer.alloc(0))], {
    world,
  }),
  sent('a route that has no protos', [request(1, route('echo'), { n: 1 })], { world }),
  sent(
    'an error with a field for its code',
    [request(1, route('refuse'), { code: 1001, msg: 'full' })],
    { world },
  ),
  sent("the server's error with a field for its code", [request(1, route('nope'))], { world }),
  sent('an error without a field for its code', [request(1, route('fail'))], { world }),
  sent(
    'an answer with fields that the protos lack',
    [request(1, route('refuse'), { code: 1, more: 2 })],
    { world },
  ),
  pushed('a push in protobuf', [request(2, route('pushFirst'), { route: 'onMove', body: MOVED })], {
    world,
  }),
  pushed(
    'a push in protobuf with keys in another order',
    [request(2, route('pushFirst'), { route: 'onMove', body: { text: 'ok', entityId: 7 } })],
    { world },
  ),
  pushed(
    'a push without a required field',
    [request(2, route('pushFirst'), { route: 'onMove', body: { text: 'ok' } })],
    { world },
  ),
  pushed('a push that has no protos', [request(2, route('pushFirst'), CHAT)], { world }),
]);

/** Here too the originals stop reading. */
export const BROKEN: readonly Step[] = [
  sent(
    'a field that the protos lack',
    [request(1, route('move'), Buffer.from('08077801', 'hex'))],
    { world: 'protobuf' },
  ),
  sent('a number that is cut off', [request(1, route('move'), Buffer.from('0880', 'hex'))], {
    world: 'protobuf',
  }),
  sent('JSON where protobuf is due', [request(1, route('move'), { entityId: 7 })], {
    world: 'protobuf',
  }),
];

export const CODED: readonly Step[] = [
  sent('a route code and protobuf', [request(1, MOVE_CODE, MOVE)], { world: 'both' }),
];

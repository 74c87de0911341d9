/**
 * Where Pith means to differ from Pomelo 2.2.7 and Pinus 1.7.4, and why. What is not here is a mistake, and so is
 * a row that is no longer true.
 */
import { createHash } from 'node:crypto';

import type { Transcript } from './play.ts';
import type { OriginalName } from './servers.ts';

export type Difference = {
  /** Names of the steps, in every world and over every transport. */
  readonly steps: readonly string[];
  /** Absent: both. */
  readonly original?: OriginalName;
  /** What they say after the lines that are the same; absent: whatever it is. */
  readonly theirs?: Transcript;
  /** What Pith says instead, or how that is made of what they say. */
  readonly ours: Transcript | ((theirs: Transcript) => Transcript);
  readonly why: string;
};

const NO_KNOWN_CLIENT = 'no known client looks at it';

/** Ours in the place of a mere END: the code and the words of the close frame, and why. */
export const ENDS: Readonly<Record<string, string>> = {
  'END 1000 handshake_refused': `the close frame says why; ${NO_KNOWN_CLIENT}`,
  'END 1000 bye': `the close frame has the kick's reason as well; ${NO_KNOWN_CLIENT}`,
  'END 1000 再见': `the close frame has the kick's reason as well; ${NO_KNOWN_CLIENT}`,
  'END 1000 closed': `the close frame says that the backend did it; ${NO_KNOWN_CLIENT}`,
  'END 1002 bad_packet_type': `the close frame says what was wrong; ${NO_KNOWN_CLIENT}`,
  'END 1008 heartbeat_timeout': `the close frame says what was missing; ${NO_KNOWN_CLIENT}`,
};

const FAILED = 'DATA "\\x04\\x01{"code":500}"';
const NO_ROUTE = 'DATA "\\x04\\x01{"code":404,"reason":"NO_ROUTE","msg":"no such route"}"';
const CUT_OFF =
  'DATA "\\x04\\x01{"code":400,"reason":"BAD_ROUTE","msg":"the message is truncated"}"';
const NO_CODE = 'DATA "\\x04\\x01{"code":400,"reason":"BAD_ROUTE","msg":"unknown route code"}"';
const BAD_ROUTE =
  'DATA "\\x04\\x01{"code":400,"reason":"BAD_ROUTE",' +
  '"msg":"invalid route: expected segments of A-Z a-z 0-9 _ - joined by dots"}"';
const GOT_1 = 'DATA "\\x04\\x01{"n":1}"';
const GOT_2 = 'DATA "\\x04\\x02{"n":2}"';
const ANSWER_2 = 'DATA "\\x04\\x02{"code":200}"';
const HEARTBEAT = 'HEARTBEAT ""';
const SHAKEN = 'HANDSHAKE "{"code":200,"sys":{"heartbeat":30}}"';
const EMOJI_BYTES = '"text":"\\xf0\\x9f\\x98\\x80"';
const EMOJI_ESCAPED = '"text":"\\x5cud83d\\x5cude00"';
const STOPS_READING =
  'the original throws and reads no more of the client, until the heartbeat ends it';
const SILENT = 'a request is always answered; the original says nothing, for ever';

/** The dictionary that Pith makes of the project's dictionary.json alone. */
const OWN_DICTIONARY = { onChat: 1, onMove: 2 };

const OPENING: readonly Difference[] = [
  {
    steps: ['a handshake with sys of an array', 'a handshake with sys of a number'],
    theirs: [SHAKEN, HEARTBEAT],
    ours: ['HANDSHAKE "{"code":500}"', 'END 1000 handshake_refused'],
    why: 'sys has to be an object; every known client sends one',
  },
  {
    steps: ['an ack behind the handshake, then a request and another ack'],
    theirs: [],
    ours: [GOT_1],
    why: 'an ack that comes with the handshake counts; the original loses it, and all until the next',
  },
  {
    steps: ['ack, heartbeat and request behind the handshake'],
    theirs: [],
    ours: [HEARTBEAT, GOT_1],
    why: 'an ack that comes with the handshake counts; the original loses it, and all until the next',
  },
  {
    steps: ['a user that the hook refuses'],
    theirs: ['HANDSHAKE "{"code":500}"', 'END'],
    ours: [
      'HANDSHAKE "{"code":500,"reason":"FORBIDDEN","msg":"not allowed"}"',
      'END 1000 handshake_refused',
    ],
    why: 'the refusal says what the backend says, beside the code that clients look at',
  },
  {
    steps: [
      'no kept versions',
      'other versions',
      'versions that are no strings',
      'the equal protos version alone',
    ],
    original: 'pinus',
    ours: (theirs) => withDictionary(theirs),
    why: 'all four keys of the dictionary as from Pomelo, since libpomelo2 wants all or none; Pinus leaves two out',
  },
  {
    steps: ['a dictionary of the methods too', 'a kept dictionary of the methods too'],
    ours: (theirs) => withDictionary(theirs, OWN_DICTIONARY),
    why: "the handlers' methods are not in config/, so they get no codes; clients take the dictionary as it comes",
  },
  {
    steps: ['a push with a code of dictionary.json'],
    ours: (theirs) => theirs.map((line) => line.replace('\\x07\\x00\\x0c', '\\x07\\x00\\x01')),
    why: "the handlers' methods are not in config/, so that the codes of dictionary.json begin with 1",
  },
];

const NO_EMPTY_PUSH =
  'what the protos cannot hold is not pushed, and the log says so; stock clients break at an empty push';

const MESSAGES: readonly Difference[] = [
  {
    steps: ['the id 128 of an old client'],
    theirs: ['DATA "\\x04\\x01{"id":128}"'],
    ours: ['DATA "\\x04\\x81\\x00{"id":128}"'],
    why: 'an id goes back as the bytes that came, so that clients of the old templates know it again',
  },
  {
    steps: ['the id 1 in three bytes'],
    theirs: ['DATA "\\x04\\x01{"id":1}"'],
    ours: ['DATA "\\x04\\x81\\x80\\x00{"id":1}"'],
    why: 'an id goes back as the bytes that came',
  },
  {
    steps: ['a request with an emoji'],
    theirs: [`DATA "\\x04\\x01{${EMOJI_BYTES}}"`],
    ours: [`DATA "\\x04\\x01{${EMOJI_ESCAPED}}"`],
    why: 'the same JSON in ASCII: stock browser clients cannot read UTF-8 of four bytes',
  },
  {
    steps: ['a push with an emoji'],
    theirs: [`DATA "\\x06\\x06onChat{${EMOJI_BYTES}}"`, ANSWER_2],
    ours: [`DATA "\\x06\\x06onChat{${EMOJI_ESCAPED}}"`, ANSWER_2],
    why: 'the same JSON in ASCII: stock browser clients cannot read UTF-8 of four bytes',
  },
  {
    steps: ['a request with an emoji as browsers write it'],
    theirs: [`DATA "\\x04\\x01{"text":"${'\\xef\\xbf\\xbd'.repeat(6)}"}"`],
    ours: [`DATA "\\x04\\x01{${EMOJI_ESCAPED}}"`],
    why: 'the emoji is understood; the original makes six replacement characters of it',
  },
  {
    steps: ['a push without a required field'],
    theirs: ['DATA "\\x06\\x06onMove"', ANSWER_2],
    ours: [ANSWER_2],
    why: NO_EMPTY_PUSH,
  },
  {
    steps: ['a push without a required field'],
    theirs: ['DATA "\\x07\\x00\\x0d"', ANSWER_2],
    ours: [ANSWER_2],
    why: NO_EMPTY_PUSH,
  },
  {
    steps: ['a signed request with CJK'],
    theirs: [],
    ours: ['DATA "\\x04\\x01{"text":"\\xe4\\xbd\\xa0\\xe5\\xa5\\xbd"}"'],
    why: 'the signature is right; on a Node of today the original encodes CJK twice, and drops the request',
  },
  {
    steps: ['two packages in one frame'],
    theirs: ['END'],
    ours: [GOT_1, GOT_2],
    why: 'several packages in a frame are taken; the original ends the connection',
  },
  {
    steps: ['a package and one zero byte in a frame'],
    theirs: ['END'],
    ours: [GOT_1],
    why: 'some WebSocket clients send a buffer longer than the package; the original ends the connection',
  },
  {
    steps: ['an empty frame'],
    theirs: ['END'],
    ours: [],
    why: 'a frame without bytes is nothing; the original ends the connection',
  },
  {
    steps: ['an empty text frame'],
    original: 'pinus',
    theirs: ['END'],
    ours: [],
    why: 'a frame without bytes is nothing, as to Pomelo; Pinus ends the connection',
  },
  {
    steps: ['a package in two frames'],
    theirs: ['END'],
    ours: [GOT_1],
    why: `packages may be cut anywhere; ${STOPS_READING}`,
  },
];

const ERRORS: readonly Difference[] = [
  {
    steps: ['a handler that fails', 'a method that the handler lacks'],
    theirs: [FAILED],
    ours: ['DATA "\\x04\\x01{"code":500,"reason":"BACKEND_ERROR","msg":"the backend failed"}"'],
    why: 'errors say more than the code, and the code is the same',
  },
  {
    steps: [
      'a handler that the server lacks',
      'a server type that nobody has',
      'a route of two parts',
      'a route of four parts',
    ],
    theirs: [FAILED],
    ours: [NO_ROUTE],
    why: 'a route that no rule knows is 404, not 500, and says so',
  },
  {
    steps: ['a route of one part'],
    theirs: [],
    ours: [NO_ROUTE],
    why: SILENT,
  },
  {
    steps: ['an empty route', 'a route of dots'],
    theirs: [],
    ours: [BAD_ROUTE],
    why: SILENT,
  },
  {
    steps: ['a route with a space'],
    theirs: [FAILED],
    ours: [BAD_ROUTE],
    why: 'what can be no route is 400, not 500, and says so',
  },
  {
    steps: ['the method constructor'],
    theirs: ['KICK "{"reason":"attack"}"', 'END'],
    ours: [BAD_ROUTE],
    why: 'constructor is no danger to a backend, so it is refused and the client stays',
  },
  {
    steps: ['a notify of the method constructor'],
    theirs: ['KICK "{"reason":"attack"}"', 'END'],
    ours: [],
    why: 'constructor is no danger to a backend, so it is dropped and the client stays',
  },
  {
    steps: [
      'a route code where there is no dictionary',
      'a code that there is none of',
      'code 0',
      'code 65535',
    ],
    theirs: [],
    ours: [NO_CODE],
    why: SILENT,
  },
];

const MALFORMED: readonly Difference[] = [
  {
    steps: [
      'data without a message',
      'a request that ends within its id',
      'a notify that ends after its flag',
    ],
    theirs: ['END'],
    ours: [],
    why: `the message is dropped and counted; ${STOPS_READING}`,
  },
  {
    steps: ['a request that ends after its id', 'a request whose route is cut off'],
    theirs: ['END'],
    ours: [CUT_OFF],
    why: `the request is refused; ${STOPS_READING}`,
  },
  {
    steps: ['a field that the protos lack'],
    original: 'pomelo',
    theirs: ['END'],
    ours: ['DATA "\\x04\\x01"'],
    why: `the request is refused, with an error for which the route's protos have no field; ${STOPS_READING}`,
  },
  {
    steps: ['a field that the protos lack'],
    original: 'pinus',
    theirs: ['DATA "\\x04\\x01\\x08\\x07"'],
    ours: ['DATA "\\x04\\x01"'],
    why: 'the request is refused; Pinus passes over the tag alone and takes what follows for more fields',
  },
  {
    steps: ['a number that is cut off'],
    theirs: ['END'],
    ours: ['DATA "\\x04\\x01"'],
    why: `the request is refused, with an error for which the route's protos have no field; ${STOPS_READING}`,
  },
  {
    steps: ['JSON where protobuf is due'],
    original: 'pomelo',
    theirs: ['END'],
    ours: ['DATA "\\x04\\x01\\x08\\x07"'],
    why: `clients that have no protobuf send JSON, and it is taken; ${STOPS_READING}`,
  },
  {
    steps: ['JSON where protobuf is due'],
    original: 'pinus',
    theirs: ['DATA "\\x04\\x01"'],
    ours: ['DATA "\\x04\\x01\\x08\\x07"'],
    why: 'clients that have no protobuf send JSON, and it is taken; Pinus reads fields into it',
  },
];

export const DIFFERENCES: readonly Difference[] = [
  ...OPENING,
  ...MESSAGES,
  ...ERRORS,
  ...MALFORMED,
];

type Sys = {
  heartbeat?: number;
  dict?: Record<string, number>;
  routeToCode?: unknown;
  codeToRoute?: unknown;
  dictVersion?: string;
};

/**
 * The handshake with the four keys of a dictionary as Pomelo writes them.
 *
 * @param own Absent: the dictionary that is there already.
 */
function withDictionary(theirs: Transcript, own?: Record<string, number>): Transcript {
  return theirs.map((line) => {
    const [, text] = /^HANDSHAKE "(.*)"$/.exec(line) ?? [];
    if (text === undefined) return line;
    const answer = JSON.parse(text) as { code: number; sys: Sys };
    const {
      heartbeat,
      dict: told,
      routeToCode: _,
      codeToRoute: __,
      dictVersion: ___,
      ...rest
    } = answer.sys;
    const dict = own ?? told ?? {};
    const codeToRoute = Object.fromEntries(
      Object.entries(dict).map(([route, code]) => [code, route]),
    );
    const dictVersion = createHash('md5').update(JSON.stringify(dict)).digest('base64');
    const sys = { heartbeat, dict, routeToCode: dict, codeToRoute, dictVersion, ...rest };
    return `HANDSHAKE "${JSON.stringify({ ...answer, sys })}"`;
  });
}

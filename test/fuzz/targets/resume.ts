/** Resume tokens, what is in them, their keys, and what gateways say to each other of lineages. */
import {
  endedRow,
  placeRow,
  readComing,
  readEnded,
  readPlaces,
} from '../../../src/bus/lineage-words.ts';
import { parseResumeKey, RESUME_KEY_BYTES } from '../../../src/config/resume-keys.ts';
import { readState, stateBytes } from '../../../src/resume/resume-state.ts';
import { TOKEN_CHARS_MAX, TokenBox } from '../../../src/resume/token-box.ts';
import { parseAsWritten } from '../../../src/protocol/exact-json.ts';
import { anyJson } from '../fresh.ts';
import { check, same, type Target } from '../target.ts';

const KEYS = [Buffer.alloc(RESUME_KEY_BYTES, 7), Buffer.alloc(RESUME_KEY_BYTES, 8)];
const GATEWAY = 'g-0123456789';
const newBox = (): TokenBox => new TokenBox(KEYS, GATEWAY);

const STATES = [
  '{"l":"g-0123456789.1","c":1,"s":"g-0123456789.1","t":1,"x":2}',
  '{"l":"g-0123456789.1","c":7,"s":"h-0123456789.9","t":1,"x":2,"u":"42","b":3,"d":{"a":1e400,"__proto__":[1.0]},"g":["r",["q",9]],"k":[-1,5]}',
];

const tokens: Target = {
  name: 'resume-token',
  drives: ['resume/token-box.ts TokenBox'],
  forms: ['bytes', 'text'],
  seeds: [newBox().seal(Buffer.from(STATES[0]!))!, 'AQxn', '', 'AQ', 'Af8', 'A'.repeat(200)],
  run(input) {
    const text = input.toString('latin1');
    const opened = newBox().open(text);
    check(opened === null || newBox().seal(opened) === text, 'only what was sealed opens', text);
    const sealed = newBox().seal(input);
    check(sealed === null || sealed.length <= TOKEN_CHARS_MAX, 'a token is short');
    if (sealed === null) return;
    same(newBox().open(sealed), input, 'what was sealed opens');
    same(new TokenBox([KEYS[1]!, KEYS[0]!], 'x').open(sealed), input, 'with any key, anywhere');
    const at = input.length % sealed.length;
    const other = sealed[at] === 'A' ? 'B' : 'A';
    const changed = sealed.slice(0, at) + other + sealed.slice(at + 1);
    same(newBox().open(changed), null, 'a changed character voids it');
    same(newBox().open(`${sealed}=`), null, 'one token has one spelling');
  },
};

const states: Target = {
  name: 'resume-state',
  drives: ['resume/resume-state.ts readState', 'resume/resume-state.ts stateBytes'],
  forms: ['json', 'text'],
  seeds: STATES,
  fresh: anyJson(),
  run(input) {
    const state = readState(input);
    if (state === null) return;
    check(Object.getPrototypeOf(state.data) === null, 'the data is nobody else’s');
    same(readState(stateBytes(state)), state, 'the same twice');
  },
};

const keys: Target = {
  name: 'resume-key',
  drives: ['config/resume-keys.ts parseResumeKey'],
  forms: ['text'],
  seeds: [
    KEYS[0]!.toString('base64'),
    `${KEYS[0]!.toString('base64url')}\n`,
    'abc',
    '0'.repeat(64),
  ],
  run(input) {
    const text = input.toString();
    let key: Buffer;
    try {
      key = parseResumeKey(text);
    } catch (error) {
      const { message } = error as Error;
      check(message.includes('openssl rand -base64 32'), 'the error says what to do', message);
      return;
    }
    same(key.length, 32, 'a key is 32 bytes');
    same(parseResumeKey(key.toString('base64')), key, 'the same twice');
  },
};

const words: Target = {
  name: 'lineage-words',
  drives: [
    'bus/lineage-words.ts readComing',
    'bus/lineage-words.ts readPlaces',
    'bus/lineage-words.ts readEnded',
  ],
  forms: ['json'],
  seeds: [
    '{"lineage":"g-1.1","counter":3,"sid":"h-1.2"}',
    '[["g-1.1",3,"h-1.2"],["g-1.1",0,"h-1.2"],[]]',
    '[["g-1.1",null,60000],["g-1.2",4,1],["g-1.2",-4,0]]',
  ],
  fresh: anyJson(),
  run(input) {
    let json: unknown;
    try {
      json = parseAsWritten(input.toString());
    } catch {
      return;
    }
    const places = readPlaces(json);
    same(readPlaces(places.map(placeRow)), places, 'places are the same twice');
    const ended = readEnded(json);
    same(readEnded(ended.map(endedRow)), ended, 'ends are the same twice');
    const one = readComing((json ?? {}) as Record<string, unknown>);
    if (one !== null) same(readPlaces([placeRow(one)]), [one], 'a question is a place');
  },
};

export const targets: readonly Target[] = [tokens, states, keys, words];

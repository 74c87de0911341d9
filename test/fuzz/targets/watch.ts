/** What gateways say to each other of watches. */
import { askJson, readWatchAnswer, readWatchAsk } from '../../../src/bus/watch-words.ts';
import { ShapeError } from '../../../src/contract/json.ts';
import { isObject } from '../../../src/protocol/exact-json.ts';
import { anyJson } from '../fresh.ts';
import { check, same, type Target } from '../target.ts';

const words: Target = {
  name: 'watch-words',
  drives: ['bus/watch-words.ts readWatchAsk', 'bus/watch-words.ts readWatchAnswer'],
  forms: ['json'],
  seeds: [
    '{"gateway":"g-0123456789","id":"x","target":{"uids":["7"],"where":{"a":1}},"route":"a.>","bodies":true,"per_second":100}',
    '{"gateway":"g-0123456789","id":"x","end":true}',
    '{"gateway":"g-0123456789","id":"x","target":{"all":true},"per_second":1e9}',
    '{"gateway":"g-0123456789","did":"watch","watching":true,"sessions":3}',
    '{"gateway":"g-0123456789","did":"watch","events":["CgRzZWVu","CgU=","",7]}',
  ],
  fresh: anyJson(),
  run(input) {
    const answer = readWatchAnswer(input);
    if (answer !== null) {
      check(answer.sessions >= 0, 'sessions are not negative', answer.sessions);
      const { gateway, isOn: watching, sessions } = answer;
      const events = answer.events.map((event) => event.toString('base64'));
      const json = { gateway, did: watching ? 'watch' : '', watching, sessions, events };
      same(
        readWatchAnswer(Buffer.from(JSON.stringify(json))),
        answer,
        'an answer is the same twice',
      );
    }
    let fields: unknown;
    try {
      fields = JSON.parse(input.toString());
      if (!isObject(fields)) return;
      const ask = readWatchAsk(fields as Record<string, unknown>);
      if (ask === null) return;
      const { gateway, id, spec } = ask;
      if (spec !== null)
        check(spec.perSecond >= 1 && spec.perSecond <= 1_000, 'a bounded rate', spec.perSecond);
      same(readWatchAsk({ gateway, ...askJson(id, spec) }), ask, 'a question is the same twice');
    } catch (error) {
      if (!(error instanceof ShapeError || error instanceof SyntaxError)) throw error;
    }
  },
};

export const targets: readonly Target[] = [words];

/** The answer of GetPlayground. Pure. */
import { WireWriter } from '../contract/protobuf-wire.ts';

/** What clients can do at this gateway. [control.proto, Playground] */
export type PlaygroundFacts = {
  readonly listeners: readonly {
    readonly url: string;
    readonly dialect: string;
    readonly secure: boolean;
  }[];
  readonly rules: readonly {
    readonly match: string;
    readonly backend: string;
    readonly kind: string;
    readonly mode: string;
    readonly method: string;
    readonly examples: readonly {
      readonly route: string;
      readonly body: string;
      readonly notify: boolean;
    }[];
  }[];
};

export function playgroundMessage({ listeners, rules }: PlaygroundFacts): Buffer {
  const writer = new WireWriter();
  for (const { url, dialect, secure } of listeners) {
    const listener = new WireWriter();
    listener.string(1, url);
    listener.string(2, dialect);
    listener.bool(3, secure);
    writer.bytes(1, listener.take());
  }
  for (const { match, backend, kind, mode, method, examples } of rules) {
    const rule = new WireWriter();
    rule.string(1, match);
    rule.string(2, backend);
    rule.string(3, kind);
    rule.string(4, mode);
    rule.string(5, method);
    for (const { route, body, notify } of examples) {
      const example = new WireWriter();
      example.string(1, route);
      example.string(2, body.toWellFormed());
      example.bool(3, notify);
      rule.bytes(6, example.take());
    }
    writer.bytes(2, rule.take());
  }
  return writer.take();
}

/** What a backend asks for over its Link, done and answered, whichever side opened the Link. */
import { type Failure, failure } from '../../errors.ts';
import type { Push } from '../../session/commands.ts';
import type { SessionVerb } from './backend-frames.ts';
import { type DoneFields, type PushedFields, writeDone, writePushed } from './gateway-frames.ts';
import type { Link } from './link.ts';

/** What a backend asks for by itself over its Link. */
export interface Downlink {
  /** `counted`: the backend wants to know what became of it. */
  push(push: Push, counted: boolean): Promise<PushedFields> | null;
  verb(verb: SessionVerb): Promise<DoneFields>;
}

/** Where a frame came from. */
type Origin = {
  readonly link: Link;
  /** 0: no result is wanted. */
  readonly id: number;
  /** The frame's length, which the backend gets back as credit. */
  readonly bytes: number;
};

export function takePush(downlink: Downlink, { link, id, bytes }: Origin, push: Push): void {
  const counted = downlink.push(push, id !== 0);
  if (counted === null) {
    link.done(bytes);
    return;
  }
  void counted.then((pushed) => {
    link.send((writer) => {
      writePushed(writer, id, pushed);
    });
    link.done(bytes);
  });
}

export function takeVerb(downlink: Downlink, { link, id, bytes }: Origin, verb: SessionVerb): void {
  void downlink.verb(verb).then((done) => {
    if (id !== 0)
      link.send((writer) => {
        writeDone(writer, id, done);
      });
    link.done(bytes);
  });
}

/** On a Link the answer to Connect is a frame of its own. */
export function notAReply(): Failure {
  return failure('BAD_REPLY', 'the backend answered Connect as if it were a request');
}

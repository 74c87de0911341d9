/** What a backend asks for over its Link, done and answered, whichever side opened the Link. */
import { inBackground } from '../../background.ts';
import { type Failure, failure } from '../../errors.ts';
import type { Push } from '../../contract/commands.ts';
import type { SessionVerb } from '../../contract/backend-frames.ts';
import {
  type DoneFields,
  type PushedFields,
  writeDone,
  writePushed,
} from '../../contract/gateway-frames.ts';
import type { Link } from './link.ts';

/** What a backend asks for by itself over its Link. */
export interface BackendCommands {
  /** Bytes of JSON in what it says that are made anew: `limits.convert`. */
  readonly convertBytesMax: number;
  /** `counted`: the backend wants to know what became of it. Neither promise rejects. */
  push(push: Push, counted: boolean): Promise<PushedFields> | null;
  verb(verb: SessionVerb): Promise<DoneFields>;
  /** The answer to one of these could not be made or written. */
  onUnanswered(what: 'push' | 'verb', error: unknown): void;
}

/** Where a frame came from. */
type Origin = {
  readonly link: Link;
  /** 0: no result is wanted. */
  readonly id: number;
  /** The frame's length, which the backend gets back as credit. */
  readonly bytes: number;
};

export function takePush(downlink: BackendCommands, { link, id, bytes }: Origin, push: Push): void {
  const counted = downlink.push(push, id !== 0);
  if (counted === null) {
    link.done(bytes);
    return;
  }
  const answer = async (): Promise<void> => {
    try {
      const pushed = await counted;
      link.send((writer) => {
        writePushed(writer, id, pushed);
      });
    } finally {
      link.done(bytes);
    }
  };
  inBackground(answer(), (error) => {
    downlink.onUnanswered('push', error);
  });
}

export function takeVerb(
  downlink: BackendCommands,
  { link, id, bytes }: Origin,
  verb: SessionVerb,
): void {
  const answer = async (): Promise<void> => {
    try {
      const done = await downlink.verb(verb);
      if (id !== 0)
        link.send((writer) => {
          writeDone(writer, id, done);
        });
    } finally {
      link.done(bytes);
    }
  };
  inBackground(answer(), (error) => {
    downlink.onUnanswered('verb', error);
  });
}

/** On a Link the answer to Connect is a frame of its own. */
export function notAReply(): Failure {
  return failure('BAD_REPLY', 'the backend answered Connect as if it were a request');
}

/** Carries out what a backend asks for over its Link, and answers it, whichever side opened the Link. */
import { inBackground } from '../../background.ts';
import { errorText, type Failure, failure } from '../../errors.ts';
import type { Push } from '../../contract/commands.ts';
import type { SessionVerb } from '../../contract/backend-frames.ts';
import { writeDone, writePushed } from '../../contract/gateway-frames.ts';
import type { BackendCommands } from '../backend-commands.ts';
import type { Link } from './link.ts';

/** Where a frame came from. */
type Origin = {
  readonly link: Link;
  /** 0: no result is wanted. */
  readonly id: number;
  /** The frame's length, which the backend gets back as credit. */
  readonly bytes: number;
};

export function takePush(commands: BackendCommands, { link, id, bytes }: Origin, push: Push): void {
  if (id === 0) {
    commands.push(push);
    link.done(bytes);
    return;
  }
  const answer = async (): Promise<void> => {
    try {
      const pushed = await commands.pushCounted(push);
      link.send((writer) => {
        writePushed(writer, id, pushed);
      });
    } finally {
      link.done(bytes);
    }
  };
  inBackground(answer(), (error) => {
    unanswered(commands, 'push', error);
  });
}

export function takeVerb(
  commands: BackendCommands,
  { link, id, bytes }: Origin,
  verb: SessionVerb,
): void {
  const answer = async (): Promise<void> => {
    try {
      const done = await commands.verb(verb, id !== 0);
      if (id !== 0)
        link.send((writer) => {
          writeDone(writer, id, done);
        });
    } finally {
      link.done(bytes);
    }
  };
  inBackground(answer(), (error) => {
    unanswered(commands, 'verb', error);
  });
}

function unanswered({ report }: BackendCommands, what: 'push' | 'verb', error: unknown): void {
  report.error('not answered', { what, why: errorText(error) });
}

/** On a Link the answer to Connect is a frame of its own. */
export function notAReply(): Failure {
  return failure('BAD_REPLY', 'the backend answered Connect as if it were a request');
}

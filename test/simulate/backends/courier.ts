/** What goes between a backend's desk and the connections on which it is asked and speaks. */
import type { Pushed, Way } from '../records.ts';
import type { SeededRandom } from '../random.ts';
import type { ConnectShape, PatchShape } from './write-frames.ts';
import type { Mischief } from './wrong.ts';

/** Nobody's. */
export const NOBODY = 'nobody-1.1';

/** An answer, in whichever form its transport has. */
export type Answer = {
  readonly body: string;
  /** Of a refusal: 555 PLANNED, with this text. null: it is none. */
  readonly refusal: string | null;
  readonly patch: PatchShape | null;
  /** With the answer, before it. */
  readonly pushes: readonly Pushed[];
  /** With the answer, after it. */
  readonly pushesAfter: readonly Pushed[];
  readonly closes: boolean;
  /** Has parts that only a later version of the contract has. */
  readonly isFuture: boolean;
};

/** One request, and the way back for its answer. */
export interface Asked {
  /** The gateway waits no longer. */
  readonly isCancelled: boolean;
  /** Of the session; 0: not known. null: the transport asks for it, before it changes a user. */
  readonly version: number | null;
  answer(answer: Answer): void;
  /** Something that cannot be read, instead of an answer. */
  garbage(mischief: Mischief): void;
  /** Asks for more time. */
  extend(ms: number): void;
}

/** A handshake that waits for a backend's decision. */
export interface AskedConnect {
  readonly sid: string;
  /** It was let in before, for a while. */
  readonly isRefresh: boolean;
  /** The gateway waits no longer. */
  readonly isCancelled: boolean;
  answer(outcome: ConnectShape): void;
  garbage(mischief: Mischief): void;
}

/** A connection, as far as the backend speaks on it. */
export interface Courier {
  readonly way: Way;
  /** Nothing can be said on it any more. */
  readonly isOver: boolean;
  /** Pushes can be part of an answer. */
  readonly pushesInAnswers: boolean;
  /** Pushes and changes can be sent without one. */
  readonly speaks: boolean;
  /** The gateway gives a request more time when it is asked for it. */
  readonly canExtend: boolean;
  push(push: Pushed): void;
  /** @param done Called when the gateway has answered; never, if the connection is lost before that. */
  change(sid: string, patch: PatchShape, done: (isDone: boolean) => void): void;
  close(sid: string, kick: boolean): void;
  /** Sends something that nobody asked for. */
  strange(mischief: Mischief, asked: Asked): void;
}

/** Whether a client may connect. */
export type LetIn = (random: SeededRandom, isRefresh: boolean) => ConnectShape;

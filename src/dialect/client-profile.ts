/**
 * What one family of Pomelo clients can read, beside what all can. Chosen by the handshake where the listener
 * does not say it; everything here is the client's own word, so it decides the form of answers and nothing else.
 */
import type { HandshakeRequest } from '../protocol/handshake.ts';

export type ProfileName = 'pomelo' | 'browser' | 'plain' | 'libpomelo' | 'libpomelo2';

export type ClientProfile = {
  /** Pushes and answers that serverProtos know are protobuf. */
  readonly protobuf: boolean;
  /** Answers too; else they are JSON. */
  readonly protobufAnswers: boolean;
  /** How strings in protobuf are written: browser builds know no character of four bytes. */
  readonly strings: 'utf8' | 'cesu8';
  /** Largest code of the dictionary that a push may carry instead of its route; 0: none. */
  readonly codeMax: number;
};

/** [protocol.md 9: what each of them bears] */
export const PROFILES: Readonly<Record<ProfileName, ClientProfile>> = {
  pomelo: { protobuf: true, protobufAnswers: true, strings: 'utf8', codeMax: 0xffff },
  browser: { protobuf: true, protobufAnswers: true, strings: 'cesu8', codeMax: 0xffff },
  // Reads every body as JSON, and no code of a route.
  plain: { protobuf: false, protobufAnswers: false, strings: 'utf8', codeMax: 0 },
  // Keeps the low byte of a code.
  libpomelo: { protobuf: true, protobufAnswers: true, strings: 'utf8', codeMax: 0xff },
  // Does not know the route of an answer when it decodes it.
  libpomelo2: { protobuf: true, protobufAnswers: false, strings: 'utf8', codeMax: 0xffff },
};

/** The profile of a client that says this of itself. */
export function profileOf(request: HandshakeRequest): ProfileName {
  const { sys, clientType, clientVersion } = request;
  if (clientType === 'c') return 'libpomelo';
  if (/^0\.\d+\.\d+-release$/.test(clientVersion)) return 'libpomelo2';
  if (clientType === 'js-websocket' && 'rsa' in sys) {
    // The browser's library always says which protos it holds, be it 0; what was made of it for mini-games and
    // for Nano knows none.
    return 'protoVersion' in sys ? 'browser' : 'plain';
  }
  return clientType === 'COCOS_CREATOR' ? 'browser' : 'pomelo';
}

/**
 * What one family of Pomelo clients can read beyond what all of them can. Chosen by the handshake unless the listener
 * sets it. A client may claim anything in its handshake, so this decides the form of answers and nothing else.
 */
import type { HandshakeRequest } from '../protocol/handshake.ts';

export type ProfileName = 'pomelo' | 'browser' | 'plain' | 'libpomelo' | 'libpomelo2';

export type ClientProfile = {
  /** Pushes and answers that serverProtos covers are protobuf. */
  readonly protobuf: boolean;
  /** Answers too; otherwise they are JSON. */
  readonly protobufAnswers: boolean;
  /** How strings in protobuf are written: browser builds cannot read UTF-8 characters of four bytes. */
  readonly strings: 'utf8' | 'cesu8';
  /** Largest code of the dictionary that a push may carry instead of its route; 0: none. */
  readonly codeMax: number;
};

/** [protocol.md 9: what each of them can read] */
export const PROFILES: Readonly<Record<ProfileName, ClientProfile>> = {
  pomelo: { protobuf: true, protobufAnswers: true, strings: 'utf8', codeMax: 0xffff },
  browser: { protobuf: true, protobufAnswers: true, strings: 'cesu8', codeMax: 0xffff },
  // Reads every body as JSON, and no route codes.
  plain: { protobuf: false, protobufAnswers: false, strings: 'utf8', codeMax: 0 },
  // Keeps only the low byte of a code.
  libpomelo: { protobuf: true, protobufAnswers: true, strings: 'utf8', codeMax: 0xff },
  // Does not know an answer's route when it decodes the answer.
  libpomelo2: { protobuf: true, protobufAnswers: false, strings: 'utf8', codeMax: 0xffff },
};

/** The profile of a client with this handshake. */
export function profileOf(request: HandshakeRequest): ProfileName {
  const { sys, clientType, clientVersion } = request;
  if (clientType === 'c') return 'libpomelo';
  if (/^0\.\d+\.\d+-release$/.test(clientVersion)) return 'libpomelo2';
  if (clientType === 'js-websocket' && 'rsa' in sys) {
    // The browser library always sends the version of its protos, even if it is 0; its derivatives for mini-games and
    // for Nano have no protos.
    return 'protoVersion' in sys ? 'browser' : 'plain';
  }
  return clientType === 'COCOS_CREATOR' ? 'browser' : 'pomelo';
}

/** A push from one gateway to the others: headers as for a verb, and the target as JSON in one more. */
import type { Push, Target } from '../contract/commands.ts';
import { pushLines, readPush } from '../contract/headers.ts';
import { readObject, readTarget, targetJson } from '../contract/json-shapes.ts';
import type { NatsMessage } from '../upstream/nats/nats-connection.ts';
import { HeaderBlock, readHeaders } from '../upstream/nats/header-block.ts';

export function peerPushHeaders(target: Target, push: Push): HeaderBlock {
  return new HeaderBlock(pushLines(push, targetJson(target)));
}

/** @throws {ShapeError} */
export function readPeerPush(message: NatsMessage): Push & { target: Target } {
  const headers = readHeaders(message);
  const target = readTarget(readObject(Buffer.from(headers.get('pith-target') ?? '')));
  return { ...readPush(headers, message.data), target };
}

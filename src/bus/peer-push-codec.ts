/** A push from one gateway to the others: headers as for a verb, and the target as JSON in one more. */
import type { Push, Target } from '../contract/commands.ts';
import { isOwnPush, publisherLine, pushLines, readPush } from '../contract/headers.ts';
import { readObject, readTarget, targetJson } from '../contract/json-shapes.ts';
import type { NatsMessage } from '../upstream/nats/nats-connection.ts';
import { HeaderBlock, readHeaders } from '../upstream/nats/header-block.ts';

/** @param gatewayId Of this gateway. */
export function peerPushHeaders(target: Target, push: Push, gatewayId: string): HeaderBlock {
  return new HeaderBlock(pushLines(push, targetJson(target)) + publisherLine(gatewayId));
}

/** null: it is this gateway's own. @throws {ShapeError} */
export function readPeerPush(
  message: NatsMessage,
  gatewayId: string,
): (Push & { target: Target }) | null {
  const headers = readHeaders(message);
  if (isOwnPush(headers, gatewayId)) return null;
  const target = readTarget(readObject(Buffer.from(headers.get('pith-target') ?? '')));
  return { ...readPush(headers, message.data), target };
}

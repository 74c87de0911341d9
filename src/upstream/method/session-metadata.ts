/**
 * Session facts as metadata of a call, and the changes that come back: the names of the NATS headers in lower case
 * after `x-`, with their encoding. proto/README.md is the page about them.
 */
import { Metadata } from '@grpc/grpc-js';

import type { SessionFacts } from '../../contract/facts.ts';
import type { Call } from '../call.ts';
import { decodeValue, type Headers, sessionHeaders, traceHeaders } from '../../contract/headers.ts';

const PREFIX = 'x-pith-';

/** @param session What `sessionMetadata` gave. */
export function metadataOf(call: Call, session: Metadata): Metadata {
  const metadata = session.clone();
  metadata.set('x-pith-seq', String(call.seq));
  metadata.set('x-pith-route', call.route);
  if (call.wantsAnswer) metadata.set('x-pith-id', String(call.session.wire.idOf(call.rawId)));
  if (call.trace !== null) set(metadata, '', traceHeaders(call.trace));
  return metadata;
}

/**
 * What all calls of a session have in common.
 *
 * @param fixed What the configuration adds to every call.
 */
export function sessionMetadata(
  fixed: Metadata,
  session: SessionFacts,
  forward: readonly string[],
): Metadata {
  const metadata = fixed.clone();
  set(metadata, 'x-', sessionHeaders(session, forward));
  return metadata;
}

/** @param pairs Names and values in turn; the library makes the names lower-case. */
function set(metadata: Metadata, prefix: string, pairs: readonly string[]): void {
  for (let i = 0; i < pairs.length; i += 2) metadata.set(prefix + pairs[i], pairs[i + 1]!);
}

/** The gateway's own names in the returned metadata, as `pith-…`, decoded; of duplicates the first. null if the backend returned none. */
export function answerHeaders(initial: Metadata | null, trailing: Metadata | null): Headers | null {
  let headers: Map<string, string> | null = null;
  for (const metadata of [initial, trailing]) {
    if (metadata === null) continue;
    for (const [name, value] of Object.entries(metadata.getMap())) {
      if (!name.startsWith(PREFIX) || typeof value !== 'string') continue;
      headers ??= new Map();
      const short = name.slice(2);
      if (!headers.has(short)) headers.set(short, decodeValue(value));
    }
  }
  return headers;
}

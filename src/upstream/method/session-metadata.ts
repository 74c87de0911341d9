/**
 * Session facts as metadata of a call, and the changes that come back: the names of the NATS headers in lower case
 * after `x-`, with their encoding. proto/README.md is the page about them.
 */
import { Metadata } from '@grpc/grpc-js';

import type { Call } from '../call.ts';
import { decodeValue, encodeJsonValue, encodeValue, type Headers } from '../nats/headers.ts';
import { forwarded } from '../upstream.ts';

const PREFIX = 'x-pith-';

/** What a session's messages have in common, kept while it does not change. */
type Facts = { readonly version: number; readonly ordinal: number; readonly metadata: Metadata };

/** @param fixed What the configuration adds to every call. */
export function metadataOf(call: Call, fixed: Metadata): Metadata {
  const metadata = sessionMetadata(call, fixed).clone();
  metadata.set('x-pith-seq', String(call.seq));
  metadata.set('x-pith-route', call.route);
  if (call.wantsAnswer) metadata.set('x-pith-id', String(call.session.wire.idOf(call.rawId)));
  if (call.trace !== null) {
    metadata.set('traceparent', call.trace.traceparent);
    if (call.trace.tracestate !== '') metadata.set('tracestate', call.trace.tracestate);
  }
  return metadata;
}

function sessionMetadata(call: Call, fixed: Metadata): Metadata {
  const { lane, session, target } = call;
  const known = lane.facts as Facts | null;
  if (known !== null && known.version === session.version && known.ordinal === target.ordinal)
    return known.metadata;
  const metadata = fixed.clone();
  metadata.set('x-pith-sid', session.sid);
  if (session.uid !== '') metadata.set('x-pith-uid', encodeValue(session.uid));
  metadata.set('x-pith-client-ip', encodeValue(session.remoteIp));
  const data = forwarded(session.data, target.forward);
  if (data !== null) metadata.set('x-pith-data', encodeJsonValue(data));
  const facts: Facts = { version: session.version, ordinal: target.ordinal, metadata };
  lane.facts = facts;
  return metadata;
}

/** Our own names among what came back, as `pith-…`, decoded; null: there are none. What comes first counts. */
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

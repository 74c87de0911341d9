/** How a caller is named in logs. */
import type { PeerCertificate as NodeCertificate } from 'node:tls';

import { plainAddress } from '../ip.ts';
import type { PeerCertificate } from './access.ts';

/** `address:port` as gRPC has it, an IPv4 address without the prefix of IPv6. */
export function peerOf(peer: string): string {
  const colon = peer.lastIndexOf(':');
  return colon < 0 ? peer : `${plainAddress(peer.slice(0, colon))}${peer.slice(colon)}`;
}

/** A certificate that the TLS handshake has verified. */
export function certificateOf(node: NodeCertificate): PeerCertificate {
  // SPIFFE's own certificates often have none.
  const named = node.subject as NodeCertificate['subject'] | null | undefined;
  const subject = Object.entries(named ?? {}).map(([key, value]) => `${key}=${String(value)}`);
  return { names: node.subjectaltname ?? '', subject: subject.join(', ') };
}

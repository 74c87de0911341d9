/** Whether there is still a client behind a session, asked when another one wants its uid. */
import { type Clock, sleep } from '../clock.ts';
import type { Session } from './session.ts';

/** How long a client may take to show a sign of life. */
export const SIGN_OF_LIFE_MS = 2_000;
const LOOK_EVERY_MS = 50;

/**
 * Over WebSocket the client is sent a ping, which every WebSocket library answers by itself. Over TCP no client answers
 * anything at once [protocol.md 4.3]: one that was heard within a heartbeat interval counts as alive, and any other has
 * the same time to say something. So does a client that is not read from, because it takes too little.
 */
export async function showsLife(session: Session, clock: Clock): Promise<boolean> {
  session.catchUp();
  if (session.state !== 'active' && session.state !== 'draining') return session.state !== 'closed';
  if (!session.readGate.isReading) return true;
  const { connection, deadlines } = session;
  const askedAt = clock.now();
  const isWebSocket = connection.transport === 'ws' || connection.transport === 'wss';
  const { heartbeatMs, lastHeardAt } = deadlines;
  if (!isWebSocket && (heartbeatMs === 0 || askedAt - lastHeardAt < heartbeatMs)) return true;
  deadlines.ping();
  while (clock.now() < askedAt + SIGN_OF_LIFE_MS) {
    await sleep(clock, LOOK_EVERY_MS);
    if (isClosed(session)) return false;
    if (deadlines.lastHeardAt >= askedAt) return true;
  }
  return false;
}

function isClosed({ state }: Session): boolean {
  return state === 'closed';
}

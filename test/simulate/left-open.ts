/**
 * A connection that its player has left open: a second tab, or a phone that has found another network. It shows signs of
 * life, so that only the rule that a lineage has one session ends the session that it has.
 */
import type { End } from './channel.ts';
import { HEARTBEAT } from './packets.ts';
import { PING } from './sockets.ts';
import type { Node } from './world.ts';

const HEARTBEAT_MS = 7_500;
/** Shorter than what is left of a round when the last may be left open. */
const OPEN_MS = 20_000;

export function leaveOpen(node: Node, end: End): void {
  const heartbeat = (): void => {
    if (end.isCut) return;
    end.send(HEARTBEAT, HEARTBEAT.length);
    node.after(HEARTBEAT_MS, heartbeat);
  };
  heartbeat();
  end.handler = {
    onMessage(bytes) {
      if (bytes.length === 0) end.send(PING, 2);
    },
    onEnd() {
      end.destroy('closed');
    },
    onCut() {},
  };
  node.after(OPEN_MS, () => {
    end.destroy();
  });
}

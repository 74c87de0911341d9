/**
 * The game that is played on each of the three servers: what its handlers do, said once. Pomelo's and Pinus's
 * handlers and Pith's backend run these same functions, so what differs on the wire is the server's doing.
 */

export type Body = Record<string, unknown>;

/** Who sent a message, and what may be done to them. */
export interface Player {
  /** Answers; null is an answer without a body. */
  answer(body: Body | null): void;
  /** Fails without saying what the client should be told. */
  fail(): void;
  /** Fails with this body for the client. */
  refuse(body: Body): void;
  push(route: string, body: Body): void;
  /** Sends a kick packet with the reason; without one the connection is only closed. */
  kick(reason?: string): void;
  /** Names the player: Pomelo and Pinus push by uid. Resolves when pushes reach it. */
  bind(uid: string): Promise<void>;
}

type Method = (body: Body, player: Player) => void;

export const SERVER_TYPE = 'connector';
export const HANDLER = 'entryHandler';

export const METHODS: Readonly<Record<string, Method>> = {
  bind: (body, player) => {
    void player.bind(String(body['uid'])).then(() => {
      player.answer({ code: 200 });
    });
  },
  echo: (body, player) => {
    player.answer(body);
  },
  fail: (_, player) => {
    player.fail();
  },
  fence: (_, player) => {
    player.answer({ code: 200 });
  },
  kick: (body, player) => {
    player.kick(body['reason'] as string | undefined);
  },
  move: (body, player) => {
    player.answer(body);
  },
  nothing: (_, player) => {
    player.answer(null);
  },
  pushFirst: (body, player) => {
    player.push(String(body['route']), body['body'] as Body);
    player.answer({ code: 200 });
  },
  pushLater: (body, player) => {
    player.answer({ code: 200 });
    setImmediate(() => {
      player.push(String(body['route']), body['body'] as Body);
    });
  },
  pushThree: (body, player) => {
    for (const n of [1, 2, 3]) player.push(String(body['route']), { n });
    player.answer({ code: 200 });
  },
  refuse: (body, player) => {
    player.refuse(body);
  },
};

/** The game as handlers of Pomelo (callbacks) and of Pinus (promises). The project's handler file loads these. */
import { type Body, METHODS, type Player } from './game.ts';

type Callback = (error?: Error | null, result?: unknown) => void;

/** What of a frontend session the game needs; both servers have it. */
type Session = {
  readonly id: number;
  readonly uid?: string;
  readonly frontendId: string;
  bind(uid: string, done: Callback): void;
  abind?(uid: string): Promise<void>;
};

export type App = {
  get(name: 'channelService'): {
    pushMessageByUids(
      route: string,
      body: Body,
      to: { uid: string; sid: string }[],
      options: object,
      done: Callback,
    ): void;
  };
  get(name: 'sessionService'): {
    kickBySessionId(id: number, reason: string | undefined, done: Callback): void;
  };
};

type Shared = Pick<Player, 'push' | 'kick' | 'bind'>;

function playerOf(app: App, session: Session): Shared {
  let { uid } = session;
  return {
    push: (route, body) => {
      const to = [{ uid: uid ?? '', sid: session.frontendId }];
      app.get('channelService').pushMessageByUids(route, body, to, {}, () => {});
    },
    kick: (reason) => {
      app.get('sessionService').kickBySessionId(session.id, reason, () => {});
    },
    bind: (name) =>
      new Promise((resolve, reject) => {
        session.bind(name, (error) => {
          uid = name;
          if (error) reject(error);
          else resolve();
        });
      }),
  };
}

/** Pomelo puts the route into the body; the game's answers are about what the client said. */
function bodyOf(msg: Body): Body {
  const { __route__: _, ...body } = msg;
  return body;
}

/** Both loaders take a handler's methods from the object itself; Pinus also looks at its class. */
class EntryHandler {
  [method: string]: unknown;
}

export function pomeloHandler(app: App): EntryHandler {
  const handler = new EntryHandler();
  for (const [name, method] of Object.entries(METHODS)) {
    handler[name] = (msg: Body, session: Session, next: Callback): void => {
      method(bodyOf(msg), {
        ...playerOf(app, session),
        answer: (body) => {
          if (body === null) next(null);
          else next(null, body);
        },
        fail: () => {
          next(new Error('the game failed'));
        },
        refuse: (body) => {
          next(new Error('the game refused'), body);
        },
      });
    };
  }
  return handler;
}

export function pinusHandler(app: App): EntryHandler {
  const handler = new EntryHandler();
  for (const [name, method] of Object.entries(METHODS)) {
    handler[name] = (msg: Body, session: Session): Promise<Body | null> =>
      new Promise((resolve, reject) => {
        method(bodyOf(msg), {
          ...playerOf(app, session),
          answer: resolve,
          fail: () => {
            reject(new Error('the game failed'));
          },
          // An error of Pinus's carries no body: what it has to say is an answer.
          refuse: resolve,
        });
      });
  }
  return handler;
}

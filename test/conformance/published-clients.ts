/** The clients under test, what sets them apart, and what their own bugs keep them from. */

export type PublishedClient = {
  readonly name: string;
  /** What a request's callback is called with. */
  readonly callbackArgs: (body: unknown) => unknown[];
  /** Message ids as this client writes them, in hex: they must come back as the same bytes. */
  readonly idBytes: Readonly<Record<number, string>>;
  readonly limits: Limits;
};

/** True where the client falls short; the reasons are below. */
export type Limits = {
  /** Emits onKick without what the kick packet says: both call `emit('onKick')` and drop the body. */
  readonly kickWithoutReason: true;
  /**
   * Never calls the `handshakeCallback` that it was given: it asks for the type of a global of that name.
   */
  readonly noHandshakeCallback: boolean;
  /** Cannot come back by itself: it has no reconnect at all. */
  readonly noReconnect: boolean;
  /** Never emits 'reconnect', though it does reconnect: it sets `connecting` and looks at `reconnecting`. */
  readonly noReconnectEvent: boolean;
};

export const PUBLISHED_CLIENTS: readonly PublishedClient[] = [
  {
    name: 'pomelo-nodejsclient-websocket',
    callbackArgs: (body) => [null, body],
    // Low group of seven bits first, as Pomelo's servers read them.
    idBytes: { 127: '7f', 128: '8001', 255: 'ff01', 256: '8002', 16383: 'ff7f', 16384: '808001' },
    limits: {
      kickWithoutReason: true,
      noHandshakeCallback: true,
      noReconnect: true,
      noReconnectEvent: true,
    },
  },
  {
    name: 'pomelo-client-websocket',
    callbackArgs: (body) => [body],
    // High group first: Pomelo's servers read another id, and lose the answers to 128, 256, 16384.
    idBytes: { 127: '7f', 128: '8100', 255: '817f', 256: '8200', 16383: 'ff7f', 16384: '818000' },
    limits: {
      kickWithoutReason: true,
      noHandshakeCallback: false,
      noReconnect: false,
      noReconnectEvent: true,
    },
  },
];

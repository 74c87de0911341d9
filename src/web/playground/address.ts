/** The address of a game server, as it is typed and as a browser can connect to it. Pure. */

export type Here = { readonly protocol: string; readonly hostname: string };
export type Listener = { readonly url: string; readonly dialect: string; readonly secure: boolean };

/** An address to connect to; or what is wrong with what was typed. */
export type Address = { readonly url: string } | { readonly problem: string };

/** `host:port` becomes a WebSocket, secure where the page is. */
export function readAddress(typed: string, here: Here): Address {
  const text = typed.trim();
  if (text === '') return { problem: 'Write an address, as ws://127.0.0.1:3010' };
  const isPlain = !/^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const url = isPlain ? `${here.protocol === 'https:' ? 'wss' : 'ws'}://${text}` : text;
  if (!URL.canParse(url)) return { problem: `${text} is not an address: write ws://host:port` };
  const { protocol } = new URL(url);
  if (protocol === 'tcp:' || protocol === 'tls:')
    return { problem: 'A browser has no TCP: use the WebSocket of this server, ws://host:port' };
  if (protocol !== 'ws:' && protocol !== 'wss:')
    return { problem: `${protocol}// cannot be used: write ws://host:port, or wss:// for TLS` };
  if (protocol === 'ws:' && here.protocol === 'https:')
    return { problem: 'This page came over TLS, and so browsers allow it wss:// alone' };
  return { url };
}

/** Of a listener for browsers; null: it takes TCP alone. */
export function addressOf({ url, secure }: Listener, here: Here): string | null {
  const [, scheme, host, port] = /^(\w+):\/\/(\[[^\]]*\]|[^:/]*):?(\d*)/.exec(url) ?? [];
  if (scheme === undefined || scheme === 'tcp' || scheme === 'tls') return null;
  const isSecure = scheme === 'wss' || (scheme === 'auto' && secure && here.protocol === 'https:');
  const isAny = host === '0.0.0.0' || host === '[::]' || host === '';
  const name = isAny ? here.hostname : host!;
  return `${isSecure ? 'wss' : 'ws'}://${name}${port === '' ? '' : `:${port}`}`;
}

/** What may be the matter with a connection that failed: a browser does not say. */
export function whyUnreachable(url: string): string {
  const causes = [
    'nothing listens there',
    'its listener refuses this page (`origins`) or has no WebSocket',
    ...(url.startsWith('wss:') ? ['the browser does not trust its certificate'] : []),
  ];
  return `No connection to ${url}. Browsers do not tell why; mostly ${causes.join(', or ')}.`;
}

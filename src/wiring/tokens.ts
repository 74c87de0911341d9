/** Makes what `auth.mode: jwt` needs. */
import { readFileSync } from 'node:fs';

import type { Tokens } from '../auth/connect-auth.ts';
import { HeldTokens } from '../auth/held-tokens.ts';
import { jwksFetcher } from '../auth/jwt/jwks-fetch.ts';
import { TokenRefresh } from '../auth/token-refresh.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import type { Relay } from '../relay/relay.ts';
import type { LiveTokens } from '../reload/live-tokens.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import { makeClientTls } from './client-tls.ts';
import type { Shared } from './shared.ts';

export type TokensParts = Shared & {
  readonly relay: Relay;
  readonly sessionCommands: SessionCommands;
  readonly liveTokens: LiveTokens | null;
};

export type MadeTokens = Tokens & { readonly live: LiveTokens };

/** null: clients need no tokens. @throws {Error} when a key cannot be used. */
export function makeLiveTokens(shared: Shared): LiveTokens | null {
  const { config, clock } = shared;
  if (config.auth.mode !== 'jwt') return null;
  const { LiveTokens } = shared.kinds.get('jwt');
  return new LiveTokens({
    ...shared,
    readFile: (path) => readFileSync(path, 'utf8'),
    makeFetch: ({ jwks_url: url, tls }) => {
      const files = makeClientTls(['auth', 'jwt', 'tls'], tls);
      return { fetch: jwksFetcher(url, files, clock), files };
    },
  });
}

/** What sessions have of it, and requests with newer ones. */
export function makeTokens(parts: TokensParts): MadeTokens | null {
  const { clock, wheel, relay, liveTokens: live } = parts;
  if (live === null) return null;
  const held = new HeldTokens(clock, wheel);
  const { check } = live;
  const { report } = relay.parts;
  const throttle = new LogThrottle(clock);
  relay.refresh = new TokenRefresh({ ...parts, report, check, held, throttle });
  return { check, held, live };
}

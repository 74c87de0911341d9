/** Makes what `auth.mode: jwt` needs. */
import { readFileSync } from 'node:fs';

import type { Tokens } from '../auth/connect-auth.ts';
import { HeldTokens } from '../auth/held-tokens.ts';
import { jwksFetcher } from '../auth/jwt/jwks-fetch.ts';
import { TokenRefresh } from '../auth/token-refresh.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import type { Relay } from '../relay/relay.ts';
import { LiveTokens } from '../reload/live-tokens.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import { makeClientTls } from './client-tls.ts';
import type { Shared } from './shared.ts';

export type TokensParts = Shared & {
  readonly relay: Relay;
  readonly sessionCommands: SessionCommands;
};

export type MadeTokens = Tokens & { readonly live: LiveTokens };

/** null: clients need no tokens. @throws {Error} when a key cannot be used. */
export function makeTokens(parts: TokensParts): MadeTokens | null {
  const { config, clock, wheel, relay } = parts;
  if (config.auth.mode !== 'jwt') return null;
  const live = new LiveTokens({
    ...parts,
    readFile: (path) => readFileSync(path, 'utf8'),
    makeFetch: ({ jwks_url: url, tls }) => {
      const files = makeClientTls(['auth', 'jwt', 'tls'], tls);
      return { fetch: jwksFetcher(url, files, clock), files };
    },
  });
  const held = new HeldTokens(clock, wheel);
  const { check } = live;
  relay.refresh = new TokenRefresh({ ...parts, check, held, throttle: new LogThrottle(clock) });
  return { check, held, live };
}

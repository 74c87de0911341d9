/** What clients can do at a gateway, for those who try it out. Pure. */
import { type RouteExample, parseExample } from '../config/route-examples.ts';
import type { Config } from '../config/schema.ts';
import { backendsOf } from '../config/schema-routes.ts';

export type OfferedRule = {
  readonly match: string;
  /** The first of them, its kind, and for gRPC its mode. */
  readonly backend: string;
  readonly kind: string;
  readonly mode: string;
  /** '': none in particular. */
  readonly method: string;
  readonly examples: readonly RouteExample[];
};

export type Offers = {
  readonly listeners: readonly {
    readonly url: string;
    readonly dialect: string;
    readonly secure: boolean;
  }[];
  readonly rules: readonly OfferedRule[];
};

/** @param clients URLs of the listeners with their real ports, in the order of `listen`. */
export function playgroundOf(config: Config, clients: readonly string[]): Offers {
  return {
    listeners: config.listen.map(({ url, dialect, tls }, i) => ({
      ...{ url: clients[i] ?? url, dialect },
      secure: tls.cert !== '',
    })),
    rules: config.routes.map((rule) => {
      const { backend: name } = backendsOf(rule)[0]!;
      const backend = config.backends[name];
      return {
        match: rule.match,
        backend: name,
        kind: backend?.kind ?? '',
        mode: backend?.kind === 'grpc' ? backend.mode : '',
        method: rule.method,
        examples: rule.examples.map(parseExample),
      };
    }),
  };
}

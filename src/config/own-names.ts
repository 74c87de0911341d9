/** Rules that lead nowhere because all that they can make are names of the gateway's own. */
import { isOwnMethod, isReserved } from '../routing/reserved.ts';
import { renamed } from '../routing/route-table.ts';
import { Paths } from '../upstream/http/path.ts';
import type { BackendConfig } from './schema-backends.ts';
import { backendsOf, type RouteConfig } from './schema-routes.ts';
import type { Path } from './schema-tree.ts';

const OWN = 'routes that begin with pith are reserved for the gateway';

/** Says so of each rule, and of each backend that offers such methods. */
export function warnOfOwnNames(
  routes: readonly (RouteConfig | undefined)[],
  backends: ReadonlyMap<string, BackendConfig | undefined>,
  warn: (path: Path, message: string) => void,
): void {
  for (const [index, route] of routes.entries()) {
    const own = route === undefined ? null : ownNameOf(route, backends);
    if (own !== null) warn(['routes', index, own.key], own.why);
  }
  for (const [name, backend] of backends) {
    if (backend?.kind !== 'grpc' || backend.mode !== 'method') continue;
    const own = backend.services.findIndex((service) => service.startsWith('pith.'));
    if (own >= 0)
      warn(
        ['backends', name, 'services', own],
        'services of pith are not for clients: calls of their methods are answered 404; drop mode: method',
      );
  }
}

/** The key of a route's rule that can only make names of the gateway's own, and why; null: it can make others. */
function ownNameOf(
  route: RouteConfig,
  backends: ReadonlyMap<string, BackendConfig | undefined>,
): { readonly key: 'match' | 'rename' | 'path' | 'method'; readonly why: string } | null {
  const asked = samplesOf(route.match);
  if (asked.every(isReserved)) return { key: 'match', why: `never reached: ${OWN}` };
  const seen = route.rename === '' ? asked : asked.map((one) => renamed(route.rename, one));
  if (seen.every(isReserved))
    return { key: 'rename', why: `makes ${seen[0]} of them: ${OWN}, and answered 404` };
  if (isOwnMethod(route.method))
    return { key: 'method', why: 'services of pith are not for clients: they are answered 404' };
  for (const { backend: name } of backendsOf(route)) {
    const backend = backends.get(name);
    if (backend?.kind !== 'http') continue;
    const paths = new Paths(new URL(backend.http).pathname);
    const posted = seen.map((one) => paths.of(one, route.path));
    if (!posted.every((path) => paths.isOwn(path))) continue;
    const key = route.path === '' ? 'match' : 'path';
    return { key, why: `${posted[0]} is the gateway's own path, and answered 404` };
  }
  return null;
}

/** Routes that a pattern takes, with names of no meaning where it names none. */
function samplesOf(match: string): string[] {
  const plain = match.replaceAll('*', 'x');
  if (!plain.endsWith('>')) return [plain];
  return ['x', 'x.x', 'x.x.x'].map((rest) => plain.slice(0, -1) + rest);
}

/** The route table for people: what `check` prints, and the debug log at the start. */
import type { Config } from '../config/schema.ts';
import { backendsOf, type RouteConfig } from '../config/schema-routes.ts';
import { formatDuration } from '../config/units.ts';

/** One line for each rule, in the order in which they are tried. */
export function describeRoutes(config: Config): string {
  if (config.routes.length === 0) return 'no routes: every request is answered 404\n';
  const width = Math.max(...config.routes.map((route) => route.match.length));
  return config.routes
    .map((route) => `${route.match.padEnd(width)} → ${describeRule(route, config).join(', ')}\n`)
    .join('');
}

function describeRule(route: RouteConfig, config: Config): string[] {
  const shares = backendsOf(route);
  const names = shares.map(({ backend, weight }) => {
    const name = `${backend} (${config.backends[backend]!.kind})`;
    return shares.length === 1 ? name : `${weight} parts ${name}`;
  });
  const facts = [
    names.join(' and '),
    `${formatDuration(route.timeout)} for the answer`,
    `order ${route.order}`,
  ];
  if (shares.length > 1) facts.push(`split by ${route.split_by}`);
  if (route.rename !== '') facts.push(`as ${route.rename}`);
  if (route.to !== '') facts.push(`to ${route.to}, else ${route.else}`);
  if (route.join !== '') facts.push(`joins ${route.join}`);
  if (route.forward.length > 0) facts.push(`forward ${route.forward.join(' ')}`);
  if (route.codec !== 'auto') facts.push(`codec ${route.codec}`);
  if (route.idempotent) facts.push('idempotent');
  if (route.bound) facts.push('bound sessions only');
  return facts;
}

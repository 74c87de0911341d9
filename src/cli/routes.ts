/** The route table for people: what `check` prints, and the debug log at the start. */
import type { Config } from '../config/schema.ts';

/** One line a rule, in the order in which they are tried. */
export function describeRoutes(config: Config): string {
  if (config.routes.length === 0) return 'no routes: every request is answered 404\n';
  const width = Math.max(...config.routes.map((route) => route.match.length));
  return config.routes
    .map((route) => {
      const name = route.backend as string;
      const backend = config.backends[name]!;
      const facts = [`${name} (${backend.kind})`, `${route.timeout} ms`, `order ${route.order}`];
      if (route.to !== '') facts.push(`to ${route.to}, else ${route.else}`);
      if (route.forward.length > 0) facts.push(`forward ${route.forward.join(' ')}`);
      if (route.bound) facts.push('bound sessions only');
      return `${route.match.padEnd(width)} → ${facts.join(', ')}\n`;
    })
    .join('');
}

/** The configured routes as the route table takes them. */
import type { Rule } from '../routing/rule.ts';
import { backendsOf, type RouteConfig } from './schema-routes.ts';

/** One rule of the table. */
export function ruleOf(route: RouteConfig): Rule {
  return {
    match: route.match,
    backend: backendsOf(route)[0]!.backend,
    split: typeof route.backend === 'string' ? null : { shares: route.backend, by: route.split_by },
    rename: route.rename,
    timeoutMs: route.timeout,
    order: route.order,
    to: route.to,
    join: route.join,
    otherwise: route.else,
    forward: route.forward,
    bound: route.bound,
    roles: route.roles,
    codec: route.codec,
    method: route.method,
    path: route.path,
    pushRoute: route.push_route,
    idempotent: route.idempotent,
    rate: route.rate,
  };
}

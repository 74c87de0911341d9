/**
 * The route table for people: what `check` prints, and the debug log at the start; and `pith routes`, which shows where
 * one route would go.
 */
import { ruleOf } from '../config/rules.ts';
import type { Config } from '../config/schema.ts';
import { backendsOf, type RouteConfig } from '../config/schema-routes.ts';
import { formatDuration } from '../config/units.ts';
import { isReserved } from '../routing/reserved.ts';
import { isRoute, namesConstructor } from '../routing/route.ts';
import {
  chosen,
  instanceFor,
  patternMatches,
  renamed,
  RouteTable,
  type RoutingFacts,
} from '../routing/route-table.ts';
import type { Target } from '../routing/rule.ts';
import { describeCall, OWN_NAMES } from './route-call.ts';

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
  if (route.forward.length > 0) facts.push(`forward ${route.forward.join(' ')}`);
  if (route.codec !== 'auto') facts.push(`codec ${route.codec}`);
  if (route.idempotent) facts.push('idempotent');
  if (route.bound) facts.push('bound sessions only');
  return facts;
}

export type Explained = {
  /** False: no backend is reached, and a client would get an error. */
  readonly isReached: boolean;
  readonly text: string;
};

/** Where a session's message would go, and why. Contacts no backend; reads the schemas that the configuration names. */
export async function explainRoute(
  config: Config,
  route: string,
  session: RoutingFacts,
): Promise<Explained> {
  const steps: string[] = [];
  const explained = (isReached: boolean): Explained => ({
    isReached,
    text: `${route}\n${steps.map((step) => `  ${step}\n`).join('')}`,
  });
  if (!isRoute(route, config.limits.route) || namesConstructor(route)) {
    steps.push('400 BAD_ROUTE: expected segments of A-Z a-z 0-9 _ - joined by dots,');
    steps.push(`at most ${config.limits.route} bytes, and no method "constructor"`);
    return explained(false);
  }
  if (isReserved(route)) {
    steps.push(`404 NO_ROUTE: ${OWN_NAMES}`);
    return explained(false);
  }
  const table = new RouteTable(config.routes.map(ruleOf), Object.keys(config.backends));
  const target = table.find(route);
  for (const rule of table.targets) {
    if (target !== null && rule.ordinal > target.ordinal) break;
    const does = patternMatches(rule.match, route) ? 'matches' : 'does not match';
    steps.push(`routes[${rule.ordinal}] ${rule.match}: ${does}`);
  }
  if (target === null) {
    const none = config.routes.length === 0 ? 'there are no routes' : 'no rule matches it';
    steps.push(`404 NO_ROUTE: ${none}`);
    return explained(false);
  }
  if (target.bound && session.uid === '') {
    steps.push('401 NOT_BOUND: only for sessions with a uid; give one with --uid');
    return explained(false);
  }
  const described = await describeTarget(config, route, target, session);
  steps.push(...described.steps);
  return explained(described.isReached);
}

type TargetSteps = { readonly steps: readonly string[]; readonly isReached: boolean };

async function describeTarget(
  config: Config,
  route: string,
  target: Target,
  session: RoutingFacts,
): Promise<TargetSteps> {
  const { timeoutMs, order, split, idempotent } = target;
  const one = chosen(target, session);
  const steps: string[] = [];
  if (split !== null) {
    const shares = split.shares.map(({ backend, weight }) => `${backend} ${weight}`).join(', ');
    const key =
      split.by === 'sid'
        ? `sid ${session.sid}`
        : `${split.by} ${JSON.stringify(keyText(split.by, session))}`;
    steps.push(`shares ${shares}: ${key} selects ${one.backend}`);
  }
  const seen = target.rename === '' ? route : renamed(target.rename, route);
  if (target.rename !== '') steps.push(`the backend sees ${seen}`);
  const instance = target.instance === null ? '' : instanceFor(target.instance, session);
  if (target.instance !== null) {
    const away = target.otherwise === 'error' ? '503 if unreachable' : 'any other if unreachable';
    steps.push(
      instance === ''
        ? `to ${target.to}: empty for this session, so any instance`
        : `to ${target.to}: the instance ${instance}; ${away}`,
    );
  }
  const called = await describeCall(config, { target: one, route: seen, instance });
  steps.push(`backend ${one.backend}: ${called.text}`);
  if (called.isReached) {
    const again = idempotent ? ', may be retried' : '';
    steps.push(`${formatDuration(timeoutMs)} for the answer, order ${order}${again}`);
  }
  return { steps, isReached: called.isReached };
}

function keyText(by: string, { uid, data }: RoutingFacts): unknown {
  return by === 'uid' ? uid : (data[by.replace(/^data\./, '')] ?? '');
}

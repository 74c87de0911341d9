/** Where one route would go, and why: for `pith routes`, and for ExplainRoute of Control. */
import { ruleOf } from '../config/rules.ts';
import type { Config } from '../config/schema.ts';
import { formatDuration } from '../config/units.ts';
import { isReserved } from '../routing/reserved.ts';
import { isRoute, namesConstructor } from '../routing/route.ts';
import { mayUse } from '../routing/roles.ts';
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

export type Explained = {
  /** False: no backend is reached, and a client would get an error. */
  readonly isReached: boolean;
  /** The `match` of the rule; '': none. */
  readonly rule: string;
  /** '': none. */
  readonly backend: string;
  /** Where the backend is called: a URL, a path or a subject; '': nowhere that has an address. */
  readonly address: string;
  /** What was looked at, in order, and what came of it. */
  readonly steps: readonly string[];
};

/** The same for people. */
export function explainedText(route: string, { steps }: Explained): string {
  return `${route}\n${steps.map((step) => `  ${step}\n`).join('')}`;
}

/** Where a session's message would go, and why. Contacts no backend; reads the schemas that the configuration names. */
export async function explainRoute(
  config: Config,
  route: string,
  session: RoutingFacts,
): Promise<Explained> {
  const steps: string[] = [];
  const nowhere = (rule = ''): Explained => ({
    ...{ isReached: false, rule, backend: '', address: '', steps },
  });
  if (!isRoute(route, config.limits.route) || namesConstructor(route)) {
    steps.push('400 BAD_ROUTE: expected segments of A-Z a-z 0-9 _ - joined by dots,');
    steps.push(`at most ${config.limits.route} bytes, and no method "constructor"`);
    return nowhere();
  }
  if (isReserved(route)) {
    steps.push(`404 NO_ROUTE: ${OWN_NAMES}`);
    return nowhere();
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
    return nowhere();
  }
  if (target.bound && session.uid === '') {
    steps.push('401 NOT_BOUND: only for sessions with a uid; give one with --uid');
    return nowhere(target.match);
  }
  if (!mayUse(target.roles, session.data)) {
    const roles = target.roles.join(' or ');
    steps.push(
      `403 FORBIDDEN: only for sessions with the role ${roles} in the data key "roles"; give one with --data`,
    );
    return nowhere(target.match);
  }
  const described = await describeTarget(config, route, target, session);
  steps.push(...described.steps);
  const { isReached, backend, address } = described;
  return { isReached, rule: target.match, backend, address, steps };
}

type TargetSteps = Omit<Explained, 'rule'>;

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
  if (target.group !== null) {
    const group = instanceFor(target.group, session);
    steps.push(
      group === ''
        ? `join ${target.join}: empty for this session, so no group`
        : `join ${target.join}: first the session joins ${group}`,
    );
  }
  const called = await describeCall(config, { target: one, route: seen, instance });
  steps.push(`backend ${one.backend}: ${called.text}`);
  if (called.isReached) {
    const again = idempotent ? ', may be retried' : '';
    steps.push(`${formatDuration(timeoutMs)} for the answer, order ${order}${again}`);
  }
  return { steps, isReached: called.isReached, backend: one.backend, address: called.address };
}

function keyText(by: string, { uid, data }: RoutingFacts): unknown {
  return by === 'uid' ? uid : (data[by.replace(/^data\./, '')] ?? '');
}

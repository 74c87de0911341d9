/**
 * What no key can be checked for alone: names that must exist, keys that go together, ports that collide.
 */
import { checkAccess } from './access-checks.ts';
import { isLoopback, parseAddress, parseBus, parseHostPort } from './address.ts';
import { isConsulService } from './consul-service.ts';
import { checkGates } from './gates.ts';
import { checkJoins } from './joins.ts';
import { checkJwt } from './jwt-keys.ts';
import { checkListeners, checkPorts } from './listener-checks.ts';
import { warnOfOwnNames } from './own-names.ts';
import { didYouMean, type Finding } from './problem.ts';
import { checkResume } from './resume-keys.ts';
import type { BackendConfig } from './schema-backends.ts';
import { backendsOf, type RouteConfig } from './schema-routes.ts';
import { readSections, type Report, type Sections } from './sections.ts';
import { covers, overlap } from './syntax.ts';
import { checkTls } from './tls-checks.ts';

/** What the checks found. */
export type CrossChecks = {
  problems: Finding[];
  /** Nothing that keeps the gateway from starting, but hardly meant. */
  warnings: Finding[];
};

/** Checks a tree across its keys. */
export function crossCheck(tree: unknown): CrossChecks {
  const found: CrossChecks = { problems: [], warnings: [] };
  const sections = readSections(tree);
  const report: Report = (path, message) => found.problems.push({ path, message });
  const warn: Report = (path, message) => found.warnings.push({ path, message });
  checkListeners(sections, report, warn);
  checkAccess(sections, report, warn);
  checkTls(sections, report, warn);
  checkPorts(sections, report);
  checkNats(sections, report, warn);
  warnOfNoBus(sections, warn);
  checkConsul(sections, report);
  checkFleet(sections, report);
  checkWorkers(sections, report, warn);
  checkAuth(sections, report);
  checkJwt(sections, report);
  checkResume(sections, report);
  checkLimits(sections, report);
  checkTelemetry(sections, report);
  checkGates(sections, report, warn);
  for (const [name, backend] of sections.backends) checkBackend(name, backend, sections, report);
  for (const [index, route] of sections.routes.entries()) {
    if (route === undefined) continue;
    checkRouteBackends(route, index, sections, report);
    checkRouteOptions(route, index, sections, report, warn);
  }
  checkJoins(sections, report);
  warnOfUnreachable(sections, warn);
  warnOfIdleMaintenance(sections, warn);
  warnOfOwnNames(sections.routes, sections.backends, warn);
  return found;
}

function checkTelemetry({ known: { telemetry } }: Sections, report: Report): void {
  if (telemetry !== undefined && telemetry.otlp_metrics > 0 && telemetry.otlp === '')
    report(['telemetry', 'otlp_metrics'], 'needs telemetry.otlp, which says where they go');
}

function checkNats({ known: { bus, nats } }: Sections, report: Report, warn: Report): void {
  if (nats === undefined) return;
  const ways = (['creds', 'user', 'token', 'nkey'] as const).filter((name) => nats[name] !== '');
  const [, second] = ways;
  if (second !== undefined) {
    report(['nats', second], `one of creds, user, token, nkey; got ${ways.join(' and ')}`);
  }
  if (nats.password !== '' && nats.user === '') report(['nats', 'password'], 'needs nats.user');
  const address = bus === undefined ? undefined : parseBus(bus);
  if (address?.kind !== 'nats') return;
  const isSecure = address.tls || Object.values(nats.tls).some((value) => value);
  const isAway = address.servers.some(
    (server) => !isLoopback({ kind: 'tcp', ...parseHostPort(server) }),
  );
  const secret = nats.token !== '' ? 'token' : nats.password !== '' ? 'password' : '';
  if (secret !== '' && isAway && !isSecure)
    warn(
      ['nats', secret],
      'it crosses the network unencrypted unless the server insists on TLS: use tls:// in bus, or nkey or creds, which never send their seed',
    );
}

/** Settings of a NATS bus where there is none: most often `bus` was forgotten, and each gateway is on its own. */
function warnOfNoBus({ known: { bus, bus_admin: serves, nats } }: Sections, warn: Report): void {
  if (bus === undefined || parseBus(bus).kind !== 'embedded') return;
  const why = 'has no effect with bus: embedded; set bus: nats://host:4222';
  if (serves === true) warn(['bus_admin'], why);
  for (const key of ['creds', 'user', 'token', 'nkey'] as const)
    if (nats !== undefined && nats[key] !== '') warn(['nats', key], why);
}

/** What gateways can do only if they hear each other. */
function checkFleet({ known: { bus, drain, generation } }: Sections, report: Report): void {
  if (drain?.generations === true && generation === '')
    report(['drain', 'generations'], 'needs generation: a label that each rollout changes');
  if (bus === undefined || parseBus(bus).kind !== 'embedded') return;
  for (const key of ['generations', 'rebalance'] as const)
    if (drain?.[key] === true)
      report(['drain', key], 'needs a NATS bus, on which gateways hear each other; set bus: nats://host:4222'); // prettier-ignore
}

/** What several processes on one set of ports cannot do. */
function checkWorkers(
  { known: { workers = 1, bus, limits, consul }, backends }: Sections,
  report: Report,
  warn: Report,
): void {
  if (workers === 1) return;
  if (bus !== undefined && parseBus(bus).kind === 'embedded')
    report(
      ['workers'],
      'more than 1 needs a NATS bus, by which the workers reach the players of each other; set bus: nats://host:4222, or leave workers at 1',
    );
  if (consul?.register === true)
    report(['consul', 'register'], 'needs workers: 1, as all workers have the same address');
  for (const [name, backend] of backends) {
    if (backend?.kind === 'dial_in')
      report(
        ['backends', name],
        'a backend that dials in reaches only one worker; leave workers at 1, or let the gateway connect to it (grpc, nats, http)',
      );
    if (backend?.kind === 'ipc')
      warn(
        ['workers'],
        `backend "${name}" is on this machine: a sidecar is meant to be small, and does with one worker`,
      );
  }
  if (limits === undefined || workers === 'auto') return;
  const { outbox, outboxes, packet, inflate, unfinished, in_flight_bytes: bodies } = limits;
  const shares = [
    ['outboxes', outboxes, outbox],
    ['unfinished', unfinished, 2 * packet],
    ['in_flight_bytes', bodies, Math.max(packet, inflate)],
  ] as const;
  for (const [key, whole, least] of shares)
    if (whole !== 'auto' && whole >= least && whole < workers * least)
      report(
        ['limits', key],
        `is too little for ${workers} workers, of which each has its share: at least ${workers * least} bytes`,
      );
}

function checkConsul({ known: { consul, control } }: Sections, report: Report): void {
  if (consul?.register !== true || consul.check !== 'grpc') return;
  if (control !== undefined && parseAddress(control.listen).kind === 'unix')
    report(['consul', 'check'], 'grpc needs control.listen on a TCP port; or use http or ttl');
  if (control?.tls.require_client_cert === true)
    report(
      ['consul', 'check'],
      'grpc: an agent shows no certificate, which control.tls.require_client_cert demands; use http or ttl',
    );
}

function checkAuth({ known: { auth }, backends }: Sections, report: Report): void {
  if (auth === undefined) return;
  if (auth.mode === 'connect' && auth.backend === '') {
    report(['auth', 'mode'], 'connect needs auth.backend');
  }
  if (auth.backend !== '' && !backends.has(auth.backend)) {
    report(['auth', 'backend'], noBackend(auth.backend, backends));
  } else if (auth.mode === 'none' && auth.backend !== '') {
    report(['auth', 'backend'], 'nobody is asked with auth.mode: none; set auth.mode: connect');
  } else if (auth.backend !== '') {
    const asked = backends.get(auth.backend);
    if (asked?.kind === 'reply' || asked?.kind === 'gate') {
      const what = asked.kind === 'reply' ? 'a fixed answer' : 'a gate';
      report(['auth', 'backend'], `"${auth.backend}" is ${what}, and cannot be asked`);
    }
    if (asked?.kind === 'grpc' && asked.mode === 'method')
      report(['auth', 'backend'], `"${auth.backend}" has mode: method, which has no Connect`);
  }
  if (auth.max_sessions_per_uid > 0 && auth.sessions_per_uid !== 'many')
    report(
      ['auth', 'max_sessions_per_uid'],
      `only with sessions_per_uid: many; with ${auth.sessions_per_uid} it is 1`,
    );
}

function checkLimits({ known: { limits } }: Sections, report: Report): void {
  if (limits === undefined) return;
  if (limits.slow.close_after < limits.slow.drop_after)
    report(['limits', 'slow', 'close_after'], 'must not be shorter than limits.slow.drop_after');
  if (limits.outboxes !== 'auto' && limits.outboxes < limits.outbox)
    report(['limits', 'outboxes'], 'must not be less than limits.outbox, which is for one session');
  const { in_flight_bytes: bodies, packet, inflate, unfinished } = limits;
  if (unfinished !== 'auto' && unfinished < 2 * packet)
    report(['limits', 'unfinished'], 'must not be less than two packets of limits.packet');
  if (bodies !== 'auto' && bodies < Math.max(packet, inflate))
    report(
      ['limits', 'in_flight_bytes'],
      `must not be less than limits.${packet > inflate ? 'packet' : 'inflate'}, which is for one body`,
    );
}

function checkBackend(
  name: string,
  backend: BackendConfig | undefined,
  { known: { bus, consul } }: Sections,
  report: Report,
): void {
  const path = ['backends', name];
  if (backend?.kind === 'nats' && bus !== undefined && parseBus(bus).kind === 'embedded') {
    report([...path, 'nats'], 'needs a NATS bus; set bus: nats://host:4222');
  }
  if (backend?.kind !== 'grpc') return;
  if (isConsulService(backend.grpc) && consul?.address === '')
    report([...path, 'grpc'], 'needs a Consul agent; set consul.address');
  const sources = (['descriptors', 'protos'] as const).filter((key) => backend[key].length > 0);
  if (backend.mode === 'method') {
    if (backend.services.length === 0) report([...path, 'mode'], 'method needs services');
    if (backend.reflection_digest !== '' && !backend.reflection) {
      report([...path, 'reflection_digest'], 'only with reflection: true');
    }
    if (sources.length === 0 && !backend.reflection) {
      report([...path, 'mode'], 'method needs descriptors, protos or reflection: true');
    }
  } else {
    const given: readonly string[] = [
      ...(backend.services.length > 0 ? ['services'] : []),
      ...sources,
      ...(backend.reflection ? ['reflection'] : []),
      ...(backend.reflection_digest === '' ? [] : ['reflection_digest']),
      ...(Object.values(backend.json).includes(true) ? ['json'] : []),
    ];
    for (const key of given) report([...path, key], 'only with mode: method');
  }
  if (backend.mode !== 'link') {
    if (backend.links > 1) report([...path, 'links'], 'only with mode: link');
    if (backend.link_age > 0) report([...path, 'link_age'], 'only with mode: link');
  }
}

function checkRouteBackends(
  route: RouteConfig,
  index: number,
  { backends }: Sections,
  report: Report,
): void {
  const isList = typeof route.backend !== 'string';
  const names = backendsOf(route).map(({ backend }) => backend);
  for (const [position, name] of names.entries()) {
    const path = ['routes', index, 'backend', ...(isList ? [position, 'backend'] : [])];
    if (!backends.has(name)) report(path, noBackend(name, backends));
    if (names.indexOf(name) !== position) report(path, `"${name}" is in this list twice`);
  }
}

function noBackend(name: string, backends: ReadonlyMap<string, unknown>): string {
  const names = [...backends.keys()];
  const known =
    names.length === 0 ? '; there are no backends' : `; backends are: ${names.join(', ')}`;
  return `no backend named "${name}"${didYouMean(name, names) || known}`;
}

/** By the kind of a backend: whether a route's `to` can name one of its instances. */
const HAS_INSTANCES: Readonly<Record<BackendConfig['kind'], boolean>> = {
  grpc: true,
  nats: true,
  dial_in: true,
  http: false,
  ipc: false,
  reply: false,
  gate: false,
};

function checkRouteOptions(
  route: RouteConfig,
  index: number,
  { backends }: Sections,
  report: Report,
  warn: Report,
): void {
  for (const { backend: name } of backendsOf(route)) {
    const backend = backends.get(name);
    if (backend === undefined) continue;
    const path = ['routes', index];
    const isMethod = backend.kind === 'grpc' && backend.mode === 'method';
    if (isMethod && route.method === '') {
      report([...path, 'method'], `missing; backend "${name}" has mode: method`);
    }
    if (!isMethod && route.method !== '') {
      report([...path, 'method'], `backend "${name}" has no mode: method`);
    }
    if (!isMethod && route.codec === 'protobuf') {
      report(
        [...path, 'codec'],
        `protobuf needs a backend with mode: method; "${name}" does not have it`,
      );
    }
    if (backend.kind !== 'http' && route.path !== '') {
      report([...path, 'path'], `backend "${name}" is not an http backend`);
    }
    if (route.to === '') continue;
    if (backend.kind === 'grpc' && backend.mode !== 'link') {
      warn([...path, 'to'], `backend "${name}" only reports its instance's name in mode: link`);
    } else if (!HAS_INSTANCES[backend.kind]) {
      report([...path, 'to'], `backend "${name}" has no instances: it is ${backend.kind}`);
    }
  }
}

function warnOfUnreachable({ routes }: Sections, warn: Report): void {
  for (const [index, route] of routes.entries()) {
    if (route === undefined) continue;
    const before = routes
      .slice(0, index)
      .findIndex((other) => other !== undefined && covers(other.match, route.match));
    if (before === -1) continue;
    warn(
      ['routes', index, 'match'],
      `never reached: routes[${before}] ("${routes[before]?.match}") matches first`,
    );
  }
}

/** A name that is misspelt there pauses nothing, and nobody would notice. */
function warnOfIdleMaintenance({ known: { maintenance }, routes }: Sections, warn: Report): void {
  for (const [index, paused] of (maintenance?.routes ?? []).entries()) {
    // A rule with a mistake of its own may be the one that is meant.
    if (routes.some((route) => route === undefined || overlap(route.match, paused))) continue;
    warn(
      ['maintenance', 'routes', index],
      'no rule of routes matches such a route: nothing is in maintenance by it',
    );
  }
}

/** Routes: which backend answers what, and how. */
import { z } from 'zod';
import {
  checkedText,
  choice,
  duration,
  flag,
  integer,
  text,
  texts,
  wholeNumber,
} from './fields.ts';
import { checkExample } from './route-examples.ts';
import {
  checkInstanceTemplate,
  checkPattern,
  checkRename,
  checkRoute,
  checkRouteTemplate,
} from './syntax.ts';

const backendName = checkedText((value) =>
  value === '' ? 'expected a name of backends' : undefined,
);

const weightedBackend = z.strictObject({
  backend: backendName.describe('Name of a backend.'),
  weight: wholeNumber({ min: 1, max: 1000 })
    .prefault(1)
    .describe('Its share of the sessions, 1 to 1000, relative to the others.'),
});

/** One rule of the route table. */
export const routeSchema = z.strictObject({
  match: checkedText(checkPattern).describe(
    'Which routes: segments joined by dots; `*` is one segment, `>` one or more, last.',
  ),
  backend: z
    .union([backendName, z.array(weightedBackend).min(1, 'expected at least one backend')], {
      error: 'expected the name of a backend, or a list of { backend, weight }',
    })
    .describe('Name of the backend, or a list of { backend, weight }.'),
  split_by: text(
    'sid',
    "With several backends, what decides a session's: sid, uid or data.<key>; if that is empty, the sid.",
    (value) =>
      /^(sid|uid|data\.[^{}]+)$/.test(value) ? undefined : 'expected sid, uid or data.<key>',
  ),
  rename: text(
    '',
    "The route that the backend sees, e.g. v2.{server}.{handler}.{method}; empty: the client's own.",
    checkRename,
  ),
  method: text(
    '',
    'Method to call, as /lobby.v1.Rooms/Join; required in mode: method. May use {server} {handler} {method}.',
    checkRouteTemplate,
  ),
  path: text(
    '',
    'Path of an http backend, with the same placeholders; default: "/" and the route with / for .',
    (value) => (value.startsWith('/') ? checkRouteTemplate(value) : 'expected a path, as /rooms'),
  ),
  to: text(
    '',
    'One instance of the backend, e.g. {data.roomServer} or {uid}; empty: any.',
    checkInstanceTemplate,
  ),
  else: choice(
    ['error', 'any'],
    'error',
    'If that instance is unreachable: error (503), or any other.',
  ),
  join: text(
    '',
    'A group that the session joins first, e.g. room.{data.room}: the answer is its snapshot, and its pushes follow; empty: none.',
    checkInstanceTemplate,
  ),
  timeout: duration('10s', 'How long an answer may take; then 504.'),
  order: choice(
    ['keep', 'serial', 'none'],
    'keep',
    'keep: messages of a session arrive in order; serial: one in flight per session; none: they may overlap.',
  ),
  codec: choice(
    ['auto', 'raw', 'protobuf'],
    'auto',
    'auto: JSON where clientProtos or serverProtos cover the route, else the bytes unchanged; ' +
      "raw: the bytes unchanged; protobuf: in mode: method, the client sends the method's own messages.",
  ),
  forward: texts('Keys of the session data that the backend sees; "*": all.', (value) =>
    value === '' ? 'expected a key of the session data, or "*"' : undefined,
  ),
  idempotent: flag(false, 'true: may be sent again within its timeout.'),
  bound: flag(false, 'true: only for sessions with a uid; others get 401.'),
  roles: texts(
    'One of these must be in the session data\'s "roles", an array of strings; others get 403. Empty: no such rule.',
    (value) => (value === '' ? 'expected the name of a role' : undefined),
  ),
  rate: integer(
    0,
    "Messages per session and second, and as many at once, 0 to 1000000; beyond it 429. 0: the session's own limit only.",
    {
      min: 0,
      max: 1_000_000,
    },
  ),
  push_route: text(
    '',
    "Route of a server-streaming method's messages; empty: the route itself.",
    checkRoute,
  ),
  examples: texts(
    `Messages that the page /playground offers, each as in pith client: chat.room.join {"name":"ann"}, with notify in front where no answer comes. {player} stands for the name of a session there.`,
    checkExample,
  ),
});

/** All rules; the first match wins. */
export const routesSchema = z
  .array(routeSchema)
  .prefault([])
  .describe('Which backend answers which routes; the first match wins.');

/** One rule of the route table. */
export type RouteConfig = z.output<typeof routeSchema>;
/** One of several backends of a rule, with its share. */
export type WeightedBackend = z.output<typeof weightedBackend>;

/** The backends of a rule as a list, however they were written. */
export function backendsOf(route: Pick<RouteConfig, 'backend'>): WeightedBackend[] {
  return typeof route.backend === 'string'
    ? [{ backend: route.backend, weight: 1 }]
    : route.backend;
}

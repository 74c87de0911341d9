/** Examples of messages to routes, as the command line client takes them: `ROUTE JSON`, or `notify ROUTE JSON`. Pure. */
import { checkRoute } from './syntax.ts';

/** Characters of one example. */
const EXAMPLE_CHARS_MAX = 4_096;

export type RouteExample = {
  readonly route: string;
  /** JSON; `{}`: none was given. */
  readonly body: string;
  readonly notify: boolean;
};

export function parseExample(text: string): RouteExample {
  const [, notify, route, body] = /^(notify\s+)?(\S*)\s*([^]*)$/.exec(text.trim())!;
  return { route: route!, body: body === '' ? '{}' : body!, notify: notify !== undefined };
}

/** What is wrong with an example; undefined: nothing. */
export function checkExample(text: string): string | undefined {
  if (text.length > EXAMPLE_CHARS_MAX) return `at most ${EXAMPLE_CHARS_MAX} characters`;
  const { route, body } = parseExample(text);
  const problem = route === '' ? 'is missing' : checkRoute(route);
  if (problem !== undefined)
    return `expected a route and JSON, as in chat.room.join {"name":"ann"}: the route ${problem}`;
  try {
    JSON.parse(body);
    return undefined;
  } catch {
    return `what follows the route ${route} is not JSON`;
  }
}

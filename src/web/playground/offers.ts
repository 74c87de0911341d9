/** Which routes the page offers, each with a body to begin with. Pure. */

export type Rule = {
  readonly match: string;
  readonly backend: string;
  readonly kind: string;
  readonly mode: string;
  readonly method: string;
  readonly examples: readonly {
    readonly route: string;
    readonly body: string;
    readonly notify: boolean;
  }[];
};

export type Offer = {
  readonly route: string;
  /** JSON; '': nothing is known of it. */
  readonly body: string;
  readonly notify: boolean;
};

/** Of a long table or dictionary. */
const OFFERS_MAX = 500;
const DEPTH_MAX = 4;

/** First the examples of the route table, then its full routes, then what the server itself has said. */
export function offersOf(rules: readonly Rule[], definitions: Definitions): Offer[] {
  const offers = new Map<string, Offer>();
  const add = (offer: Offer): void => {
    if (!offers.has(offer.route) && offers.size < OFFERS_MAX) offers.set(offer.route, offer);
  };
  for (const { examples } of rules) for (const example of examples) add(example);
  for (const { match } of rules) if (!/[*>]/.test(match)) add(offer(match, definitions));
  for (const route of Object.keys(definitions.toServer)) add(offer(route, definitions));
  // A dictionary has the routes of pushes, too: those of requests have dots.
  for (const route of Object.keys(definitions.dict))
    if (route.includes('.')) add(offer(route, definitions));
  return [...offers.values()];
}

function offer(route: string, { toServer }: Definitions): Offer {
  const fields = toServer[route];
  return { route, body: fields === undefined ? '' : sampleOf(toServer, route), notify: false };
}

/** The first rule that a route matches, as the gateway chooses it. */
export function ruleFor(rules: readonly Rule[], route: string): Rule | undefined {
  const segments = route.split('.');
  return rules.find(({ match }) => {
    const pattern = match.split('.');
    const isOpen = pattern.at(-1) === '>';
    if (isOpen ? segments.length < pattern.length : segments.length !== pattern.length)
      return false;
    return pattern.every(
      (one, i) => one === '*' || (isOpen && i === pattern.length - 1) || one === segments[i],
    );
  });
}

/** `{player}` in an example is the name of the session that sends it. */
export function filledIn(text: string, player: string): string {
  return text.replaceAll('{player}', () => JSON.stringify(player).slice(1, -1));
}

type Names = Readonly<Record<string, unknown>>;
/** What a server has sent in its handshake: its dictionary, and its definitions of pomelo-protobuf by direction. */
export type Definitions = {
  readonly dict: Names;
  readonly toServer: Names;
  readonly fromServer: Names;
};
export const NO_DEFINITIONS: Definitions = { dict: {}, toServer: {}, fromServer: {} };

/** From a handshake's `sys`. What it leaves out, the client has from before. */
export function definitionsOf(sys: Names, before: Definitions): Definitions {
  const protos = objectOf(sys['protos']);
  return {
    dict: sys['dict'] === undefined ? before.dict : objectOf(sys['dict']),
    toServer: sys['protos'] === undefined ? before.toServer : objectOf(protos['client']),
    fromServer: sys['protos'] === undefined ? before.fromServer : objectOf(protos['server']),
  };
}

function objectOf(value: unknown): Names {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Names)
    : {};
}

/** A body with every field of a definition. */
export function sampleOf(root: Names, name: string): string {
  return JSON.stringify(valuesOf(objectOf(root[name]), root, 0), null, 2);
}

function valuesOf(fields: Names, root: Names, depth: number): Names {
  const inner = objectOf(fields['__messages']);
  const values: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    if (name.startsWith('__')) continue;
    const { type, option } = objectOf(field);
    const message = objectOf(inner[String(type)] ?? root[`message ${String(type)}`]);
    const isMessage = Object.keys(message).length > 0;
    const value = isMessage
      ? depth < DEPTH_MAX
        ? valuesOf(message, root, depth + 1)
        : {}
      : scalarOf(type);
    values[name] = option === 'repeated' ? [value] : value;
  }
  return values;
}

function scalarOf(type: unknown): unknown {
  return type === 'string' ? '' : type === 'bool' ? false : 0;
}

/** A message of the page as something to run elsewhere: our command line client, nats, grpcurl, the mock backend. Pure. */
import { compact } from './body.ts';
import type { Rule } from './offers.ts';

export type Copied = {
  readonly url: string;
  readonly dialect: string;
  /** The handshake's block as JSON; '' or {}: none. */
  readonly user: string;
  readonly route: string;
  /** JSON; '': {}. */
  readonly body: string;
  readonly notify: boolean;
  /** The last answer, as it came; null: none yet. */
  readonly answer: string | null;
};

/** Where the gateway would take it. */
export type Destination = {
  /** undefined: no rule takes it, or the table is not known. */
  readonly rule: Rule | undefined;
  /** As ExplainRoute has it: a subject, host:port or a URL; '': not known. */
  readonly address: string;
};

export type Copy = { readonly title: string; readonly text: string; readonly note: string };

export function copiesOf(message: Copied, to: Destination): Copy[] {
  return [pithClient(message), nats(message, to), grpcurl(message, to), fixture(message)];
}

function pithClient({ url, dialect, user, route, body, notify }: Copied): Copy {
  const flags = [
    ...(dialect === 'pomelo' ? [] : ['--dialect', dialect]),
    ...(isEmpty(user) ? [] : ['--user', quoted(compact(user))]),
  ];
  const words = (...more: string[]): string => ['pith client', url, ...flags, ...more].join(' ');
  const text = notify
    ? `echo ${quoted(`notify ${route} ${compact(body)}`)} | ${words()}`
    : words('--request', route, '--data', quoted(compact(body)));
  return { title: 'pith client', text, note: 'The same message, from a terminal.' };
}

function nats({ route, body, notify }: Copied, { rule, address }: Destination): Copy {
  const isNats = rule?.kind === 'nats';
  const subject = isNats && address !== '' ? address : `pith.rpc.${route}`;
  const headers = ['Pith-Sid:play.1', `Pith-Route:${route}`].map((one) => `-H ${quoted(one)}`);
  const text = `nats ${notify ? 'pub' : 'request'} ${quoted(subject)} ${quoted(compact(body))} ${headers.join(' ')}`;
  const note = isNats
    ? 'Straight to the backend, as the gateway asks it.'
    : `As the gateway would ask a backend on NATS${goesTo(rule)}.`;
  return { title: 'nats', text, note };
}

function grpcurl({ route, body, notify }: Copied, { rule, address }: Destination): Copy {
  const at = address === '' ? '127.0.0.1:9000' : hostOf(address);
  if (rule?.kind === 'grpc' && rule.mode === 'method') {
    const text = `grpcurl -plaintext -d ${quoted(compact(body))} ${at} ${methodFor(rule.method, route)}`;
    return { title: 'grpcurl', text, note: 'Straight to the method that the route calls.' };
  }
  const request = {
    session: { sid: 'play.1' },
    route,
    body: base64(compact(body)),
    ...(notify && { notify }),
  };
  const proto = '-import-path proto -proto pith/v1/backend.proto';
  const text = `grpcurl -plaintext ${proto} -d ${quoted(JSON.stringify(request))} ${at} pith.v1.Backend/Handle`;
  const note =
    rule?.kind === 'grpc'
      ? 'Straight to the backend; body is base64, and proto is the folder of the contract.'
      : `As the gateway would ask a backend on gRPC${goesTo(rule)}; body is base64.`;
  return { title: 'grpcurl', text, note };
}

/** An entry of the file that `pith mock-backend --answers` takes. */
function fixture({ route, answer }: Copied): Copy {
  const { code, reason, msg, ...rest } = objectOf(answer);
  const isError = typeof code === 'number' && code >= 400 && typeof reason === 'string';
  const lines = [`- match: ${JSON.stringify(route)}`];
  if (isError)
    lines.push(
      `  error: ${JSON.stringify({ code, reason, msg: typeof msg === 'string' ? msg : '' })}`,
    );
  else lines.push(`  answer: ${answer === null || !isJson(answer) ? '{}' : compact(answer)}`);
  const isPart = isError && Object.keys(rest).length > 0;
  const note =
    answer === null
      ? 'For pith mock-backend. Send the request first, and its answer will be in it.'
      : `For pith mock-backend: it answers as the server did${isPart ? ', without the other keys of the error' : ''}.`;
  return { title: 'Mock', text: `${lines.join('\n')}\n`, note };
}

function goesTo(rule: Rule | undefined): string {
  if (rule === undefined) return '';
  return `; this route goes to ${rule.backend}, on ${rule.kind}`;
}

/** `/lobby.v1.{handler}/{method}` for a route. [proto/README.md, mode: method] */
function methodFor(template: string, route: string): string {
  const [server = '', handler = '', method = ''] = route.split('.');
  const names: Readonly<Record<string, string>> = { server, handler, method };
  return template
    .replace(/^\//, '')
    .replaceAll(/\{(\w+)\}/g, (all, name: string) => names[name] ?? all);
}

/** `dns:///chat:9000` is chat:9000 for grpcurl. */
function hostOf(address: string): string {
  return address.replace(/^(?:dns|ipv4|ipv6|passthrough):\/*/, '').replace(/^unix:\/*/, 'unix:///');
}

/** One word for a shell. */
export function quoted(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function base64(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

function isEmpty(json: string): boolean {
  return /^\s*(?:\{\s*\})?\s*$/.test(json);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function objectOf(text: string | null): Readonly<Record<string, unknown>> {
  if (text === null || !isJson(text)) return {};
  const value = JSON.parse(text) as unknown;
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The pages of the admin port, /playground and /console, and the files that they load, as `make web` has built them. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';

import type { Failure } from '../errors.ts';
import { errorText, failure } from '../errors.ts';
import { refusedCaller } from './caller.ts';

export type PageName = 'playground' | 'console';

/** Which pages are on, and by which names browsers may reach them. */
export type WebRules = {
  readonly pages: readonly PageName[];
  /** Some token or certificate is needed to call Control. */
  readonly isGuarded: () => boolean;
  /** `admin.hosts`. */
  readonly hosts: readonly string[];
};

/** Below it are the files that the pages load. */
const FILES_PATH = '/web/';
const BUILT = fileURLToPath(new URL('../gen/web/', import.meta.url));

const TITLES: Readonly<Record<PageName, string>> = {
  playground: 'Pith playground',
  console: 'Pith console',
};

/** Where a page may connect: the playground to any game server, the console to Control alone. */
const CONNECT: Readonly<Record<PageName, string>> = {
  playground: "'self' ws: wss:",
  console: "'self'",
};

const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** What a server sends is text for a page, never markup, and nothing else may frame, open or read it. */
const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export class WebPages {
  readonly #rules: WebRules;
  /** By path without its `/`. */
  readonly #files: ReadonlyMap<string, string>;

  constructor(rules: WebRules) {
    this.#rules = rules;
    const names = ['icon.svg', ...rules.pages.flatMap((page) => [`${page}.js`, `${page}.css`])];
    this.#files = new Map(rules.pages.length === 0 ? [] : names.map((n) => [FILES_PATH + n, n]));
  }

  /** True for a path that is a page's, on or off. */
  has(path: string): boolean {
    return path === '/' || pageOf(path) !== null || path.startsWith(FILES_PATH);
  }

  /** Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    // A browser may go away while it is answered.
    response.on('error', () => {});
    const refusal = this.#refusal(request, path);
    if (refusal !== null) {
      send(response, refusal.code, 'text/plain; charset=utf-8', `${refusal.message}\n`);
      return;
    }
    const page = pageOf(path);
    if (path === '/') {
      const to = this.#rules.pages.at(-1)!;
      response.writeHead(302, { ...HEADERS, Location: to, 'Content-Length': 0 }).end();
    } else if (page !== null) {
      response.setHeader('Content-Security-Policy', policyOf(page));
      send(response, 200, 'text/html; charset=utf-8', htmlOf(page, this.#rules.pages));
    } else await this.#sendFile(response, this.#files.get(path)!);
  }

  /** null: it is answered. */
  #refusal(request: IncomingMessage, path: string): Failure | null {
    const { pages, isGuarded, hosts } = this.#rules;
    const why = refusedCaller(request.headers, {
      isSecure: 'encrypted' in request.socket,
      isGuarded: isGuarded(),
      hosts,
    });
    if (why !== null) return failure('FORBIDDEN', why);
    const page = pageOf(path);
    if (page !== null && !pages.includes(page))
      return failure('NO_ROUTE', `the ${page} is off: set admin.${page}: true`);
    if (page === null && !this.#files.has(path) && (path !== '/' || pages.length === 0))
      return failure('NO_ROUTE', SERVED);
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return { ...failure('UNSUPPORTED', 'only GET and HEAD'), code: 405 };
    return null;
  }

  async #sendFile(response: ServerResponse, name: string): Promise<void> {
    try {
      const content = await readFile(BUILT + name);
      send(response, 200, TYPES[name.split('.').at(-1)!]!, content);
    } catch (error) {
      const why = `${BUILT}${name} cannot be read: ${errorText(error)}; make web writes it`;
      send(response, 500, 'text/plain; charset=utf-8', `${why}\n`);
    }
  }
}

const SERVED =
  'this port serves /livez, /readyz, /drained, /metrics, POST /v1/<Method>, and the pages /playground and /console';

function pageOf(path: string): PageName | null {
  return path === '/playground' || path === '/console' ? (path.slice(1) as PageName) : null;
}

/** [w3.org/TR/CSP3, w3.org/TR/trusted-types] No policy may be made, so no script can turn text into markup. */
function policyOf(page: PageName): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src ${CONNECT[page]}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

/** @param pages Those that are on: the page links to the others. */
function htmlOf(page: PageName, pages: readonly PageName[]): string {
  return `<!doctype html>
<html lang="en" data-pages="${pages.join(' ')}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${TITLES[page]}</title>
<link rel="icon" href="web/icon.svg">
<link rel="stylesheet" href="web/${page}.css">
<script type="module" src="web/${page}.js"></script>
</head>
<body>
<div id="app"></div>
<noscript>This page needs JavaScript.</noscript>
</body>
</html>
`;
}

function send(response: ServerResponse, code: number, type: string, body: string | Buffer): void {
  if (code === 405) response.setHeader('Allow', 'GET, HEAD');
  response.writeHead(code, {
    ...HEADERS,
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

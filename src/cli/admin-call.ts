/** Calls of Control on a gateway's admin port, for the commands that ask a running gateway. */
import { type Clock, within } from '../clock.ts';
import { errorText } from '../errors.ts';
import { isObject } from '../protocol/exact-json.ts';
import type { AdminPort } from './admin-options.ts';

/** Longer than a gateway under load takes. */
const ANSWER_MS = 10_000;

/** What came of a call. `isThere`: something answered. */
export type AdminAnswer =
  | { readonly ok: true; readonly body: Readonly<Record<string, unknown>> }
  | Refused;

export type Refused = { readonly ok: false; readonly isThere: boolean; readonly why: string };

/** Calls a method once. Never rejects. */
export async function askAdmin(
  admin: AdminPort,
  method: string,
  request: object,
  clock: Clock,
): Promise<AdminAnswer> {
  try {
    const response = await answerOf(admin, method, request, clock);
    if ('why' in response) return response;
    const body: unknown = await response.json().catch(() => null);
    if (isObject(body)) return { ok: true, body };
    return { ok: false, isThere: true, why: refusalOf(admin.url, response.status, body) };
  } catch (error) {
    return failureOf(admin, error);
  }
}

/** The head of a call's answer, where that is no refusal. Rejects when nobody answers. */
export async function answerOf(
  { url, token }: AdminPort,
  method: string,
  request: object,
  clock: Clock,
): Promise<Response | Refused> {
  const asked = fetch(`${url}/v1/${method}`, {
    method: 'POST',
    body: JSON.stringify(request),
    headers: {
      'content-type': 'application/json',
      ...(token !== '' && { authorization: `Bearer ${token}` }),
    },
  });
  const response = await within<Response | null>(clock, ANSWER_MS, asked, null);
  if (response === null) throw new Error(`no answer in ${ANSWER_MS / 1_000} s`);
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => null);
  return { ok: false, isThere: true, why: refusalOf(url, response.status, body) };
}

/** Nobody answers, or not to the end. */
export function failureOf({ url }: AdminPort, error: unknown): Refused {
  return { ok: false, isThere: false, why: `cannot ask ${url}: ${whyOf(error)}` };
}

function refusalOf(url: string, status: number, body: unknown): string {
  const error = isObject(body) ? body['error'] : undefined;
  const { msg = '' } = isObject(error) ? error : {};
  if (status === 401) return `${url} wants a token: --token TOKEN, or PITH_ADMIN__TOKEN`;
  const text = typeof msg === 'string' ? msg : '';
  return `${url} answered ${status}${text === '' ? ': is that the admin port of a gateway?' : `: ${text}`}`;
}

/** `fetch` says only "fetch failed"; what happened is its cause. */
function whyOf(error: unknown): string {
  const { cause = error } = error as Error;
  return (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED'
    ? 'nothing listens there'
    : errorText(cause);
}

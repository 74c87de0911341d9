/** Small things that several parts of the console show. */
import type { ComponentChildren } from 'preact';

import type { ControlError } from '../shell/control.ts';
import { Badge, Notice, type Tone } from '../shell/notice.tsx';
import { plural } from './format.ts';
import type { Live } from './live.ts';

const TONES: Readonly<Record<string, Tone>> = {
  ...{
    ready: 'good',
    active: 'good',
    up: 'good',
    link: 'good',
    handle: 'good',
    method: 'good',
    closed: 'good',
  },
  ...{
    connected: 'good',
    starting: 'warn',
    draining: 'warn',
    leaving: 'warn',
    connecting: 'warn',
    silent: 'bad',
  },
  ...{
    away: 'bad',
    unhealthy: 'bad',
    ejected: 'bad',
    open: 'bad',
    stopped: 'bad',
    failed: 'bad',
    error: 'bad',
    warn: 'warn',
  },
};

/** A state in the colour that it has everywhere; the word says the same. */
export function State({ state }: { readonly state: string }) {
  return <Badge tone={TONES[state] ?? 'plain'}>{state}</Badge>;
}

/** What is not of one answer yet, or was refused. */
export function Loading({ live, what }: { readonly live: Live<unknown>; readonly what: string }) {
  if (live.error !== null && !live.error.needsToken && live.error.code !== 0)
    return <Notice tone="bad">{refusalText(live.error)}</Notice>;
  return live.data === null ? <output class="empty">Loading {what} …</output> : null;
}

export function refusalText({ reason, message }: ControlError): string {
  return reason === 'UNREACHABLE' ? message : `${reason}: ${message}`;
}

/** Gateways whose part is missing. */
export function Silent({
  gateways,
  what,
}: {
  readonly gateways: readonly string[];
  readonly what: string;
}) {
  if (gateways.length === 0) return null;
  return (
    <Notice tone="warn">
      {plural(gateways.length, 'gateway does', 'gateways do')} not answer: {gateways.join(', ')}.{' '}
      {what}
    </Notice>
  );
}

/** The way through a list that is too long for one answer. */
export function Pages({
  said,
  pages,
  next,
  onTurn,
}: {
  /** Which of them these are. */
  readonly said: string;
  /** The tokens of the pages up to this one, the first one's first. */
  readonly pages: readonly string[];
  /** Of the next page; '': there is none. */
  readonly next: string;
  readonly onTurn: (pages: readonly string[]) => void;
}) {
  return (
    <div class="actions pages">
      <button
        type="button"
        disabled={pages.length === 1}
        onClick={() => onTurn(pages.slice(0, -1))}
      >
        Previous
      </button>
      <output>{said}</output>
      <button type="button" disabled={next === ''} onClick={() => onTurn([...pages, next])}>
        Next
      </button>
    </div>
  );
}

/** Names and what they are, side by side. */
export function Facts({
  facts,
}: {
  readonly facts: readonly (readonly [name: string, value: ComponentChildren])[];
}) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A number in large letters, and what it counts. */
export function Figure({
  name,
  value,
  note = '',
  tone = 'plain',
}: {
  readonly name: string;
  readonly value: string;
  readonly note?: string;
  readonly tone?: Tone;
}) {
  return (
    <div class={`figure card ${tone}`}>
      <div class="name">{name}</div>
      <div class="value">{value}</div>
      <div class="note">{note}</div>
    </div>
  );
}

/** Where a part of the console is, after the `#`. */
export function hrefOf(...path: readonly string[]): string {
  return `#/${path.map(encodeURIComponent).join('/')}`;
}

/** Outcomes of calls that are no failures. */
const FINE = new Set(['ok', 'client_gone']);

export function totalOf(outcomes: Readonly<Record<string, string>>): number {
  return Object.values(outcomes).reduce((sum, n) => sum + Number(n), 0);
}

export function failedOf(outcomes: Readonly<Record<string, string>>): number {
  return Object.entries(outcomes).reduce(
    (sum, [name, n]) => sum + (FINE.has(name) ? 0 : Number(n)),
    0,
  );
}

/** TIMEOUT 12, BACKEND_AWAY 3: the most frequent first. */
export function Failures({ outcomes }: { readonly outcomes: Readonly<Record<string, string>> }) {
  const failed = Object.entries(outcomes)
    .filter(([name]) => !FINE.has(name))
    .sort(([, a], [, b]) => Number(b) - Number(a));
  return (
    <>
      {failed.map(([name, n]) => (
        <Badge key={name} tone="bad">
          {name} {n}
        </Badge>
      ))}
    </>
  );
}

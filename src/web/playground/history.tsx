/** What has gone through a session, newest first. */
import { useState } from 'preact/hooks';

import { Badge, type Tone } from '../shell/notice.tsx';
import { pretty } from './body.ts';
import type { Entry, Player } from './player.ts';

/** Characters of a body that is shown at once. */
const SHOWN_CHARS = 600;

const ARROWS: Readonly<Record<Entry['kind'], readonly [sign: string, said: string]>> = {
  request: ['→', 'request'],
  notify: ['⇢', 'notify'],
  push: ['←', 'push'],
  note: ['·', ''],
  kick: ['✕', 'kicked'],
};

export type HistoryProps = {
  readonly player: Player;
  /** Puts a message of the history into the form again. */
  readonly onAgain: (entry: Entry) => void;
};

export function History({ player, onAgain }: HistoryProps) {
  const { entries, dropped } = player;
  if (entries.length === 0)
    return <p class="empty">Connect, and send something: answers and pushes appear here.</p>;
  return (
    <>
      <div class="bar">
        <span class="hint">{summaryOf(entries, dropped)}</span>
        <button
          type="button"
          class="quiet"
          onClick={() => {
            player.clear();
          }}
        >
          Clear
        </button>
      </div>
      <div role="log" aria-label={`Messages of ${player.name}`}>
        <ol class="history">
          {entries.toReversed().map((entry) => (
            <Line key={entry.id} entry={entry} onAgain={onAgain} />
          ))}
        </ol>
      </div>
    </>
  );
}

function Line({
  entry,
  onAgain,
}: {
  readonly entry: Entry;
  readonly onAgain: HistoryProps['onAgain'];
}) {
  const { kind, route, sent, got, ms, tone, atMs } = entry;
  const [sign, said] = ARROWS[kind];
  if (kind === 'note')
    return (
      <li class={`note ${tone}`}>
        <Time atMs={atMs} />
        <span>{route}</span>
      </li>
    );
  return (
    <li class={kind}>
      <div class="head">
        <span class="sign" aria-hidden="true">
          {sign}
        </span>
        <span class="hidden">{said} </span>
        <strong class="route">{kind === 'kick' ? `kicked ${route}` : route}</strong>
        <Outcome entry={entry} />
        <Time atMs={atMs} />
      </div>
      {sent !== '' && (
        <div class="sent">
          <Text text={sent} />
          <button
            type="button"
            class="quiet"
            aria-label={`Use ${route} again`}
            onClick={() => {
              onAgain(entry);
            }}
          >
            Again
          </button>
        </div>
      )}
      {got !== null && <Text text={got} tone={kind === 'push' || ms !== null ? 'plain' : tone} />}
    </li>
  );
}

function Outcome({ entry: { kind, got, ms, tone } }: { readonly entry: Entry }) {
  if (kind !== 'request') return null;
  if (ms !== null) return <Badge tone={tone}>{msText(ms)}</Badge>;
  return got === null ? <Badge>waiting…</Badge> : <Badge tone="bad">no answer</Badge>;
}

/** A body: short JSON on one line, longer on many, and a long one only as far as it is asked for. */
function Text({ text, tone = 'plain' }: { readonly text: string; readonly tone?: Tone }) {
  const [isWhole, setWhole] = useState(false);
  const shown = text.length > 60 ? pretty(text) : text;
  const isLong = shown.length > SHOWN_CHARS;
  return (
    <div class={`text ${tone}`}>
      <pre>{isLong && !isWhole ? `${shown.slice(0, SHOWN_CHARS)}…` : shown}</pre>
      {isLong && (
        <button
          type="button"
          class="quiet"
          onClick={() => {
            setWhole(!isWhole);
          }}
        >
          {isWhole ? 'Less' : `All ${shown.length} characters`}
        </button>
      )}
    </div>
  );
}

function Time({ atMs }: { readonly atMs: number }) {
  const at = new Date(atMs);
  return <time dateTime={at.toISOString()}>{at.toTimeString().slice(0, 8)}</time>;
}

/** 0.8 ms, 12 ms, 1.4 s. */
export function msText(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** How many there are, and how long answers take. */
export function summaryOf(entries: readonly Entry[], dropped: number): string {
  const times = entries.flatMap(({ ms }) => (ms === null ? [] : [ms])).toSorted((a, b) => a - b);
  const pushes = entries.filter(({ kind }) => kind === 'push').length;
  const words = [
    counted(entries.length, 'line'),
    ...(dropped > 0 ? [`${dropped} older no longer kept`] : []),
    ...(pushes > 0 ? [counted(pushes, 'push', 'pushes')] : []),
    ...(times.length > 0
      ? [`${counted(times.length, 'answer')}, median ${msText(times[times.length >> 1]!)}`]
      : []),
  ];
  return words.join(' · ');
}

function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** The warnings and errors of the whole fleet, as they come. */
import { useEffect, useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import { after } from '../shell/clock.ts';
import { ControlError } from '../shell/control.ts';
import { Badge } from '../shell/notice.tsx';
import { TextField } from '../shell/fields.tsx';
import type { LogLine } from './answers.ts';
import { clockTime } from './format.ts';
import { asControlError, link } from './live.ts';
import { refusalText, Silent } from './parts.tsx';

/** Lines that are shown. */
const LINES_MAX = 500;
const AGAIN_MS = 2_000;
/** A stream that says nothing for longer is cut: it says every five seconds that it lives. */
const SILENT_MS = 20_000;

/** The lines as they come, the newest first. A stream that breaks off is begun again. */
function useLog() {
  const [lines, setLines] = useState<readonly LogLine[]>([]);
  const [silent, setSilent] = useState<readonly string[]>([]);
  const [refused, setRefused] = useState('');
  const [isLive, setLive] = useState(false);
  useEffect(() => {
    const end = new AbortController();
    const take = (line: LogLine): void => {
      setLive(true);
      setRefused('');
      if (line.message === '') setSilent(line.silent_gateways);
      else
        setLines((before) =>
          before.some((one) => isSame(one, line)) ? before : [line, ...before].slice(0, LINES_MAX),
        );
    };
    let cancel = (): void => {};
    const again = (): void => {
      cancel();
      follow();
    };
    const follow = (): void => {
      inBackground(followLog(end.signal, take), (problem) => {
        if (end.signal.aborted) return;
        const error = asControlError(problem);
        setLive(false);
        if (error.code !== 0 && !error.needsToken) setRefused(refusalText(error));
        // Another token begins it again.
        cancel = error.needsToken ? link.onToken(again) : after(AGAIN_MS, follow);
      });
    };
    follow();
    return () => {
      end.abort(new DOMException('left', 'AbortError'));
      cancel();
    };
  }, []);
  return { lines, silent, refused, isLive };
}

export function Log() {
  const { lines, silent, refused, isLive } = useLog();
  const [filter, setFilter] = useState('');
  const text = filter.toLowerCase();
  const shown = lines.filter((line) =>
    `${line.gateway} ${line.message} ${line.fields}`.toLowerCase().includes(text),
  );
  return (
    <div class="stack">
      <div class="head">
        <h1>Log</h1>
        <Badge tone={isLive ? 'good' : 'warn'}>{isLive ? 'live' : 'connecting'}</Badge>
      </div>
      <TextField
        label="Only lines with"
        type="search"
        value={filter}
        onInput={setFilter}
        class="search"
      />
      {refused !== '' && (
        <p class="notice bad" role="alert">
          {refused}
        </p>
      )}
      <Silent gateways={silent} what="Their lines are missing." />
      {shown.length === 0 ? (
        <p class="empty">{lines.length === 0 ? 'No warnings, no errors.' : 'No line has that.'}</p>
      ) : (
        <ol class="log" aria-label="Warnings and errors, the newest first">
          {shown.map((line) => (
            <li key={`${line.gateway} ${line.seq}`} class={`card ${line.level}`}>
              <div class="head">
                <span class="when">{clockTime(line.time)}</span>
                <Badge tone={line.level === 'error' ? 'bad' : 'warn'}>{line.level}</Badge>
                <strong>{line.message}</strong>
                <span class="mono soft">{line.gateway}</span>
              </div>
              <Fields fields={line.fields} />
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function isSame(a: LogLine, b: LogLine): boolean {
  return a.seq === b.seq && a.gateway === b.gateway;
}

/** @throws {ControlError} It was refused, or ended. */
async function followLog(signal: AbortSignal, take: (line: LogLine) => void): Promise<void> {
  const limit = new AbortController();
  const stop = (): void => {
    limit.abort(signal.reason);
  };
  signal.addEventListener('abort', stop);
  const cut = (): void => {
    limit.abort(new ControlError(0, 'UNREACHABLE', 'the stream is silent'));
  };
  let cancel = after(SILENT_MS, cut);
  try {
    for await (const line of link.control.stream<LogLine>(
      'WatchLog',
      {},
      { signal: limit.signal },
    )) {
      cancel();
      cancel = after(SILENT_MS, cut);
      take(line);
    }
  } finally {
    cancel();
    signal.removeEventListener('abort', stop);
  }
  throw new ControlError(0, 'UNREACHABLE', 'the stream has ended');
}

/** name=value, as people read it; what is not JSON any more as it is. */
function Fields({ fields }: { readonly fields: string }) {
  const known = entriesOf(fields);
  if (known === null) return <div class="fields mono">{fields}</div>;
  return (
    <div class="fields">
      {known.map(([name, value]) => (
        <span key={name}>
          <span class="soft">{name}</span> <span class="mono">{value}</span>
        </span>
      ))}
    </div>
  );
}

function entriesOf(fields: string): (readonly [string, string])[] | null {
  try {
    const object = JSON.parse(fields) as Record<string, unknown>;
    return Object.entries(object).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]);
  } catch {
    return null;
  }
}

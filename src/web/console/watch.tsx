/** The packets of a session as they pass, with what became of each. */
import { useEffect, useRef, useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import { Badge, Notice } from '../shell/notice.tsx';
import type { WatchEvent } from './answers.ts';
import { bytes, clockTime, msOf, span } from './format.ts';
import { asControlError, link } from './live.ts';
import { refusalText } from './parts.tsx';

/** Events that are shown. */
const EVENTS_MAX = 300;
/** Events of the watch itself, which are not shown one by one. */
const QUIET = new Set(['watching', 'seen']);

type Shown = WatchEvent & { readonly n: number };

export function Watch({ sid, hasEnded }: { readonly sid: string; readonly hasEnded: boolean }) {
  const [isOn, setOn] = useState(true);
  const [bodies, setBodies] = useState(false);
  const [events, setEvents] = useState<readonly Shown[]>([]);
  const [error, setError] = useState('');
  const n = useRef(0);
  useEffect(() => {
    if (!isOn || hasEnded) return;
    const end = new AbortController();
    const follow = async (): Promise<void> => {
      const request = { target: { sids: [sid] }, bodies };
      for await (const event of link.control.stream<WatchEvent>('Watch', request, {
        signal: end.signal,
      })) {
        setError('');
        if (QUIET.has(event.kind)) continue;
        const shown = { ...event, n: ++n.current };
        setEvents((before) => [shown, ...before].slice(0, EVENTS_MAX));
      }
      setOn(false);
    };
    inBackground(follow(), (problem) => {
      if (end.signal.aborted) return;
      setError(refusalText(asControlError(problem)));
      setOn(false);
    });
    return () => {
      end.abort(new DOMException('left', 'AbortError'));
    };
  }, [sid, isOn, bodies, hasEnded]);
  return (
    <div class="stack">
      <div class="head">
        <button type="button" onClick={() => setOn(!isOn)} disabled={hasEnded}>
          {isOn ? 'Pause' : 'Watch'}
        </button>
        <label class="check">
          <input
            type="checkbox"
            checked={bodies}
            onChange={({ currentTarget }) => setBodies(currentTarget.checked)}
          />
          with bodies (role write, and admin.watch_bodies)
        </label>
        <button type="button" class="quiet" onClick={() => setEvents([])}>
          Clear
        </button>
      </div>
      {error !== '' && <Notice tone="bad">{error}</Notice>}
      {events.length === 0 ? (
        <p class="empty">{isOn && !hasEnded ? 'Nothing has passed yet.' : 'Not watching.'}</p>
      ) : (
        <ol class="events">
          {events.map((event) => (
            <Event key={event.n} event={event} />
          ))}
        </ol>
      )}
    </div>
  );
}

function Event({ event }: { readonly event: Shown }) {
  const { at, direction, kind, route, id, code, reason, rule, backend, address, took, note } =
    event;
  const where = [rule, backend, address].filter((text) => text !== '').join(' → ');
  const text = bodyText(event);
  return (
    <li class={`card event ${direction}`}>
      <div class="head">
        <span class="when">{clockTime(at)}</span>
        <span class="way" title={direction === 'in' ? 'from the client' : 'to the client'}>
          {direction === 'in' ? '→ in' : direction === 'out' ? '← out' : ''}
        </span>
        <Badge tone={code >= 400 ? 'bad' : 'plain'}>{kind}</Badge>
        <strong class="mono">{route}</strong>
        {id !== '0' && <span class="soft">#{id}</span>}
        {event.bytes > 0 && <span class="soft">{bytes(event.bytes)}</span>}
        {took !== undefined && <span class="soft">{span(msOf(took))}</span>}
        {code !== 0 && (
          <span class={code >= 400 ? 'error' : 'soft'}>
            {code} {reason}
          </span>
        )}
      </div>
      {where !== '' && <div class="soft mono">{where}</div>}
      {note !== '' && <div>{note}</div>}
      {kind === 'skipped' && <div class="soft">left out: {event.over_rate + event.unread}</div>}
      {text !== '' && <pre class="code">{text}</pre>}
    </li>
  );
}

function bodyText({ body }: WatchEvent): string {
  if (body === undefined) return '';
  if (body.text !== undefined) return body.text;
  if (body.json !== undefined) return JSON.stringify(body.json, null, 2);
  return body.bytes === undefined ? '' : `base64 ${body.bytes}`;
}

/** The page /console: what the fleet does, and what can be done to it. All of it is Control. */
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { Notice } from '../shell/notice.tsx';
import { Page, showPage } from '../shell/page.tsx';
import { TokenDialog } from '../shell/token-dialog.tsx';
import { Backends } from './backends.tsx';
import { clockTime } from './format.ts';
import { Fleet } from './fleet.tsx';
import { Groups } from './groups.tsx';
import { link, type Trouble, useMethod } from './live.ts';
import { Log } from './log.tsx';
import { hrefOf } from './parts.tsx';
import { Routes } from './routes.tsx';
import { SessionPage } from './session.tsx';
import { Sessions } from './sessions.tsx';

const PARTS: readonly (readonly [id: string, title: string])[] = [
  ['fleet', 'Fleet'],
  ['sessions', 'Sessions'],
  ['backends', 'Backends'],
  ['routes', 'Routes'],
  ['groups', 'Groups'],
  ['log', 'Log'],
];
const INFO_MS = 15_000;

/** #/sessions/<sid>, #/sessions?search=… */
type Place = { readonly part: string; readonly name: string; readonly search: string };

function placeNow(): Place {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [part = '', name = ''] = path.split('/').map(decoded);
  const known = PARTS.some(([id]) => id === part) ? part : 'fleet';
  return { part: known, name, search: new URLSearchParams(query).get('search') ?? '' };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function usePlace(): Place {
  const [place, setPlace] = useState(placeNow);
  useEffect(() => {
    const moved = (): void => {
      setPlace(placeNow());
    };
    addEventListener('hashchange', moved);
    return () => {
      removeEventListener('hashchange', moved);
    };
  }, []);
  return place;
}

function useTrouble(): Trouble | null {
  const [trouble, setTrouble] = useState(link.trouble);
  useEffect(() => link.listen(() => setTrouble(link.trouble)), []);
  return trouble;
}

type Info = { readonly gateway: string };

function ConsolePage() {
  const { part, name, search } = usePlace();
  const trouble = useTrouble();
  const { data: info } = useMethod<Info>('GetInfo', {}, INFO_MS);
  const needsToken = trouble?.error.needsToken === true;
  const [isAsking, setAsking] = useState(true);
  const title = PARTS.find(([id]) => id === part)![1];
  useEffect(() => {
    document.title = `${name === '' ? title : name} – Pith console`;
  }, [title, name]);
  return (
    <Page name="console" gateway={info?.gateway ?? ''}>
      <nav class="parts" aria-label="Parts of the console">
        {PARTS.map(([id, text]) => (
          <a key={id} href={hrefOf(id)} aria-current={id === part ? 'page' : undefined}>
            {text}
          </a>
        ))}
      </nav>
      {trouble !== null && !needsToken && <Lost trouble={trouble} />}
      {needsToken && !isAsking && (
        <Notice tone="warn">
          The admin port of this gateway needs a token.{' '}
          <button type="button" onClick={() => setAsking(true)}>
            Enter it
          </button>
        </Notice>
      )}
      {needsToken && isAsking && (
        <TokenDialog
          error={link.control.hasToken ? trouble.error.message : ''}
          onClose={() => setAsking(false)}
          onToken={(token) => {
            link.setToken(token);
          }}
        />
      )}
      <div class="part">{contentOf({ part, name, search })}</div>
    </Page>
  );
}

function contentOf({ part, name, search }: Place): ComponentChildren {
  switch (part) {
    case 'sessions':
      return name === '' ? (
        <Sessions search={search} onSearch={searchFor} />
      ) : (
        <SessionPage key={name} sid={name} />
      );
    case 'backends':
      return <Backends name={name} />;
    case 'routes':
      return <Routes />;
    case 'groups':
      return <Groups />;
    case 'log':
      return <Log />;
    default:
      return <Fleet />;
  }
}

function searchFor(text: string): void {
  const query = text === '' ? '' : `?${new URLSearchParams({ search: text }).toString()}`;
  // Not one entry of the browser's history for each letter.
  history.replaceState(null, '', hrefOf('sessions') + query);
  dispatchEvent(new HashChangeEvent('hashchange'));
}

function Lost({ trouble: { error, lastOkAt } }: { readonly trouble: Trouble }) {
  return (
    <Notice tone="bad">
      {error.message}. {lastOkAt > 0 && `What is shown is of ${clockTime(lastOkAt)}. `}Trying again
      …
    </Notice>
  );
}

showPage(<ConsolePage />);

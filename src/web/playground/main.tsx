/** The page /playground: sessions of one's own, side by side, at this gateway or any other server of the family. */
import { useEffect, useReducer, useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import { abortedAfter } from '../shell/clock.ts';
import { Control, ControlError } from '../shell/control.ts';
import { Notice } from '../shell/notice.tsx';
import { Page, showPage } from '../shell/page.tsx';
import { TokenDialog } from '../shell/token-dialog.tsx';
import { addressOf, type Listener } from './address.ts';
import type { Rule } from './offers.ts';
import { PLAYERS_MAX, Players } from './players.ts';
import { SessionCard } from './session-card.tsx';

/** Of GetPlayground. */
type Offered = { readonly listeners: readonly Listener[]; readonly rules: readonly Rule[] };
type Gateway = {
  /** It has answered, or it is clear that it will not: until then nobody should connect to a wrong address. */
  readonly isAsked: boolean;
  readonly id: string;
  readonly addresses: readonly string[];
  readonly rules: readonly Rule[];
};

/** How long the page waits for it. */
const ASK_MS = 5_000;

const NO_GATEWAY: Gateway = { isAsked: false, id: '', addresses: [], rules: [] };

const control = new Control();
const players = new Players();

async function readGateway(): Promise<Gateway> {
  const signal = abortedAfter(ASK_MS);
  const [{ gateway }, { listeners, rules }] = await Promise.all([
    control.call<{ readonly gateway: string }>('GetInfo', {}, { signal }),
    control.call<Offered>('GetPlayground', {}, { signal }),
  ]);
  const forBrowsers = listeners.flatMap((listener) => {
    const address = addressOf(listener, location);
    return address === null ? [] : [{ address, dialect: listener.dialect }];
  });
  players.offer(forBrowsers);
  return {
    isAsked: true,
    id: gateway,
    addresses: forBrowsers.map(({ address }) => address),
    rules,
  };
}

/** The gateway of this page; an error where Control says nothing. The page works without. */
function useGateway(): [Gateway, ControlError | null, () => void] {
  const [gateway, setGateway] = useState(NO_GATEWAY);
  const [error, setError] = useState<ControlError | null>(null);
  const load = (): void => {
    const loaded = readGateway().then((found) => {
      setGateway(found);
      setError(null);
    });
    inBackground(loaded, (problem) => {
      setGateway((before) => ({ ...before, isAsked: true }));
      const why = `it has not answered within ${ASK_MS / 1_000} s`;
      setError(problem instanceof ControlError ? problem : new ControlError(0, '', why));
    });
  };
  useEffect(load, []);
  return [gateway, error, load];
}

function PlaygroundPage() {
  const [, changed] = useReducer<number, null>((n) => n + 1, 0);
  useEffect(() => players.watch(() => changed(null)), []);
  const [gateway, error, load] = useGateway();
  const [asksToken, setAsksToken] = useState(false);
  const { all, chosen } = players;
  return (
    <Page name="playground" gateway={gateway.id}>
      <h1 class="hidden">Playground</h1>
      {error !== null && (
        <Trouble error={error} onToken={() => setAsksToken(true)} onAgain={load} />
      )}
      <Bar rules={gateway.rules} isAsked={gateway.isAsked} />
      <div class="sessions">
        {(gateway.isAsked ? all : []).map((player) => (
          <SessionCard
            key={player.id}
            player={player}
            control={control}
            rules={gateway.rules}
            addresses={gateway.addresses}
            isChosen={player.id === chosen}
            onTwin={() => players.addTwin(player)}
            onClose={() => players.remove(player)}
          />
        ))}
        {!gateway.isAsked && <p class="empty">Asking the gateway what it offers…</p>}
        {gateway.isAsked && all.length === 0 && (
          <p class="empty">No session is open: add one above.</p>
        )}
      </div>
      {asksToken && (
        <TokenDialog
          error={control.hasToken && error?.needsToken === true ? error.message : ''}
          onClose={() => setAsksToken(false)}
          onToken={(token) => {
            control.setToken(token);
            setAsksToken(false);
            load();
          }}
        />
      )}
    </Page>
  );
}

function Bar({ rules, isAsked }: Pick<Gateway, 'rules' | 'isAsked'>) {
  const { all, chosen } = players;
  const isFull = all.length >= PLAYERS_MAX;
  const first = rules.flatMap(({ examples }) => examples)[0];
  return (
    <div class="bar top-bar">
      <fieldset class="chips">
        <legend class="hidden">Sessions</legend>
        {all.map(({ id, name, state }) => (
          <button
            key={id}
            type="button"
            class={`chip ${state}`}
            aria-pressed={id === chosen}
            onClick={() => players.choose(id)}
          >
            {name || 'unnamed'}
          </button>
        ))}
      </fieldset>
      <div class="actions">
        <button type="button" disabled={!isAsked || isFull} onClick={() => players.add()}>
          New session
        </button>
        <button
          type="button"
          class="primary"
          disabled={!isAsked || isFull}
          title={
            first === undefined
              ? 'Connects two sessions'
              : `Connects two sessions, and sends ${first.route} from each`
          }
          onClick={() => {
            inBackground(players.startTwo(first), () => {});
          }}
        >
          Two players
        </button>
      </div>
    </div>
  );
}

function Trouble({
  error,
  onToken,
  onAgain,
}: {
  readonly error: ControlError;
  readonly onToken: () => void;
  readonly onAgain: () => void;
}) {
  return (
    <Notice tone="warn">
      <div class="bar">
        <span>
          {error.needsToken
            ? 'Routes and addresses of this gateway are shown to those who have its token. The page works without.'
            : `Routes and addresses of this gateway cannot be shown: ${error.message}`}
        </span>
        {error.needsToken ? (
          <button type="button" onClick={onToken}>
            Enter the token
          </button>
        ) : (
          <button type="button" onClick={onAgain}>
            Try again
          </button>
        )}
      </div>
    </Notice>
  );
}

showPage(<PlaygroundPage />);

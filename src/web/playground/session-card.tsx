/** One session: where it is connected, what it sends, and what came. */
import { useEffect, useRef, useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import type { Control } from '../shell/control.ts';
import { Badge, type Tone } from '../shell/notice.tsx';
import { Tabs } from '../shell/tabs.tsx';
import { ConnectionForm } from './connection-form.tsx';
import { CopyDialog } from './copy-dialog.tsx';
import { History } from './history.tsx';
import { filledIn, offersOf, type Rule } from './offers.ts';
import type { Player } from './player.ts';
import { keepSettings } from './players.ts';
import { type Draft, SendForm } from './send-form.tsx';
import { ServerFacts } from './server-facts.tsx';

const TONES: Readonly<Record<Player['state'], Tone>> = {
  idle: 'plain',
  connecting: 'warn',
  open: 'good',
  reconnecting: 'warn',
  closed: 'plain',
};
const WORDS: Readonly<Record<Player['state'], string>> = {
  idle: 'not connected',
  connecting: 'connecting…',
  open: 'connected',
  reconnecting: 'reconnecting…',
  closed: 'not connected',
};
const TABS = [
  { id: 'messages', title: 'Messages' },
  { id: 'server', title: 'Server' },
] as const;

export type SessionCardProps = {
  readonly player: Player;
  readonly control: Control;
  readonly rules: readonly Rule[];
  readonly addresses: readonly string[];
  /** On a narrow screen only the chosen one is shown. */
  readonly isChosen: boolean;
  readonly onTwin: () => void;
  readonly onClose: () => void;
};

export function SessionCard({ player, control, rules, addresses, ...props }: SessionCardProps) {
  const offers = offersOf(rules, player.definitions);
  const first = offers[0];
  const [edited, setDraft] = useState<Draft | null>(null);
  const [tab, setTab] = useState<string>('messages');
  const [isCopying, setCopying] = useState(false);
  const card = useInView(props.isChosen);
  const draft = edited ?? {
    route: first?.route ?? '',
    body: filledIn(first?.body ?? '', player.name),
    notify: first?.notify ?? false,
  };
  const send = (kind: 'request' | 'notify'): void => {
    setDraft(draft);
    if (kind === 'notify') player.notify(draft.route, draft.body);
    else inBackground(player.request(draft.route, draft.body), () => {});
  };
  return (
    <section
      ref={card}
      class="session card"
      aria-label={`Session ${player.name}`}
      data-chosen={props.isChosen}
    >
      <Title player={player} onTwin={props.onTwin} onClose={props.onClose} />
      <ConnectionForm
        player={player}
        addresses={addresses}
        onConnect={() => {
          const connected = player.connect().then(() => {
            if (player.isOpen) keepSettings(player.settings);
          });
          inBackground(connected, () => {});
        }}
      />
      <SendForm
        player={player}
        offers={offers}
        draft={draft}
        onDraft={setDraft}
        onSend={send}
        onCopy={() => {
          setCopying(true);
        }}
      />
      <Tabs label={`Of ${player.name}`} tabs={TABS} chosen={tab} onChoose={setTab}>
        {tab === 'messages' ? (
          <History
            player={player}
            onAgain={({ kind, route, sent }) => {
              setDraft({ route, body: sent, notify: kind === 'notify' });
            }}
          />
        ) : (
          <ServerFacts player={player} />
        )}
      </Tabs>
      {isCopying && (
        <CopyDialog
          control={control}
          rules={rules}
          message={copiedOf(player, draft)}
          onClose={() => {
            setCopying(false);
          }}
        />
      )}
    </section>
  );
}

/** Brings it into view once it is chosen: sideways alone, the page itself stays where it is. */
function useInView(isChosen: boolean) {
  const card = useRef<HTMLElement>(null);
  useEffect(() => {
    const { offsetLeft, offsetWidth, parentElement } = card.current!;
    const { scrollLeft, clientWidth } = parentElement!;
    const isInView =
      offsetLeft >= scrollLeft && offsetLeft + offsetWidth <= scrollLeft + clientWidth;
    if (isChosen && !isInView) parentElement!.scrollLeft = offsetLeft;
  }, [isChosen]);
  return card;
}

function Title({
  player,
  onTwin,
  onClose,
}: Pick<SessionCardProps, 'player' | 'onTwin' | 'onClose'>) {
  const { name, state } = player;
  return (
    <header class="title">
      <h2>
        <input
          class="name"
          aria-label="Name of this session"
          value={name}
          maxLength={200}
          spellcheck={false}
          autoComplete="off"
          onInput={({ currentTarget }) => {
            player.setName(currentTarget.value);
          }}
        />
      </h2>
      <span aria-live="polite">
        <Badge tone={TONES[state]}>{WORDS[state]}</Badge>
      </span>
      <button
        type="button"
        class="quiet"
        title="Another session with the same settings"
        aria-label={`Duplicate ${name}`}
        onClick={onTwin}
      >
        Duplicate
      </button>
      <button type="button" class="quiet" aria-label={`Close ${name}`} onClick={onClose}>
        ✕
      </button>
    </header>
  );
}

function copiedOf({ settings, address, entries }: Player, draft: Draft) {
  const last = entries.findLast(
    (entry) => entry.kind === 'request' && entry.route === draft.route && entry.ms !== null,
  );
  return {
    url: 'url' in address ? address.url : settings.address,
    ...{ dialect: settings.dialect, user: settings.user, ...draft },
    answer: last?.got ?? null,
  };
}

/** A message to send: its route, with those that are known, and its body. */
import { TextArea, TextField } from '../shell/fields.tsx';
import { problemOf } from './body.ts';
import { filledIn, type Offer } from './offers.ts';
import type { Player } from './player.ts';

/** Offers that have a button of their own; the field of the route has all. */
const BUTTONS_MAX = 8;

export type Draft = { readonly route: string; readonly body: string; readonly notify: boolean };

export type SendFormProps = {
  readonly player: Player;
  readonly offers: readonly Offer[];
  readonly draft: Draft;
  readonly onDraft: (draft: Draft) => void;
  readonly onSend: (kind: 'request' | 'notify') => void;
  readonly onCopy: () => void;
};

export function SendForm({ player, offers, draft, onDraft, onSend, onCopy }: SendFormProps) {
  const problem = problemOf(draft.body);
  const isWhole = draft.route !== '' && problem === '';
  const usual = draft.notify ? 'notify' : 'request';
  const send = (kind: 'request' | 'notify'): void => {
    if (player.isOpen && isWhole) onSend(kind);
  };
  const take = ({ route, body, notify }: Offer): void => {
    onDraft({ route, body: filledIn(body, player.name), notify });
  };
  return (
    <form
      class="send"
      onSubmit={(event) => {
        event.preventDefault();
        send(usual);
      }}
    >
      <Offers offers={offers.slice(0, BUTTONS_MAX)} chosen={draft.route} onChoose={take} />
      <TextField
        label="Route"
        mono
        value={draft.route}
        placeholder="server.handler.method"
        offers={offers.map(({ route }) => route)}
        onInput={(route) => {
          const known = offers.find((offer) => offer.route === route);
          if (known !== undefined && known.body !== '') take(known);
          else onDraft({ ...draft, route });
        }}
      />
      <TextArea
        label="Body (JSON)"
        rows={3}
        value={draft.body}
        error={problem}
        onInput={(body) => {
          onDraft({ ...draft, body });
        }}
        onSubmit={(isShifted) => {
          send(isShifted ? 'notify' : usual);
        }}
      />
      <div class="actions">
        <SendButton
          kind="request"
          title="Ctrl+Enter"
          usual={usual}
          canSend={player.isOpen && isWhole}
          onSend={send}
        />
        <SendButton
          kind="notify"
          title="Ctrl+Shift+Enter"
          usual={usual}
          canSend={player.isOpen && isWhole}
          onSend={send}
        />
        <button type="button" class="quiet" disabled={!isWhole} onClick={onCopy}>
          Copy as…
        </button>
      </div>
    </form>
  );
}

function SendButton({
  kind,
  title,
  usual,
  canSend,
  onSend,
}: {
  readonly kind: 'request' | 'notify';
  readonly title: string;
  /** What the other keys send: the button that stands out. */
  readonly usual: string;
  readonly canSend: boolean;
  readonly onSend: SendFormProps['onSend'];
}) {
  return (
    <button
      type="button"
      class={kind === usual ? 'primary' : undefined}
      disabled={!canSend}
      title={title}
      onClick={() => {
        onSend(kind);
      }}
    >
      {kind === 'request' ? 'Request' : 'Notify'}
    </button>
  );
}

function Offers({
  offers,
  chosen,
  onChoose,
}: {
  readonly offers: readonly Offer[];
  readonly chosen: string;
  readonly onChoose: (offer: Offer) => void;
}) {
  if (offers.length === 0) return null;
  return (
    <fieldset class="offers">
      <legend class="hidden">Routes of this gateway</legend>
      {offers.map((offer) => (
        <button
          key={offer.route}
          type="button"
          class="offer"
          aria-pressed={offer.route === chosen}
          onClick={() => {
            onChoose(offer);
          }}
        >
          {offer.route}
        </button>
      ))}
    </fieldset>
  );
}

/** Where a session connects, and as whom. */
import type { Dialect } from '../../client/client.ts';
import { SelectField, TextArea, TextField } from '../shell/fields.tsx';
import { Notice } from '../shell/notice.tsx';
import { problemOf } from './body.ts';
import type { Player } from './player.ts';

const DIALECTS: readonly (readonly [Dialect, string])[] = [
  ['pomelo', 'Pomelo, Pinus'],
  ['pitaya', 'Pitaya'],
  ['nano', 'Nano'],
  ['json', 'JSON (Pith)'],
];

export type ConnectionFormProps = {
  readonly player: Player;
  /** Addresses of this gateway for browsers. */
  readonly addresses: readonly string[];
  readonly onConnect: () => void;
};

export function ConnectionForm({ player, addresses, onConnect }: ConnectionFormProps) {
  const { settings, isOpen, isConnecting, why } = player;
  if (isOpen || isConnecting) return <Connection player={player} />;
  const userProblem = problemOf(settings.user);
  return (
    <form
      class="connection"
      onSubmit={(event) => {
        event.preventDefault();
        if (userProblem === '') onConnect();
      }}
    >
      <div class="row">
        <TextField
          label="Address"
          class="wide"
          mono
          value={settings.address}
          offers={addresses}
          onInput={(address) => {
            player.setSettings({ address });
          }}
        />
        <SelectField
          label="Dialect"
          value={settings.dialect}
          options={DIALECTS}
          onInput={(dialect) => {
            player.setSettings({ dialect: dialect as Dialect });
          }}
        />
      </div>
      <TextArea
        label="Handshake user (JSON)"
        rows={2}
        value={settings.user}
        error={userProblem}
        onInput={(user) => {
          player.setSettings({ user });
        }}
      />
      {why !== '' && <Notice tone="bad">{why}</Notice>}
      <div class="actions">
        <button type="submit" class="primary" disabled={userProblem !== ''}>
          Connect
        </button>
      </div>
    </form>
  );
}

/** While it is connected, or being so. */
function Connection({ player }: { readonly player: Player }) {
  const { settings, isOpen, why } = player;
  return (
    <div class="connection">
      <div class="bar">
        <code class="where">
          {settings.address} · {settings.dialect}
        </code>
        <button
          type="button"
          onClick={() => {
            player.leave();
          }}
        >
          {isOpen ? 'Disconnect' : 'Stop trying'}
        </button>
      </div>
      {why !== '' && <Notice tone="bad">{why}</Notice>}
    </div>
  );
}

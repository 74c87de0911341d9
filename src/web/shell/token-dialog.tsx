/** Asks for the token of the admin port, where it needs one. */
import { useState } from 'preact/hooks';

import { Dialog } from './dialog.tsx';
import { TextField } from './fields.tsx';

export type TokenDialogProps = {
  /** What the gateway has said of the last one; '': nothing yet. */
  readonly error: string;
  readonly onToken: (token: string) => void;
  readonly onClose: () => void;
};

export function TokenDialog({ error, onToken, onClose }: TokenDialogProps) {
  const [token, setToken] = useState('');
  return (
    <Dialog title="Token" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim() !== '') onToken(token.trim());
        }}
      >
        <TextField
          label="Token of the admin port"
          type="password"
          value={token}
          onInput={setToken}
          error={error}
          hint="admin.token, or one of admin.tokens. Only this tab keeps it, until it is closed."
        />
        <div class="actions">
          <button type="submit" class="primary">
            Use it
          </button>
        </div>
      </form>
    </Dialog>
  );
}

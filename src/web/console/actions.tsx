/** What can be done to a session: a kick, a push. What comes of it is said in the dialog. */
import { useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import { Dialog } from '../shell/dialog.tsx';
import { TextArea, TextField } from '../shell/fields.tsx';
import { Notice, type Tone } from '../shell/notice.tsx';
import { asControlError, link } from './live.ts';
import { refusalText } from './parts.tsx';

type Said = { readonly tone: Tone; readonly text: string };
type Result = {
  readonly delivered?: number;
  readonly closed?: number;
  readonly refused?: number;
  readonly dropped?: number;
};
type DialogProps = { readonly sid: string; readonly onClose: () => void };

/** Calls a method once, and says what came of it. */
function useCall(method: string, say: (result: Result) => Said) {
  const [said, setSaid] = useState<Said | null>(null);
  const [isBusy, setBusy] = useState(false);
  const run = async (request: object): Promise<void> => {
    setBusy(true);
    try {
      setSaid(say(await link.control.call<Result>(method, request)));
    } catch (error) {
      setSaid({ tone: 'bad', text: refusalText(asControlError(error)) });
    } finally {
      setBusy(false);
    }
  };
  return { said, isBusy, run: (request: object) => inBackground(run(request), () => {}) };
}

export function KickDialog({ sid, onClose }: DialogProps) {
  const [reason, setReason] = useState('');
  const { said, isBusy, run } = useCall('Kick', ({ closed = 0 }) =>
    closed > 0
      ? { tone: 'good', text: 'The session was closed; its client was told.' }
      : { tone: 'warn', text: 'Nothing was closed: the session has ended already.' },
  );
  return (
    <Dialog title="Kick this session" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          run({ target: { sids: [sid] }, close: { reason, kick: true } });
        }}
      >
        <TextField
          label="Reason"
          value={reason}
          onInput={setReason}
          hint="Its client gets it with the kick, and it is in the log. Stock clients do not come back by themselves after a kick."
        />
        {said !== null && <Notice tone={said.tone}>{said.text}</Notice>}
        <div class="actions">
          <button type="submit" class="danger" disabled={isBusy || said?.tone === 'good'}>
            Kick
          </button>
          <button type="button" onClick={onClose}>
            {said?.tone === 'good' ? 'Close' : 'Cancel'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function PushDialog({ sid, onClose }: DialogProps) {
  const [route, setRoute] = useState('');
  const [text, setText] = useState('{}');
  const { said, isBusy, run } = useCall('Push', ({ delivered = 0, refused = 0 }) =>
    delivered > 0
      ? { tone: 'good', text: 'Delivered.' }
      : {
          tone: 'warn',
          text:
            refused > 0
              ? 'The session is closing, or its outbox is full.'
              : 'Nobody got it: the session has ended.',
        },
  );
  const json = parsed(text);
  return (
    <Dialog title="Push to this session" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (json !== undefined) run({ push: { target: { sids: [sid] }, route, body: { json } } });
        }}
      >
        <TextField label="Route" value={route} onInput={setRoute} placeholder="onChat" mono />
        <TextArea
          label="Body"
          value={text}
          onInput={setText}
          error={json === undefined ? 'This is not JSON.' : ''}
        />
        {said !== null && <Notice tone={said.tone}>{said.text}</Notice>}
        <div class="actions">
          <button
            type="submit"
            class="primary"
            disabled={isBusy || json === undefined || route === ''}
          >
            Push
          </button>
          <button type="button" onClick={onClose}>
            Close
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** undefined: it is not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

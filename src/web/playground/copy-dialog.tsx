/** A message as something to run elsewhere, to be copied. */
import { useEffect, useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import type { Control } from '../shell/control.ts';
import { Dialog } from '../shell/dialog.tsx';
import { CopyButton } from '../shell/notice.tsx';
import { Tabs } from '../shell/tabs.tsx';
import { type Copied, copiesOf } from './copy-as.ts';
import { type Rule, ruleFor } from './offers.ts';

export type CopyDialogProps = {
  readonly control: Control;
  readonly rules: readonly Rule[];
  readonly message: Copied;
  readonly onClose: () => void;
};

export function CopyDialog({ control, rules, message, onClose }: CopyDialogProps) {
  const rule = ruleFor(rules, message.route);
  const [address, setAddress] = useState('');
  const [chosen, setChosen] = useState('pith client');
  useEffect(() => {
    if (rule === undefined) return;
    const { route } = message;
    const asked = control.call<{ readonly address: string }>('ExplainRoute', { route });
    inBackground(
      asked.then((explained) => {
        setAddress(explained.address);
      }),
      // It is shown with a placeholder then.
      () => {},
    );
  }, [message.route]);
  const copies = copiesOf(message, { rule, address });
  const { text, note } = copies.find(({ title }) => title === chosen)!;
  return (
    <Dialog title="Copy as" onClose={onClose}>
      <Tabs
        label="Forms"
        tabs={copies.map(({ title }) => ({ id: title, title }))}
        chosen={chosen}
        onChoose={setChosen}
      >
        <pre class="copied">{text}</pre>
        <p class="hint">{note}</p>
        <div class="actions">
          <CopyButton text={text} />
        </div>
      </Tabs>
    </Dialog>
  );
}

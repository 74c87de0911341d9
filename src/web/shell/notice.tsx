/** Small things that say something: notices, badges, and a button that copies. */
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import { after } from './clock.ts';

export type Tone = 'plain' | 'good' | 'warn' | 'bad';

/** A line in a box; what is bad is read out at once. */
export function Notice({
  tone = 'plain',
  children,
}: {
  readonly tone?: Tone;
  readonly children: ComponentChildren;
}) {
  return (
    <div class={`notice ${tone}`} role={tone === 'bad' ? 'alert' : 'status'}>
      {children}
    </div>
  );
}

export function Badge({
  tone = 'plain',
  children,
}: {
  readonly tone?: Tone;
  readonly children: ComponentChildren;
}) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

const COPIED_MS = 1_500;

export function CopyButton({
  text,
  label = 'Copy',
}: {
  readonly text: string;
  readonly label?: string;
}) {
  const [said, setSaid] = useState('');
  useEffect(() => (said === '' ? undefined : after(COPIED_MS, () => setSaid(''))), [said]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid('Copied');
    } catch {
      // Beyond loopback a page without TLS may not.
      setSaid('Select it, and copy by hand');
    }
  };
  return (
    <button
      type="button"
      onClick={() => {
        inBackground(copy(), () => {});
      }}
    >
      <span aria-live="polite">{said === '' ? label : said}</span>
    </button>
  );
}

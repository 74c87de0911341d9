/** Tabs: one of them in the order of Tab, arrow keys between them. [w3.org/WAI/ARIA/apg/patterns/tabs] */
import type { ComponentChildren } from 'preact';
import { useId, useRef } from 'preact/hooks';

export type TabsProps = {
  /** What they are tabs of. */
  readonly label: string;
  readonly tabs: readonly { readonly id: string; readonly title: ComponentChildren }[];
  readonly chosen: string;
  readonly onChoose: (id: string) => void;
  /** After the tabs, in the same line. */
  readonly extra?: ComponentChildren;
  /** Of the chosen tab. */
  readonly children: ComponentChildren;
};

const STEPS: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowLeft: -1 };

export function Tabs({ label, tabs, chosen, onChoose, extra, children }: TabsProps) {
  const base = useId();
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent): void => {
    const at = tabs.findIndex(({ id }) => id === chosen);
    const step = STEPS[event.key];
    const ends = event.key === 'Home' ? 0 : event.key === 'End' ? tabs.length - 1 : undefined;
    const to = step === undefined ? ends : (at + step + tabs.length) % tabs.length;
    if (to === undefined) return;
    event.preventDefault();
    onChoose(tabs[to]!.id);
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[to]?.focus();
  };
  return (
    <>
      <div class="tabs">
        <div role="tablist" aria-label={label} ref={list}>
          {tabs.map(({ id, title }) => (
            <button
              key={id}
              type="button"
              role="tab"
              id={`${base}-${id}`}
              aria-selected={id === chosen}
              aria-controls={`${base}-panel`}
              tabIndex={id === chosen ? 0 : -1}
              onKeyDown={move}
              onClick={() => {
                onChoose(id);
              }}
            >
              {title}
            </button>
          ))}
        </div>
        {extra}
      </div>
      <div class="panel" role="tabpanel" id={`${base}-panel`} aria-labelledby={`${base}-${chosen}`}>
        {children}
      </div>
    </>
  );
}

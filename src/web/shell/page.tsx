/** What every page has around it: its header, with the way to the other page, and the switch of the theme. */
import { type ComponentChildren, render } from 'preact';
import { useState } from 'preact/hooks';

import { applyTheme, chooseTheme, chosenTheme, type Theme } from './theme.ts';

const NAMES: Readonly<Record<string, string>> = { playground: 'Playground', console: 'Console' };

/** Puts a page into the document. */
export function showPage(content: ComponentChildren): void {
  applyTheme();
  render(content, document.getElementById('app')!);
}

export type PageProps = {
  readonly name: 'playground' | 'console';
  /** Which gateway this is; '': not known yet. */
  readonly gateway: string;
  /** Beside the switch of the theme. */
  readonly tools?: ComponentChildren;
  readonly children: ComponentChildren;
};

export function Page({ name, gateway, tools, children }: PageProps) {
  // The port says which pages it has.
  const pages = (document.documentElement.dataset['pages'] ?? name).split(' ');
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <span class="brand">
          <Mark />
          Pith
        </span>
        <nav aria-label="Pages">
          {pages.map((page) => (
            <a key={page} href={page} aria-current={page === name ? 'page' : undefined}>
              {NAMES[page] ?? page}
            </a>
          ))}
        </nav>
        <span class="gateway" title={gateway}>
          {gateway}
        </span>
        <span class="tools">{tools}</span>
        <ThemeSwitch />
      </header>
      <main id="main" class={name} tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(chosenTheme);
  return (
    <label class="theme">
      <span class="hidden">Theme</span>
      <select
        value={theme}
        onChange={({ currentTarget }) => {
          const chosen = currentTarget.value as Theme;
          chooseTheme(chosen);
          setTheme(chosen);
        }}
      >
        <option value="system">System</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}

/** The same as icon.svg. */
function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <circle cx="16" cy="16" r="13" fill="none" stroke="currentColor" stroke-width="3" />
      <circle cx="16" cy="16" r="5" fill="currentColor" />
    </svg>
  );
}

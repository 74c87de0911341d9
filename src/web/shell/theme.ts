/** Light and dark: as the system has it, until somebody chooses. */
import { keep, kept } from './kept.ts';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'pith.theme';
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

export function chosenTheme(): Theme {
  const before = kept('browser', KEY);
  return THEMES.find((theme) => theme === before) ?? 'system';
}

/** Applies it to the page, and keeps it for both pages. */
export function chooseTheme(theme: Theme): void {
  keep('browser', KEY, theme === 'system' ? '' : theme);
  applyTheme(theme);
}

/** The tokens in tokens.css follow `color-scheme`. */
export function applyTheme(theme: Theme = chosenTheme()): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

/** Pieces of Markdown. */

/** Stands at the top of each page. */
export const WRITTEN = '<!-- Written by `pith docs`; make docs writes it again. -->';

export function heading(level: number, text: string): string {
  return `${'#'.repeat(level)} ${text}\n`;
}

/** A table; a row may have fewer cells than the head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows.map((row) => row.map(cell))];
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

export function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}

export function fenced(text: string): string {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\`\n`;
}

/** As GitHub names the anchor of a heading. */
export function anchor(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** Parts of a page, an empty line between them. */
export function page(...parts: readonly string[]): string {
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}

/** Text as prose: what Markdown would take for an element is shown as it is. */
export function prose(text: string): string {
  // Pieces between backticks are code already.
  return text
    .split(/(`[^`]*`)/)
    .map((part, i) => (i % 2 === 1 ? part : part.replace(/[<*]/g, '\\$&')))
    .join('');
}

function cell(text: string): string {
  return text.replaceAll('\n', ' ').replaceAll('|', '\\|');
}

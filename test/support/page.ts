/** A page for people as something to be run: each of its commands is performed, or there is a reason why not. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';

import { run } from './process.ts';
import { type Block, type Command, readBlocks, type Shell, type Staying } from './readme.ts';
import { configFile, pith, ROOT } from './serve.ts';

export type Runnable = Pick<Command, 'text'> & Partial<Command>;

export type PageOptions = {
  /** Commands that stay, and the output that says that they are ready. */
  readonly stays?: Readonly<Record<string, RegExp>>;
  /** Commands that are on the page and are not run, each with the reason. */
  readonly notRun?: Readonly<Record<string, string>>;
  /** Where each is run; default: the clone. */
  readonly folders?: Readonly<Record<string, () => string>>;
};

export class Page {
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  readonly stays: Readonly<Record<string, RegExp>>;
  readonly notRun: Readonly<Record<string, string>>;
  readonly #folders: Readonly<Record<string, () => string>>;
  readonly #done = new Set<string>();
  readonly #shell: () => Shell;

  /** @param path From the top of the clone. */
  constructor(path: string, shell: () => Shell, options: PageOptions = {}) {
    this.path = path;
    this.text = readFileSync(join(ROOT, path), 'utf8');
    this.blocks = readBlocks(this.text);
    this.stays = options.stays ?? {};
    this.notRun = options.notRun ?? {};
    this.#folders = options.folders ?? {};
    this.#shell = shell;
  }

  blocksOf(section: string, lang: string): Block[] {
    return this.blocks.filter((block) => block.section === section && block.lang === lang);
  }

  /** Counts a command as performed. */
  markDone(...commands: readonly string[]): void {
    for (const one of commands) this.#done.add(one);
  }

  /**
   * Runs a section's commands in their order, and compares what the page shows of their output.
   * @param leaveOut Commands that the caller has performed itself.
   * @param onStart Called after a command that stays was started.
   */
  async runSection(
    section: string,
    leaveOut: readonly string[] = [],
    onStart?: (command: string) => Promise<void>,
  ): Promise<Staying[]> {
    const stay: Staying[] = [];
    for (const [at, block] of this.blocks.entries()) {
      if (block.section !== section) continue;
      for (const command of block.commands) {
        if (this.notRun[command.text] !== undefined || leaveOut.includes(command.text)) continue;
        if (this.stays[command.text] !== undefined) {
          stay.push(await this.start(command));
          await onStart?.(command.text);
          continue;
        }
        const output = await this.perform(command);
        const next = this.blocks[at + 1];
        const isShown = next?.lang === '' && next.section === section;
        if (isShown && command === block.commands.at(-1)) expectSame(output, next.text);
      }
    }
    return stay;
  }

  /** Runs a command to its end; what it printed, complaints first. */
  async perform({ text, prints = '' }: Runnable, cwd?: string): Promise<string> {
    this.markDone(text);
    const { code, stdout, stderr } = await this.#shell().run(text, cwd ?? this.#folders[text]?.());
    const output = `${stderr}${stdout}`;
    if (prints !== '') expectPrinted(stdout, prints);
    // `pith client` ends with 1 on an error answer.
    expectCode(code, /^\{"code":(?:[45]|"PIT-)/.test(prints) ? 1 : 0, `${text}\n${output}`);
    return output;
  }

  /** Starts a command that stays, unless it is running. */
  async start({ text }: Runnable): Promise<Staying> {
    this.markDone(text);
    return this.#shell().start(text, this.stays[text]!, this.#folders[text]?.());
  }

  /** Commands of the page that were neither performed nor listed. */
  unknown(): string[] {
    return this.#commands().filter((one) => !this.#done.has(one) && this.notRun[one] === undefined);
  }

  /** Commands that are listed, and not on the page. */
  needless(): string[] {
    const all = this.#commands();
    const listed = [...Object.keys(this.notRun), ...Object.keys(this.stays)];
    return listed.filter((one) => !all.includes(one));
  }

  /** Targets of make that the page names, and the Makefile does not have. */
  async missingTargets(): Promise<string[]> {
    const { output } = await run('make', ['help'], { cwd: ROOT });
    const targets = this.#commands().flatMap((one) => /^make ([\w-]+)/.exec(one)?.[1] ?? []);
    return targets.filter((one) => !output.includes(`  ${one} `));
  }

  #commands(): string[] {
    return this.blocks.flatMap(({ commands }) =>
      commands.flatMap(({ text, before }) => [text, ...before]),
    );
  }
}

/** Links to files, or headings of files, that are not there. */
export function brokenLinks(path: string, text: string): string[] {
  return [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].flatMap(
    ([, link = '', heading]) => {
      const file = link === '' ? join(ROOT, path) : join(ROOT, dirname(path), link);
      if (!existsSync(file)) return [link];
      if (heading === undefined) return [];
      const has = headingsOf(readFileSync(file, 'utf8')).includes(heading);
      return has ? [] : [`${link}#${heading}`];
    },
  );
}

/** As GitHub names them. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** A configuration of a page is whole, and has nothing that `pith check` would say anything about. */
export async function expectValid(text: string): Promise<void> {
  using file = configFile(text);
  const { code, output } = await pith('check', '--config', file.path);
  expect(output).not.toContain('warning');
  expect(code, output).toBe(0);
}

function expectSame(output: string, shown: string): void {
  expect(output).toBe(shown);
}

function expectCode(code: number | null, expected: number, told: string): void {
  expect(code, told).toBe(expected);
}

/** The same JSON, whatever its spaces; or the same text, where the page leaves something out. */
function expectPrinted(stdout: string, shown: string): void {
  const parts = shown.split('…').map((part) => RegExp.escape(part));
  if (parts.length > 1) expect(stdout).toMatch(new RegExp(`^${parts.join('.*')}\n$`));
  else expect(JSON.parse(stdout)).toEqual(JSON.parse(shown));
}

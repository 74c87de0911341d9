/** Plays the rows both ways, and says of each what came of it. */
import { errorText } from '../../src/errors.ts';
import { type Row, ROWS, stopOld } from './rows.ts';
import type { Side, Stage } from './stage.ts';

export type Played = {
  readonly what: string;
  /** Near N, then near N+1. */
  readonly cells: readonly string[];
  readonly wrong: readonly string[];
};

type Cell = { readonly cell: string; readonly wrong: string[] };

/** @param lacks What a cell may say besides `works`. */
export async function playAll(stage: Stage, lacks: readonly string[]): Promise<Played[]> {
  const { old, fresh } = stage;
  const all: Played[] = [];
  const add = (what: string, cells: readonly Cell[]): void => {
    const wrong = cells.flatMap((one) => one.wrong);
    all.push({ what, cells: cells.map(({ cell }) => cell), wrong });
  };
  for (const [n, row] of ROWS.entries()) {
    add(row.what, [
      await playOne(lacks, () => play(stage, row, old, fresh, `a${n}`)),
      await playOne(lacks, () => play(stage, row, fresh, old, `b${n}`)),
    ]);
  }
  const stopped = await playOne(lacks, () => stopOld(stage));
  add('N is stopped: what is in flight is answered, and N+1 goes on', [
    stopped,
    { cell: '', wrong: [] },
  ]);
  return all;
}

async function play(
  stage: Stage,
  row: Row,
  near: Side,
  far: Side,
  uid: string,
): Promise<string | void> {
  try {
    return await row.play(stage, near, far, uid);
  } catch (error) {
    throw new Error(`${near.name} asked: ${errorText(error)}`, { cause: error });
  }
}

async function playOne(
  lacks: readonly string[],
  what: () => Promise<string | void>,
): Promise<Cell> {
  try {
    const cell = (await what()) ?? 'works';
    const isKnown = cell === 'works' || lacks.includes(cell);
    return { cell, wrong: isKnown ? [] : [`nobody has said that N lacks this: ${cell}`] };
  } catch (error) {
    return { cell: 'FAULT', wrong: [errorText(error)] };
  }
}

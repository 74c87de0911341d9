/** Numbers, times and sizes as people read them. */

import { now } from '../shell/clock.ts';

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function count(value: number): string {
  return NUMBER.format(value);
}

/** 12.4K */
export function short(value: number): string {
  return value < 1_000 ? rate(value) : SHORT.format(value);
}

/** With as many digits as help: 0.3, 4.2, 137. */
export function rate(value: number): string {
  return value >= 100 || Number.isInteger(value) ? NUMBER.format(value) : value.toFixed(1);
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value: number): string {
  let at = 0;
  let left = value;
  for (; left >= 1_024 && at < UNITS.length - 1; at++) left /= 1_024;
  return `${at === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${UNITS[at]!}`;
}

/** A Duration in JSON, `1.5s`, in milliseconds; 0: there is none. */
export function msOf(duration: string | undefined): number {
  return duration === undefined ? 0 : Number.parseFloat(duration) * 1_000;
}

/** 2 d 4 h, 5 min 3 s, 1.2 s, 34 ms. */
export function span(ms: number): string {
  const s = Math.floor(ms / 1_000);
  if (ms < 1_000) return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  if (s < 10) return `${Number((ms / 1_000).toFixed(1))} s`;
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat('en-CA');

/** 12:04:31, with the day if it is another one. */
export function clockTime(at: string | number | undefined): string {
  if (at === undefined) return '–';
  const date = new Date(at);
  const day = DAY.format(date);
  return day === DAY.format(new Date(now())) ? CLOCK.format(date) : `${day} ${CLOCK.format(date)}`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

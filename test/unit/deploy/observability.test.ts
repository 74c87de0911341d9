/** deploy/observability: rules, runbook and dashboard speak of metrics that there are, and of each other. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { dashboardText, ROWS } from '../../../deploy/observability/dashboard.ts';
import { INSTRUMENTS } from '../../../src/telemetry/instruments.ts';

const FOLDER = fileURLToPath(new URL('../../../deploy/observability/', import.meta.url));
const read = (name: string): string => readFileSync(`${FOLDER}${name}`, 'utf8');

type Rule = {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook: string };
};

const { groups } = parse(read('alerts.yaml')) as { groups: { name: string; rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const names = rules.map(({ alert }) => alert);

/** Metrics and labels that a text of PromQL names. */
function namesIn(expression: string): { metrics: string[]; labels: string[] } {
  const bare = expression.replace(/"[^"]*"/g, '""');
  return {
    metrics: bare.match(/\b(?:pith|nodejs|process)_\w+/g) ?? [],
    labels: [...bare.matchAll(/[{,]\s*(\w+)\s*(?:=|!=|=~|!~)/g)].map(([, label]) => label!),
  };
}

/** Of a histogram there are three series. */
function instrumentOf(metric: string): string {
  const whole = metric.replace(/_(?:bucket|sum|count)$/, '');
  return has(INSTRUMENTS, metric) ? metric : whole;
}

function labelsOf(metric: string): readonly string[] {
  return INSTRUMENTS[instrumentOf(metric) as keyof typeof INSTRUMENTS].labels;
}

const has = (table: object, name: string): boolean => Object.hasOwn(table, name);

test.each(rules)('$alert asks for metrics and labels that there are', ({ expr }) => {
  const { metrics, labels } = namesIn(expr);
  const known = Object.keys(INSTRUMENTS);
  expect(metrics.filter((metric) => !known.includes(instrumentOf(metric)))).toEqual([]);
  const have = metrics.flatMap(labelsOf);
  expect(labels.filter((label) => !have.includes(label))).toEqual([]);
});

const panels = ROWS.flatMap((row) => row.panels);

test.each(panels)('the panel $title asks for metrics and labels that there are', ({ queries }) => {
  for (const { expr, legend } of queries) {
    const { metrics, labels } = namesIn(expr);
    expect(metrics.filter((metric) => !has(INSTRUMENTS, instrumentOf(metric)))).toEqual([]);
    const known = ['job', 'instance', ...metrics.flatMap(labelsOf)];
    const shown = [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
    expect([...labels, ...shown].filter((label) => !known.includes(label))).toEqual([]);
  }
});

test('dashboard.json, and what the chart has of it and of the alerts, is up to date: make dashboard', () => {
  expect(read('dashboard.json')).toBe(dashboardText());
  for (const name of ['dashboard.json', 'alerts.yaml'])
    expect(read(`../helm/pith/files/${name}`)).toBe(read(name));
});

test.each(rules)('$alert says how bad it is, what it is, and where to read on', (rule) => {
  expect(['critical', 'warning']).toContain(rule.labels.severity);
  expect(rule.annotations.summary).toMatch(/^\S.{10,}/);
  expect(rule.annotations.runbook).toBe(
    `deploy/observability/runbook.md#${rule.alert.toLowerCase()}`,
  );
});

test('the runbook has each alert, with what it means and what to do', () => {
  const parts = read('runbook.md').split(/^## /m).slice(1);
  expect(parts.map((part) => part.split('\n', 1)[0])).toEqual(names);
  for (const part of parts) expect(part).toMatch(/\*\*Means:\*\* [^]{20,}\*\*Do:\*\* [^]{20,}/);
});

test('promtool tries each alert, and all but one are caused on a real gateway', () => {
  const tried = new Set(read('alerts.test.yaml').match(/alertname="\w+"/g));
  expect(tried).toEqual(new Set(names.map((name) => `alertname="${name}"`)));
  const causes = readFileSync(`${FOLDER}../../test/observability/causes.ts`, 'utf8');
  const caused = [...causes.matchAll(/^ {2}(Pith\w+):/gm)].map(([, name]) => name);
  expect(new Set(caused)).toEqual(new Set(names.filter((name) => name !== 'PithInternalErrors')));
});

describe('the alerts are as many as they were meant to be', () => {
  test('no name comes twice', () => {
    expect(new Set(names).size).toBe(25);
    expect(names).toHaveLength(25);
  });
});

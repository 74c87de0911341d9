// A certificate is served anew when its files have changed, and a bad one never is.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { makeLog } from '../../../src/telemetry/log.ts';
import {
  Certificate,
  CERTIFICATE_CHECK_MS,
  faultIn,
  type ServerTls,
} from '../../../src/transport/certificate.ts';
import type { TlsPem } from '../../../src/transport/pem.ts';
import { ManualClock } from '../../support/clock.ts';
import { Authority, SecretFolder } from '../../support/tls.ts';

const authority = new Authority();
const first = authority.issue('first');
const second = authority.issue('second');

function watch(files: { cert: string; key: string }) {
  const clock = new ManualClock();
  const served: TlsPem[] = [];
  const lines: Record<string, unknown>[] = [];
  const log = makeLog({
    clock,
    level: 'info',
    format: 'json',
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const tls: ServerTls = {
    cert: files.cert,
    key: files.key,
    ca: '',
    requireClientCert: false,
    name: 'listen[0].tls',
    readFile: (path) => readFileSync(path, 'utf8'),
  };
  const certificate = new Certificate(tls, clock, log, (pem) => void served.push(pem));
  const looks = (n: number): void => {
    for (let i = 0; i < n; i++) clock.advance(CERTIFICATE_CHECK_MS);
  };
  return { tls, clock, certificate, served, lines, looks };
}

describe('a certificate', () => {
  test('is read again once two looks have found the same', () => {
    using folder = new SecretFolder(first);
    const { certificate, served, lines, looks } = watch(folder);
    expect(certificate.start().cert).toBe(first.cert);
    looks(3);
    expect(served).toEqual([]);
    folder.replace(second);
    looks(1);
    expect(served).toEqual([]);
    looks(1);
    expect(served.map(({ cert, key }) => ({ cert, key }))).toEqual([second]);
    looks(3);
    expect(served).toHaveLength(1);
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'info',
        key: 'listen[0].tls',
        msg: 'certificate reloaded',
      }),
    ]);
    certificate.stop();
  });

  test('with a file that is written after the other is taken when both are there', () => {
    using folder = new SecretFolder(first);
    const { certificate, served, lines, looks } = watch(folder);
    certificate.start();
    writeFileSync(folder.cert, second.cert);
    looks(1);
    writeFileSync(folder.key, second.key);
    looks(2);
    expect(served.map(({ cert }) => cert)).toEqual([second.cert]);
    expect(lines.map(({ level }) => level)).toEqual(['info']);
    certificate.stop();
  });

  test('that does not fit its key is not used, which is said once; the next good one is', () => {
    using folder = new SecretFolder(first);
    const { certificate, served, lines, looks } = watch(folder);
    certificate.start();
    folder.replace({ cert: second.cert, key: first.key });
    looks(5);
    expect(served).toEqual([]);
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'warn',
        msg: 'new certificate rejected; still serving the old one',
        fault: expect.stringMatching(
          `^listen\\[0\\]\\.tls\\.key: ${folder.key} does not belong to the first certificate in ${folder.cert}`,
        ) as string,
      }),
    ]);
    folder.replace(second);
    looks(2);
    expect(served.map(({ cert }) => cert)).toEqual([second.cert]);
    certificate.stop();
  });

  test('whose file is gone goes on', () => {
    using folder = new SecretFolder(first);
    const { certificate, served, lines, looks } = watch(folder);
    certificate.start();
    rmSync(folder.key);
    looks(5);
    expect(served).toEqual([]);
    expect(lines.map(({ fault }) => fault)).toEqual([
      expect.stringContaining(`listen[0].tls.key: ${folder.key} cannot be read: no such file`),
    ]);
    certificate.stop();
  });

  test('is read at once when asked', () => {
    using folder = new SecretFolder(first);
    const { certificate, served, lines, looks } = watch(folder);
    certificate.start();
    folder.replace(second);
    certificate.reload();
    expect(served.map(({ cert }) => cert)).toEqual([second.cert]);
    folder.replace({ cert: 'none', key: second.key });
    certificate.reload();
    certificate.reload();
    looks(3);
    expect(served).toHaveLength(1);
    expect(lines.map(({ level }) => level)).toEqual(['info', 'warn', 'warn']);
    certificate.stop();
  });

  test('given as PEM text is not looked for', () => {
    const { clock, certificate } = watch(first);
    certificate.start();
    expect(clock.timerCount).toBe(0);
  });

  test('is not looked for after the stop', () => {
    using folder = new SecretFolder(first);
    const { clock, certificate } = watch(folder);
    certificate.start();
    expect(clock.timerCount).toBe(1);
    certificate.stop();
    expect(clock.timerCount).toBe(0);
  });

  test('that is bad at the start is an error that names key and file', () => {
    using folder = new SecretFolder({ cert: first.cert, key: second.key });
    const { tls, clock, certificate } = watch(folder);
    const fault = `listen[0].tls.key: ${folder.key} does not belong to the first certificate in ${folder.cert}`;
    expect(() => certificate.start()).toThrow(fault);
    const found = faultIn(tls, tls.readFile);
    expect(`listen[0].tls.${found?.key}: ${found?.message}`).toContain(fault);
    expect(faultIn({ ...tls, ...first }, tls.readFile)).toBeNull();
    expect(clock.timerCount).toBe(0);
  });

  test('says when it ends, and that it has ended', () => {
    const ended = authority.issue('ended', -1);
    const { clock, certificate, lines } = watch(ended);
    clock.advance(Math.max(0, Date.now() - clock.wallNow()));
    certificate.start();
    expect(certificate.expiresAt).toBeLessThan(clock.wallNow());
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'warn',
        key: 'listen[0].tls',
        expires: new Date(certificate.expiresAt).toISOString(),
      }),
    ]);
  });
});

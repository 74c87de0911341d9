/** What a release writes into the files. The whole of it, on a clone, is test/integration/release.test.ts. */
import { describe, expect, test } from 'vitest';

import { closeUnreleased, isNewer, SEMVER, withVersion } from '../../../deploy/release/versions.ts';

describe('versions', () => {
  test.each(['0.1.0', '1.0.0', '10.20.30', '0.2.0-rc.1', '1.0.0-alpha', '1.0.0-0.x-y'])(
    '%s is one',
    (version) => {
      expect(SEMVER.test(version)).toBe(true);
    },
  );

  test.each(['', '1', '1.0', 'v1.0.0', '01.0.0', '1.0.0-', '1.0.0+build', '1.0.0 ', '1.0.0-rc..1'])(
    '"%s" is none',
    (version) => {
      expect(SEMVER.test(version)).toBe(false);
    },
  );

  // The order of https://semver.org/#spec-item-11, and a step over ten.
  const ORDER = [
    '0.1.0',
    '0.2.0-rc.1',
    '0.2.0-rc.2',
    '0.2.0-rc.10',
    '0.2.0',
    '0.10.0',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '2.0.0',
  ];
  test('are in order', () => {
    for (const [i, a] of ORDER.entries()) {
      for (const [k, b] of ORDER.entries()) expect(isNewer(a, b), `${a} after ${b}`).toBe(i > k);
    }
  });
});

describe('a file with a version', () => {
  const texts = (version: string): string[] => [`a ${version};`, `b ${version};`];

  test('gets the new one wherever it is named, and nowhere else', () => {
    expect(withVersion('a 1.0.0; b 1.0.0; a 1.0.0; c 1.0.0;', texts, '1.0.0', '1.1.0')).toEqual({
      text: 'a 1.1.0; b 1.1.0; a 1.1.0; c 1.0.0;',
    });
  });

  test('that does not name it where it should is reported', () => {
    expect(withVersion('a 1.0.0;', texts, '1.0.0', '1.1.0')).toEqual({ missing: 'b 1.0.0;' });
  });
});

describe('the changelog', () => {
  const open =
    '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-01-02\n\n- Old.\n';

  test('gets a section of the version, and an empty one for what comes next', () => {
    expect(closeUnreleased(open, '0.2.0', '2026-02-03')).toBe(
      '# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-02-03\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-01-02\n\n- Old.\n',
    );
  });

  test('of a first release has nothing behind it', () => {
    expect(closeUnreleased('## [Unreleased]\n\n- One.\n', '0.1.0', '2026-02-03')).toBe(
      '## [Unreleased]\n\n## [0.1.0] - 2026-02-03\n\n- One.\n',
    );
  });

  test.each([
    '# Changelog\n',
    '## [Unreleased]\n',
    '## [Unreleased]\n\n### Added\n\n## [0.1.0]\n\n- Old.\n',
  ])('without anything unreleased makes no release: %j', (text) => {
    expect(closeUnreleased(text, '0.2.0', '2026-02-03')).toBeNull();
  });
});

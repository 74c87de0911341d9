/**
 * The software bill of materials of what is installed in a folder, of what the program's files have in them, and of Node: CycloneDX, by `npm sbom`. The same
 * dependencies give the same bytes.
 */
import { execFileSync } from 'node:child_process';

import { bundledPackages } from './bundled.mjs';

/** @param folder Has a package.json without development dependencies, and node_modules. */
export function sbomOf(folder) {
  const asked = ['sbom', '--sbom-format=cyclonedx'];
  const text = execFileSync('npm', asked, { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 26 });
  const sbom = JSON.parse(text);
  // They differ from run to run.
  delete sbom.serialNumber;
  delete sbom.metadata.timestamp;
  // npm takes the folder's name.
  sbom.metadata.component.name = 'pith';
  for (const component of sbom.components) {
    // Which mirror it came from.
    component.externalReferences = component.externalReferences?.filter(
      ({ type }) => type !== 'distribution',
    );
  }
  const listed = new Set(sbom.components.map(({ purl }) => purl));
  for (const { name, version, license } of bundledPackages()) {
    // Another package may need it in node_modules.
    const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
    if (listed.has(purl)) continue;
    sbom.components.push({
      'bom-ref': `${name}@${version}`,
      type: 'library',
      name,
      version,
      purl,
      licenses: [/\s/.test(license) ? { expression: license } : { license: { id: license } }],
    });
  }
  const version = process.versions.node;
  sbom.components.unshift({
    'bom-ref': `node@${version}`,
    type: 'platform',
    name: 'node',
    version,
    purl: `pkg:generic/node@${version}`,
    licenses: [{ license: { id: 'MIT' } }],
    externalReferences: [{ type: 'website', url: 'https://nodejs.org' }],
  });
  return `${JSON.stringify(sbom, null, 2)}\n`;
}

// Run by make after `npm ci`, with the version of the machine's Node: if that is too old, prints which one the project
// uses. Plain JavaScript, so that an old Node can run it, too.
const WANTED_MAJOR = 24;
const major = (version) => Number(version.replace(/^v/, '').split('.')[0]);

const machine = process.argv[2] ?? process.versions.node;
const project = process.versions.node;
if (major(project) < WANTED_MAJOR) {
  console.error(
    `pith: Node ${WANTED_MAJOR} or newer is needed and this is v${project}; npm installed none for ` +
      `${process.platform}-${process.arch}. Install it, then run this again.`,
  );
  process.exitCode = 1;
} else if (major(machine) < WANTED_MAJOR) {
  console.log(
    `pith: this machine has Node v${machine}; every make target and npm script here uses Node v${project} from npm (node_modules/.bin/node).`,
  );
}

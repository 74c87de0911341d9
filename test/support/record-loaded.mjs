// Imported before a program (NODE_OPTIONS): keeps the list of what it has loaded in the file LOADED_FILE.
import { renameSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

const file = process.env.LOADED_FILE;
const modules = new Set();
registerHooks({
  load(url, context, next) {
    modules.add(url);
    return next(url, context);
  },
});
let writes = 0;
setInterval(() => {
  const builtins = process.moduleLoadList.map((name) =>
    name.replace(/^(NativeModule|Internal Binding) /, ''),
  );
  writes++;
  writeFileSync(`${file}.new`, JSON.stringify({ writes, modules: [...modules, ...builtins] }));
  renameSync(`${file}.new`, file);
}, 50).unref();

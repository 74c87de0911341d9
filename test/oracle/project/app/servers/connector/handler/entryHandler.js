/** The game of handlers.ts in the form that each loader wants: Pomelo a function, Pinus a default export. */
const { pinusHandler, pomeloHandler } = require('../../../../../handlers.ts');

module.exports = (app) => pomeloHandler(app);
module.exports.default = pinusHandler;

'use strict';
exports.default = require('../../area/handler/echoHandler.js').default;

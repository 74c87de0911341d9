'use strict';
module.exports = require('../../area/handler/echoHandler.js');

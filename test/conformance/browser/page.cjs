// pomelo-jsclient-websocket, with the libraries that it expects as globals when it is loaded.
'use strict';

window.EventEmitter = require('component-emitter');
// pomelo-protocol puts itself there.
require('pomelo-protocol');
const protobuf = require('pomelo-protobuf/lib/client/protobuf.js');
// The client calls it, and the library for browsers lacks it: every game that uses protobuf has this line somewhere.
protobuf.decodeStr = protobuf.decode;
window.protobuf = protobuf;

require('./driver.cjs')(require('pomelo-jsclient-websocket'));

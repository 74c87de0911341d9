// Nano's starx-wsclient.js, which was loaded before, after its protocol.js.
'use strict';

require('./driver.cjs')(window.starx);

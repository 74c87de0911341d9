// The bundle of pomelo's web template, which was loaded before: it defines its modules, and `boot` makes the globals.
'use strict';

window.require('boot');
require('./driver.cjs')(window.pomelo);

// pomelo-cocos2d-js, whose own bundle was loaded before.
'use strict';

require('./driver.cjs')(window.pomelo);

/** Where the admin port has what it does not load before it is asked for. */

/** Control's methods: `POST /v1/<Method>`. */
export const API_PATH = '/v1/';
/** Where backends attach by WebSocket. */
export const ATTACH_PATH = '/v1/attach';

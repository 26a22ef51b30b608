/** What an application uses. */
export { connect } from "./connect.ts";
export { ChorusError } from "./errors.ts";
export type * from "./types.ts";

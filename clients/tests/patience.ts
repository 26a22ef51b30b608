/** In ms: how long a test waits for what has to come to pass, on a busy machine. */
export const PATIENCE = 30_000;

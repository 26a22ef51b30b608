/** Which ends of a connection are final. Whatever is not named here passes: the protocol's other codes, and those of what stands in between. */

const FINAL = [1000, 1002, 1003, 1007, 1008, 1009];

/** Whether the same client would only be closed again. */
export function isFinal(code: number): boolean {
  return FINAL.includes(code);
}

const PASSING = ["unavailable", "rate_limited", "internal"];

/** Whether the same request may be made again. */
export function passes(code: string | undefined): boolean {
  return PASSING.includes(code ?? "");
}

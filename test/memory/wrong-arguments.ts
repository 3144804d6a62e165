/** What functions of the addon must refuse: values of the wrong type, and numbers that are none of theirs. */

/** An object of the addon, whose functions take anything. */
export type Loose = Record<string, (...values: unknown[]) => unknown>;

export const notNumbers = [undefined, null, '1', true, {}, [], 1n, Symbol('x'), () => 1];
export const badNumbers = [
  -1,
  -0.5,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  2 ** 53,
  2 ** 64,
  1e308,
];
export const notArrays = [
  undefined,
  null,
  5,
  'x',
  {},
  [1, 2],
  new ArrayBuffer(8),
  new Int32Array(2),
  new Float64Array(2),
];

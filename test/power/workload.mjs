/**
 * The transactions of the power-cut test, by number: what transaction n does depends on n alone, so the state
 * after exactly c of them can be recomputed. One function does them on the pool and, with the same calls, on a
 * model of plain objects, arrays and Maps, which is the reference.
 */
import { isDeepStrictEqual } from 'node:util';
import { f64, i32, list, map, Persistent } from 'perdure';
import { Random } from 'perdure/testing';

const ACCOUNTS = 16;
const START_BALANCE = 1000;

const Account = Persistent({ fields: { id: i32, balance: f64, note: 'string', partner: () => Account } })(
  class Account {},
);

export const Root = Persistent({
  fields: {
    /** How many transactions there were. */
    count: i32,
    accounts: list(() => Account),
    recent: list('string'),
    names: map('string', 'string'),
    blobs: map('string', 'bytes'),
    archive: list('bytes'),
  },
})(class Root {});

export function emptyModel() {
  return { count: 0, accounts: [], recent: [], names: new Map(), blobs: new Map(), archive: [] };
}

/** Makes an account of the model. */
export function plainAccount(values) {
  return { partner: null, ...values };
}

/** Makes an account of the pool. */
export function persistentAccount(pool) {
  return (values) => pool.create(Account, values);
}

/** Transaction n, on the root of a pool or on a model. `makeAccount` is one of the two above. */
export function change(state, n, makeAccount) {
  const random = new Random(n);
  state.count = n;
  if (n === 1)
    for (let id = 0; id < ACCOUNTS; id++)
      state.accounts.push(makeAccount({ id, balance: START_BALANCE, note: '' }));
  transfer(state.accounts, n, random);
  state.recent.push(`${n}: ${'→'.repeat(random.int(3))}${'x'.repeat(random.int(300))}`);
  while (state.recent.length > 50) state.recent.shift();
  for (let left = random.int(4); left > 0; left--) {
    const key = `name ${random.int(400)}`;
    if (random.chance(0.3)) state.names.delete(key);
    else state.names.set(key, `${n}.${left} ${'y'.repeat(random.int(60))}`);
  }
  if (n % 500 === 0) state.names.clear();
  changeBlobs(state, n, random);
}

function transfer(accounts, n, random) {
  const from = accounts[random.int(ACCOUNTS)];
  const to = accounts[random.int(ACCOUNTS)];
  const amount = random.int(50);
  from.balance -= amount;
  to.balance += amount;
  from.note = `to ${to.id} in ${n}${'.'.repeat(random.int(200))}`;
  from.partner = to;
}

/** Values of several pages; now and then one that is larger than a new log; and some that stay, so that the pool grows. */
function changeBlobs({ blobs, archive }, n, random) {
  const key = `blob ${random.int(6)}`;
  if (n % 120 === 60) blobs.set(key, contents(n, random.between(1 << 20, 2 << 20)));
  else if (n % 15 === 0) blobs.set(key, contents(n, random.between(2_000, 40_000)));
  else if (n % 31 === 0) blobs.delete(key);
  if (n % 40 === 0) archive.push(contents(n, 60_000));
}

/** Bytes that belong to n. */
function contents(n, sizeBytes) {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let word = Math.imul(n, 0x9e3779b1);
  for (let index = 0; index < words.length; index++) {
    word = (Math.imul(word, 1664525) + 1013904223) | 0;
    words[index] = word;
  }
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

/** What differs between the pool and the model; empty when nothing does. */
export function differences(root, model) {
  const actual = plainState(root);
  const expected = plainState(model);
  return Object.keys(expected)
    .filter((part) => !isDeepStrictEqual(actual[part], expected[part]))
    .map((part) => `${part}: ${firstDifference(actual[part], expected[part])}`);
}

/** Everything reachable, as arrays of plain values: the order of map entries counts too. */
function plainState({ count, accounts, recent, names, blobs, archive }) {
  return {
    count: [count],
    accounts: [...accounts].map(({ id, balance, note, partner }) => [id, balance, note, partner?.id ?? null]),
    balance: [[...accounts].reduce((sum, { balance }) => sum + balance, 0)],
    recent: [...recent],
    names: [...names],
    blobs: [...blobs],
    archive: [...archive],
  };
}

function firstDifference(actual, expected) {
  if (actual.length !== expected.length) return `${actual.length} elements, expected ${expected.length}`;
  const index = expected.findIndex((value, at) => !isDeepStrictEqual(actual[at], value));
  return `element ${index} is ${preview(actual[index])}, expected ${preview(expected[index])}`;
}

function preview(value) {
  return JSON.stringify(value, (_, part) =>
    part instanceof Uint8Array ? `${part.length} bytes` : part,
  ).slice(0, 200);
}

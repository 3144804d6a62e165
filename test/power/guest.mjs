/**
 * What runs inside the virtual machine: opens the pool, compares it with the recomputed state, then runs the
 * workload until the power is cut. It reports over the serial line, one `@word rest` a line:
 *
 *   ready        asks for the settings, which are answered with a line of JSON
 *   opening      the pool is about to be opened (and recovered)
 *   medium …     what the pool says it is, and what opening it found
 *   state c      the pool is sound and holds exactly the first c transactions
 *   lost …       it is not
 *   bad …        anything else went wrong
 *   checkpoints n  the redo log made so many since the last report
 *   next n       asks for leave to start transactions up to n; answered with an empty line
 *   ack n        transactions up to n were acknowledged as safe from a power cut
 *   ran n        transactions up to n were run; those that were not acknowledged may still be lost
 */
import { readdirSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { Pool } from 'perdure';
import { Random } from 'perdure/testing';
import { change, differences, emptyModel, persistentAccount, plainAccount, Root } from './workload.mjs';

const FOLDER = '/disk';
/** How many transactions are started on one leave. */
const LEAVE = 25;
/** A clean close and opening after so many transactions. */
const CLOSE_EVERY = 450;

/** Codes of errors that a damaged pool throws. */
const DAMAGED = ['NOT_A_POOL', 'TRUNCATED', 'VERSION', 'SCHEMA', 'LOG_MISSING', 'LOG_MISMATCH', 'CORRUPT'];

const settings = JSON.parse(ask('ready'));
const random = new Random(settings.seed);
try {
  await main();
} catch (error) {
  report(DAMAGED.includes(error.code) ? 'lost' : 'bad', error.stack);
}

async function main() {
  // How soon the kernel writes by itself what nobody has synced.
  for (const name of ['dirty_writeback_centisecs', 'dirty_expire_centisecs'])
    writeFileSync(`/proc/sys/vm/${name}`, String(settings.writebackMs / 10));
  removeOthers(settings.pool);
  let pool = open(settings.pool);
  verify(pool);
  const answer = JSON.parse(ask('state', pool.root(Root).count));
  if (answer.pool !== settings.pool) {
    // A new pool, so that cuts hit its creation and first growth too.
    pool.close();
    removeOthers(answer.pool);
    pool = open(answer.pool);
  }
  for (;;) {
    await run(pool);
    pool.close();
    pool = open(answer.pool);
  }
}

function open(name) {
  report('opening');
  const pool = Pool.open(`${FOLDER}/${name}`, { root: Root, maxSize: 128 << 20, ...settings.options });
  const { domain, log, fileSystem, flushInstruction, recovery } = pool.stats();
  report('medium', JSON.stringify({ domain, log, fileSystem, flushInstruction, recovery }));
  return pool;
}

/** Removes the pools before this one: a cut may have brought one back. */
function removeOthers(name) {
  for (const file of readdirSync(FOLDER))
    if (file.startsWith('pool-') && !file.startsWith(name)) rmSync(`${FOLDER}/${file}`);
}

function verify(pool) {
  const root = pool.root(Root);
  const model = emptyModel();
  const { count } = root;
  for (let n = 1; n <= count; n++) change(model, n, plainAccount);
  for (const difference of differences(root, model)) report('lost', `after ${count}: ${difference}`);
  const { ok, problems, leakedBlocks, unreachableBlocks } = pool.check();
  if (!ok || leakedBlocks > 0 || unreachableBlocks > 0)
    report('lost', `check: ${JSON.stringify({ problems, leakedBlocks, unreachableBlocks })}`);
}

/** Transactions one after the other; returns when it is time for a clean close. */
async function run(pool) {
  const root = pool.root(Root);
  const makeAccount = persistentAccount(pool);
  const first = root.count + 1;
  let pending = null;
  let checkpoints = 0;
  let lastReport = performance.now();
  for (let n = first; n < first + CLOSE_EVERY; n++) {
    if ((n - first) % LEAVE === 0) {
      const now = pool.stats().wal?.checkpoints ?? 0;
      report('checkpoints', now - checkpoints);
      checkpoints = now;
      ask('next', n + LEAVE - 1);
    }
    if (random.chance(0.05)) rollBack(pool, root);
    const body = () => {
      if (random.chance(0.05)) rollBack(pool, root);
      change(root, n, makeAccount);
    };
    if (random.chance(settings.asyncShare)) {
      pending = pool.txnAsync(body).then(() => report('ack', n));
      if (random.chance(0.3)) await pending;
    } else {
      pool.txn(body);
      if (settings.strict) {
        report('ack', n);
      } else if (random.chance(0.02)) {
        pool.flush();
        report('ack', n);
      }
    }
    if (!settings.strict && performance.now() - lastReport > 50) {
      lastReport = performance.now();
      report('ran', n);
    }
  }
  await pending;
}

/** A transaction or savepoint that leaves nothing behind. */
function rollBack(pool, root) {
  const reason = new RangeError('rolled back');
  try {
    pool.txn(() => {
      root.count = -1;
      root.names.clear();
      root.recent.push('never');
      root.blobs.set('never', new Uint8Array(random.int(30_000)));
      throw reason;
    });
  } catch (error) {
    if (error !== reason) throw error;
  }
}

function report(word, rest = '') {
  writeSync(1, `@${word} ${String(rest).replaceAll('\n', ' | ')}\n`);
}

/** Reports, and waits for a line in answer. */
function ask(word, rest) {
  report(word, rest);
  const byte = new Uint8Array(1);
  let line = '';
  for (;;) {
    readSync(0, byte);
    if (byte[0] === 10) return line;
    line += String.fromCharCode(byte[0]);
  }
}

/**
 * Persistent memory with a DAX file system: a range of the virtual machine's memory lies in a file, the kernel is
 * told that it is persistent (`memmap=512M!1G`), and /dev/pmem0 is mounted with dax=always, so that MAP_SYNC is
 * accepted and stores of the pool go to that memory without the page cache.
 *
 * What a cut shows here, and what it does not: software emulation has no processor caches, so every store has reached
 * the file when the machine is killed, flushed or not, in program order. That transactions are atomic, that recovery
 * works, and that the file system keeps the pool's blocks and size under MAP_SYNC is shown; that no flush or fence is
 * missing is not. The simulated medium of perdure/testing shows that.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const MIB = 2 ** 20;
/** Where the kernel is told to find it. The firmware keeps its tables at the top of memory: so something lies above. */
const BELOW_MB = 1024;
const SIZE_MB = 512;
const ABOVE_MB = 64;
export const PERSISTENT_MEMORY_BYTES = SIZE_MB * MIB;

export class PersistentMemory {
  #path;
  #leftPath;

  /** @param path a file of PERSISTENT_MEMORY_BYTES that holds a file system */
  constructor(path, folder) {
    this.#path = path;
    this.#leftPath = join(folder, 'left.img');
  }

  /** Returns how the virtual machine is started with this memory. */
  async start() {
    copy(this.#path, this.#leftPath);
    const banks = [
      `memory-backend-ram,id=below,size=${BELOW_MB}M`,
      `memory-backend-file,id=persistent,size=${SIZE_MB}M,mem-path=${this.#path},share=on`,
      `memory-backend-ram,id=above,size=${ABOVE_MB}M`,
    ];
    return {
      memoryMb: BELOW_MB + SIZE_MB + ABOVE_MB,
      append: `memmap=${SIZE_MB}M!${BELOW_MB}M`,
      args: [
        ...banks.flatMap((bank) => ['-object', bank]),
        ...['below', 'persistent', 'above'].flatMap((id, node) => [
          '-numa',
          `node,nodeid=${node},memdev=${id}`,
        ]),
      ],
    };
  }

  /** A good moment for a cut: any. */
  moment() {
    return Promise.resolve();
  }

  /** Nothing to do: what was stored stays. */
  cut() {
    return 'all stores kept';
  }

  /** Saves what the last cut left, before the machine was started again. */
  save(path) {
    copy(this.#leftPath, path);
  }
}

/** Holes stay holes. */
function copy(from, to) {
  const { status, stderr, error } = spawnSync('cp', ['--sparse=always', from, to], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cp ${from} ${to}: ${error?.message ?? stderr}`);
}

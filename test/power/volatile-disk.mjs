/**
 * A disk with a volatile write cache that is really lost when the power is cut: a server for the NBD protocol
 * (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md), which qemu attaches as the virtual
 * machine's disk. A disk of qemu itself would not do: what the killed machine wrote and never flushed stays in the
 * page cache of the host.
 *
 * - A write goes to the cache. The guest sees a disk with a write cache, so ext4 sends flushes.
 * - A flush takes a while, so that cuts find some going on, and covers the writes that were answered before it arrived.
 * - A cut keeps what was flushed, and of the writes since then any sectors of 512 bytes, in any of their versions:
 *   how many, and whether in order, is drawn anew for each cut.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

const SECTOR_BYTES = 512;
/**
 * The first block is kept or lost as a whole. ext4 trusts its disk with that: it reads its superblock, which is two
 * sectors long, before its journal, and does not mount when the checksum is wrong.
 */
const SUPERBLOCK_BYTES = 4096;
/** How long a flush takes at most: one of these, as long as the power is on. */
const MAX_FLUSH_MS = [1, 4, 30];

const NBDMAGIC = 0x4e42444d41474943n;
const IHAVEOPT = 0x49484156454f5054n;
const OPTION_REPLY = 0x3e889045565a9n;
const REQUEST = 0x25609513;
const SIMPLE_REPLY = 0x67446698;
const HANDSHAKE = { fixedNewstyle: 1, noZeroes: 2 };
const TRANSMISSION = { hasFlags: 1, sendFlush: 4 };
const OPTION = { abort: 2, info: 6, go: 7 };
const REPLY = { ack: 1, info: 3, unsupported: 0x80000001 };
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3 };
const EINVAL = 22;

export class VolatileDisk {
  /** What a cut leaves for certain. */
  #durable;
  /** What the machine reads: everything it wrote. */
  #current;
  /** What the last cut left. */
  #left;
  /** Writes since the last flush, in order: { number, offset, data }. */
  #cached = [];
  #countWrites = 0;
  #random;
  #folder;
  #countStarts = 0;
  #maxFlushMs = 0;
  /** Called at each write and flush. */
  #onChange = () => {};
  /** { server, socket }, while the power is on. */
  #link = null;

  /** @param image contents of the new disk; @param folder for the socket; @param random draws what survives a cut */
  constructor(image, folder, random) {
    this.#durable = image;
    this.#current = Buffer.from(image);
    this.#folder = folder;
    this.#random = random;
  }

  /** Switches the power on. Returns how the virtual machine is started with this disk. */
  async start() {
    this.#left = Buffer.from(this.#durable);
    this.#countStarts += 1;
    this.#maxFlushMs = this.#random.pick(MAX_FLUSH_MS);
    const path = join(this.#folder, `disk-${this.#countStarts}.sock`);
    const link = { server: createServer((socket) => this.#connect(link, socket)), socket: null };
    this.#link = link;
    link.server.listen(path);
    await once(link.server, 'listening');
    return {
      memoryMb: 768,
      append: '',
      args: [
        ...['-blockdev', `driver=nbd,node-name=disk,server.type=unix,server.path=${path}`],
        ...['-device', 'virtio-blk-pci,drive=disk,write-cache=on'],
      ],
    };
  }

  /** A good moment for a cut: any, or in the middle of the writes and flushes to come. */
  moment() {
    if (this.#random.chance(0.3)) return Promise.resolve();
    let left = this.#random.int(8);
    return new Promise((resolve) => {
      this.#onChange = () => {
        if (left === 0) resolve();
        left -= 1;
      };
    });
  }

  /**
   * Cuts the power, if it is on: from now on nothing is answered, and the cache is lost. Returns a description of what
   * survived. The machine must not live to see it: kill it at once.
   */
  cut() {
    if (this.#link === null) return '';
    const { socket, server } = this.#link;
    this.#link = null;
    this.#onChange = () => {};
    socket?.pause();
    server.close();
    const { description, survives } = this.#drawSurvivors();
    let bytes = 0;
    let bytesKept = 0;
    for (const [index, { offset, data }] of this.#cached.entries()) {
      for (let at = 0, end = 0; at < data.length; at = end) {
        end = at + (offset + at === 0 ? SUPERBLOCK_BYTES : SECTOR_BYTES);
        if (!survives(index)) continue;
        data.copy(this.#durable, offset + at, at, end);
        bytesKept += end - at;
      }
      bytes += data.length;
    }
    this.#cached = [];
    this.#durable.copy(this.#current);
    return `${bytesKept / 1024} of ${bytes / 1024} KiB unflushed kept (${description})`;
  }

  /** Saves what the last cut left, before the machine was started again. */
  save(path) {
    writeFileSync(path, this.#left);
  }

  #drawSurvivors() {
    const random = this.#random;
    const kind = random.int(8);
    if (kind === 0) return { description: 'none', survives: () => false };
    if (kind === 1) return { description: 'all', survives: () => true };
    if (kind <= 3) {
      const first = random.int(this.#cached.length + 1);
      return {
        description: `the first ${first} writes`,
        // The write at which the power went is torn.
        survives: (index) => index < first || (index === first && random.chance(0.5)),
      };
    }
    const share = random.float();
    return { description: 'any', survives: () => random.chance(share) };
  }

  #connect(link, socket) {
    link.socket = socket;
    // Once the machine is killed its side breaks; what matters was decided by the cut before.
    socket.on('error', () => socket.destroy());
    this.#serve(socket, link).catch((error) => socket.destroy(error));
  }

  async #serve(socket, link) {
    const take = reader(socket);
    if (!(await this.#negotiate(socket, take))) return;
    for (;;) {
      const request = await take(28);
      if (this.#link !== link) return;
      if (request.readUInt32BE(0) !== REQUEST) throw new Error('no NBD request');
      const command = request.readUInt16BE(6);
      const reply = { cookie: request.subarray(8, 16), error: 0, data: Buffer.alloc(0) };
      const offset = Number(request.readBigUInt64BE(16));
      const length = request.readUInt32BE(24);
      if (command === COMMAND.disconnect) return socket.end();
      if (command === COMMAND.read) reply.data = this.#current.subarray(offset, offset + length);
      else if (command === COMMAND.write) {
        const data = await take(length);
        if (this.#link !== link) return;
        this.#write(offset, data);
        this.#onChange();
      } else if (command === COMMAND.flush) {
        this.#onChange();
        this.#flush(link, () => answer(socket, reply));
        continue;
      } else reply.error = EINVAL;
      answer(socket, reply);
    }
  }

  #write(offset, data) {
    if (
      offset % SECTOR_BYTES !== 0 ||
      data.length % SECTOR_BYTES !== 0 ||
      offset + data.length > this.#current.length
    )
      throw new Error(`write of ${data.length} bytes at ${offset}`);
    this.#countWrites += 1;
    this.#cached.push({ number: this.#countWrites, offset, data });
    data.copy(this.#current, offset);
  }

  #flush(link, done) {
    const last = this.#countWrites;
    setTimeout(
      () => {
        if (this.#link !== link) return; // the power is off
        const uncovered = this.#cached.findIndex(({ number }) => number > last);
        const covered = this.#cached.splice(0, uncovered === -1 ? this.#cached.length : uncovered);
        for (const { offset, data } of covered) data.copy(this.#durable, offset);
        done();
      },
      this.#random.int(this.#maxFlushMs + 1),
    );
  }

  /** The handshake up to the transmission phase; false when the client gave up. */
  async #negotiate(socket, take) {
    const hello = Buffer.alloc(18);
    hello.writeBigUInt64BE(NBDMAGIC, 0);
    hello.writeBigUInt64BE(IHAVEOPT, 8);
    hello.writeUInt16BE(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes, 16);
    socket.write(hello);
    await take(4);
    for (;;) {
      const head = await take(16);
      if (head.readBigUInt64BE(0) !== IHAVEOPT) throw new Error('no NBD option');
      const option = head.readUInt32BE(8);
      await take(head.readUInt32BE(12));
      const known = option === OPTION.go || option === OPTION.info;
      if (known) {
        const info = Buffer.alloc(12);
        info.writeBigUInt64BE(BigInt(this.#current.length), 2);
        info.writeUInt16BE(TRANSMISSION.hasFlags | TRANSMISSION.sendFlush, 10);
        answerOption(socket, option, REPLY.info, info);
      }
      answerOption(socket, option, known || option === OPTION.abort ? REPLY.ack : REPLY.unsupported);
      if (option === OPTION.go) return true;
      if (option === OPTION.abort) return false;
    }
  }
}

function answerOption(socket, option, type, data = Buffer.alloc(0)) {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(OPTION_REPLY, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  socket.write(Buffer.concat([head, data]));
}

function answer(socket, { cookie, error, data }) {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(SIMPLE_REPLY, 0);
  head.writeUInt32BE(error, 4);
  cookie.copy(head, 8);
  // A copy: what is read may be overwritten before it is sent.
  socket.write(Buffer.concat([head, data]));
}

/** Returns a function that resolves to the next n bytes; it never does once the connection is closed. */
function reader(socket) {
  let chunks = [];
  let available = 0;
  let wake = () => {};
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    available += chunk.length;
    wake();
  });
  return async (bytes) => {
    while (available < bytes)
      await new Promise((resolve) => {
        wake = resolve;
      });
    const all = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    chunks = [all.subarray(bytes)];
    available = all.length - bytes;
    return Buffer.from(all.subarray(0, bytes));
  };
}

/**
 * CRC-32C (Castagnoli), as the processor's instruction computes it: `crc32c(0, "123456789")` is 0xE3069283, and
 * a checksum is continued by passing it in again. The native addon has the same in hardware; this one serves the
 * media without it, headers and recovery.
 */
const TABLES = buildTables();

/** Continues `crc` over bytes [start, end) of `bytes`. */
export function crc32c(crc: number, bytes: Uint8Array, start: number, end: number): number {
  let state = ~crc;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    state ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    state =
      (TABLES[768 + (state & 0xff)] as number) ^
      (TABLES[512 + ((state >>> 8) & 0xff)] as number) ^
      (TABLES[256 + ((state >>> 16) & 0xff)] as number) ^
      (TABLES[state >>> 24] as number);
  }
  for (; at < end; at += 1) {
    state = (TABLES[(state ^ (bytes[at] as number)) & 0xff] as number) ^ (state >>> 8);
  }
  return ~state >>> 0;
}

/** Four tables of 256 words: table k advances a byte over k more zero bytes ("slicing by four"). */
function buildTables(): Int32Array {
  const tables = new Int32Array(1024);
  for (let n = 0; n < 256; n += 1) {
    let value = n;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    tables[n] = value;
  }
  for (let n = 256; n < 1024; n += 1) {
    const previous = tables[n - 256] as number;
    tables[n] = (tables[previous & 0xff] as number) ^ (previous >>> 8);
  }
  return tables;
}

/*
 * CRC-32C (Castagnoli), with the processor's instruction where there is one, else by table. All variants give
 * the same value for the same bytes: a pool moves between machines.
 */
#include "perdure.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t table[8][256];

static uint64_t load64(const uint8_t *p) {
  uint64_t value;
  memcpy(&value, p, sizeof value);
  return value;
}

static uint32_t update_by_table(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  crc = ~crc;
  for (; length >= 8; p += 8, length -= 8) {
    const uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^
          table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
  }
  for (; length > 0; p++, length--) crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
  return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t update_sse42(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  uint64_t wide = (uint32_t)~crc;
  for (; length >= 8; p += 8, length -= 8) wide = _mm_crc32_u64(wide, load64(p));
  crc = (uint32_t)wide;
  if (length >= 4) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    crc = _mm_crc32_u32(crc, word);
    p += 4;
    length -= 4;
  }
  for (; length > 0; p++, length--) crc = _mm_crc32_u8(crc, *p);
  return ~crc;
}
#elif defined(__aarch64__) && defined(__GNUC__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif

static uint32_t update_arm(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  crc = ~crc;
  for (; length >= 8; p += 8, length -= 8) {
    const uint64_t word = load64(p);
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
  }
  for (; length > 0; p++, length--) {
    const uint32_t byte = *p;
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
  }
  return ~crc;
}
#endif

uint32_t (*crc32c_update)(uint32_t crc, const void *bytes, size_t length) = update_by_table;

__attribute__((constructor)) static void choose(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
    table[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; i++) {
    for (int t = 1; t < 8; t++) table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
  }
  (void)load64;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.2")) crc32c_update = update_sse42;
#elif defined(__aarch64__) && defined(__GNUC__)
  if (getauxval(AT_HWCAP) & HWCAP_CRC32) crc32c_update = update_arm;
#endif
}

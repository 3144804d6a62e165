/*
 * The instructions that make stores durable, chosen at run time, and the PMEM emulator's latency.
 *
 * `account_lines` and `fence` count what the protocol asks for in every mode, also where the medium needs no
 * instruction, so that the counts of a program do not depend on the machine.
 */
#include "perdure.h"

#include <string.h>
#include <time.h>

/* ------------------------------------------------------------------------------------- instructions */

#if defined(__x86_64__)
#include <cpuid.h>
#include <emmintrin.h>
#include <immintrin.h>

__attribute__((target("clwb"))) static void write_back_clwb(const uint8_t *line, uint64_t lines) {
  for (; lines > 0; line += LINE, lines--) _mm_clwb((void *)line);
}

__attribute__((target("clflushopt"))) static void write_back_clflushopt(const uint8_t *line, uint64_t lines) {
  for (; lines > 0; line += LINE, lines--) _mm_clflushopt((void *)line);
}

static void write_back_clflush(const uint8_t *line, uint64_t lines) {
  for (; lines > 0; line += LINE, lines--) _mm_clflush(line);
}

static inline void store_fence(void) { _mm_sfence(); }

static FlushInstruction available[4];

__attribute__((constructor)) static void detect(void) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  int count = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) b = 0;
  if (b & 1u << 24) available[count++] = (FlushInstruction){"clwb", write_back_clwb};
  if (b & 1u << 23) available[count++] = (FlushInstruction){"clflushopt", write_back_clflushopt};
  available[count] = (FlushInstruction){"clflush", write_back_clflush}; /* every x86-64 has it */
}

static inline uint64_t read_ticks(void) { return __rdtsc(); }
static inline void pause_briefly(void) { _mm_pause(); }

#elif defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_DCPOP
#define HWCAP_DCPOP (1 << 16)
#endif

static void write_back_cvap(const uint8_t *line, uint64_t lines) {
  /* dc cvap, spelled so that an ARMv8.0 assembler takes it */
  for (; lines > 0; line += LINE, lines--) __asm__ volatile("sys #3, c7, c12, #1, %0" ::"r"(line) : "memory");
}

static void write_back_civac(const uint8_t *line, uint64_t lines) {
  for (; lines > 0; line += LINE, lines--) __asm__ volatile("dc civac, %0" ::"r"(line) : "memory");
}

static inline void store_fence(void) { __asm__ volatile("dsb sy" ::: "memory"); }

static FlushInstruction available[3];

/* Steps of 64 bytes reach every line unless lines are shorter than that; no such 64-bit core is known. */
__attribute__((constructor)) static void detect(void) {
  int count = 0;
  if (getauxval(AT_HWCAP) & HWCAP_DCPOP) available[count++] = (FlushInstruction){"dc cvap", write_back_cvap};
  available[count] = (FlushInstruction){"dc civac", write_back_civac};
}

static inline uint64_t read_ticks(void) {
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
}
static inline void pause_briefly(void) { __asm__ volatile("yield"); }

#else
/* No flush instruction that a program may use: process crashes only. */
static FlushInstruction available[1];
static inline void store_fence(void) { __sync_synchronize(); }
static inline uint64_t read_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
static inline void pause_briefly(void) {}
#endif

const FlushInstruction *flush_instructions(void) { return available; }

/* ------------------------------------------------------------------------------------- latency */

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t ticks_of(double ns) {
  if (!(ns > 0)) return 0;
  const uint64_t start_ns = now_ns(), start = read_ticks();
  uint64_t end_ns;
  do end_ns = now_ns();
  while (end_ns - start_ns < 2000000u);
  const double rate = (double)(read_ticks() - start) / (double)(end_ns - start_ns);
  const uint64_t ticks = (uint64_t)(ns * rate + 0.5);
  return ticks == 0 ? 1 : ticks;
}

static void wait_ticks(uint64_t ticks) {
  const uint64_t start = read_ticks();
  while (read_ticks() - start < ticks) pause_briefly();
}

/* ------------------------------------------------------------------------------------- primitives */

void account_lines(Mapping *m, uint64_t lines) {
  m->counters[COUNTER_LINES] += (double)lines;
  if (m->line_ticks != 0 && lines != 0) wait_ticks(m->line_ticks * lines);
}

uint64_t count_range(uint64_t at, uint64_t bytes, uint64_t *last_line) {
  if (bytes == 0) return 0;
  const uint64_t first = at / LINE, last = (at + bytes - 1) / LINE;
  const uint64_t lines = last - first + (first == *last_line ? 0 : 1);
  *last_line = last;
  return lines;
}

uint64_t flush_range(const Mapping *m, const uint8_t *base, uint64_t at, uint64_t bytes, uint64_t *last_line) {
  const uint64_t lines = count_range(at, bytes, last_line);
  if (m->write_back != NULL && lines != 0) m->write_back(base + (*last_line + 1 - lines) * LINE, lines);
  return lines;
}

void account_fence(Mapping *m) {
  m->counters[COUNTER_FENCES] += 1;
  if (m->fence_ticks != 0) wait_ticks(m->fence_ticks);
}

void fence(Mapping *m) {
  if (m->fences) store_fence();
  account_fence(m);
}

void put_granules(const Mapping *m, uint8_t *to, const uint8_t *from, uint64_t granules) {
#if defined(__x86_64__)
  if (m->stream) {
    __m128i *target = (__m128i *)to;
    const __m128i *source = (const __m128i *)from;
    for (; granules > 0; granules--) _mm_stream_si128(target++, _mm_loadu_si128(source++));
    return;
  }
#else
  (void)m;
#endif
  memcpy(to, from, granules * GRANULE);
}

void put_zeros(const Mapping *m, uint8_t *to, uint64_t granules) {
  static const uint8_t zeros[GRANULE];
  for (; granules > 0; granules--, to += GRANULE) put_granules(m, to, zeros, 1);
}

/*
 * The records of the undo log: one call copies, checksums, writes and fences. The format is RECORD and
 * COMMIT_PAYLOAD in src/format/format.ts; the words below are held to it by a test that compares bytes.
 *
 * Arguments come from the control block, which JavaScript writes: all of them are checked against the file
 * before the first byte is read or written. Positions are 32-bit counts of granules, so no 64-bit sum overflows.
 */
#include "perdure.h"

#include <string.h>

#define KIND_SNAPSHOT (1u << 28)
#define KIND_COMMIT (2u << 28)
#define PAYLOAD_MASK 0x7fffu
#define EPOCH_BITS(control) (((control)[CONTROL_EPOCH] & 0x1fffu) << 15)

typedef union {
  uint32_t words[4];
  uint8_t bytes[GRANULE];
} Granule;

bool inside(const Mapping *m, uint32_t ref, uint64_t granules) {
  return ((uint64_t)ref + granules) * GRANULE <= m->size;
}

static bool record_fits(const Mapping *m, uint32_t at, uint64_t payload) {
  return at % (LINE / GRANULE) == 0 && payload <= PAYLOAD_MASK && inside(m, at, (payload + 1 + 3) & ~(uint64_t)3);
}

/*
 * Writes header, `lead` granule (commit only), `bytes` bytes of payload (a multiple of 8) and the padding; sets
 * the chain. Does not fence.
 */
static void write_record(Mapping *m, Granule *header, const Granule *lead, const uint8_t *payload, uint64_t bytes) {
  const uint64_t whole = bytes / GRANULE;
  Granule tail = {{0, 0, 0, 0}};
  uint32_t crc = crc32c_update(m->control[CONTROL_CHAIN], header->bytes + 4, GRANULE - 4);
  if (lead != NULL) crc = crc32c_update(crc, lead->bytes, GRANULE);
  crc = crc32c_update(crc, payload, whole * GRANULE);
  if (bytes % GRANULE != 0) {
    memcpy(tail.bytes, payload + whole * GRANULE, bytes % GRANULE);
    crc = crc32c_update(crc, tail.bytes, GRANULE);
  }
  header->words[0] = crc;

  const uint64_t start = (uint64_t)m->control[CONTROL_AT] * GRANULE;
  uint8_t *to = m->base + start;
  put_granules(m, to, header->bytes, 1);
  to += GRANULE;
  if (lead != NULL) {
    put_granules(m, to, lead->bytes, 1);
    to += GRANULE;
  }
  put_granules(m, to, payload, whole);
  to += whole * GRANULE;
  if (bytes % GRANULE != 0) {
    put_granules(m, to, tail.bytes, 1);
    to += GRANULE;
  }
  const uint64_t rest = (uint64_t)(m->base - to) % LINE / GRANULE; /* base is page-aligned */
  put_zeros(m, to, rest);
  const uint64_t lines = (uint64_t)(to - m->base + rest * GRANULE - start) / LINE;
  if (!m->stream && m->write_back != NULL) m->write_back(m->base + start, lines);
  account_lines(m, lines);
  m->control[CONTROL_CHAIN] = crc;
}

const char *record_append(Mapping *m) {
  const uint32_t *control = m->control;
  const uint32_t granules = control[CONTROL_GRANULES];
  if (!inside(m, control[CONTROL_SOURCE], granules)) return "append: the range to save lies outside the file";
  if (!record_fits(m, control[CONTROL_AT], granules)) {
    return "append: the record must start on a line boundary and end within the file";
  }
  Granule header = {{0, KIND_SNAPSHOT | EPOCH_BITS(control) | granules, control[CONTROL_SOURCE], control[CONTROL_TXN]}};
  write_record(m, &header, NULL, m->base + (uint64_t)control[CONTROL_SOURCE] * GRANULE, (uint64_t)granules * GRANULE);
  fence(m);
  return NULL;
}

const char *record_commit(Mapping *m) {
  const uint32_t *control = m->control;
  const uint64_t count = control[CONTROL_RANGE_COUNT];
  const bool checked = control[CONTROL_CHECKED] == 1;
  const uint64_t payload = checked ? 1 + (count + 1) / 2 : 1;
  const char *problem = check_ranges(m, m->ranges.words, m->ranges.length, count);
  if (problem != NULL) return problem;
  if (!record_fits(m, control[CONTROL_AT], payload)) {
    return "commit: the record must start on a line boundary and end within the file";
  }
  Granule lead = {{0, 0, 0, 0}};
  if (checked) { /* before the flush, which may evict the lines */
    for (uint64_t i = 0; i < count; i++) {
      const uint8_t *from = m->base + (uint64_t)m->ranges.words[2 * i] * GRANULE;
      lead.words[0] = crc32c_update(lead.words[0], from, (uint64_t)m->ranges.words[2 * i + 1] * GRANULE);
    }
  }
  flush_ranges(m, m->ranges.words, count);
  const uint32_t subject = checked ? (uint32_t)count : 0;
  Granule header = {{0, KIND_COMMIT | EPOCH_BITS(control) | (uint32_t)payload, subject, control[CONTROL_TXN]}};
  write_record(m, &header, &lead, (const uint8_t *)m->ranges.words, checked ? count * 8 : 0);
  fence(m);
  return NULL;
}

const char *check_ranges(const Mapping *m, const uint32_t *ranges, uint64_t words, uint64_t count) {
  if (count > words / 2) return "more ranges than the registered array holds";
  for (uint64_t i = 0; i < count; i++) {
    if (!inside(m, ranges[2 * i], ranges[2 * i + 1])) return "a range lies outside the file";
  }
  return NULL;
}

uint64_t flush_ranges(Mapping *m, const uint32_t *ranges, uint64_t count) {
  uint64_t last_line = NO_LINE, lines = 0;
  for (uint64_t i = 0; i < count; i++) {
    lines += flush_range(m, m->base, (uint64_t)ranges[2 * i] * GRANULE, (uint64_t)ranges[2 * i + 1] * GRANULE, &last_line);
  }
  account_lines(m, lines);
  return lines;
}

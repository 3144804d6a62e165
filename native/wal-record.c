/*
 * The records of the redo log: one call sorts and merges the ranges of a transaction, copies what they hold,
 * checksums and writes. The format is WAL_RECORD in src/format/format.ts; a test holds the bytes against those of
 * the portable writer in src/txn/wal-record-writer.ts.
 *
 * Arguments come from the control block and the registered ranges, which JavaScript writes: all of them are checked
 * against pool and log before the first byte is written. Positions are 32-bit counts of granules or lines, so no 64-bit
 * sum of them overflows.
 */
#include "wal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE_GRANULES (LINE / GRANULE)
#define GATHER_BYTES 65536u
#define HEAD_GRANULES 2u /* the header's words and the first range */

typedef struct {
  uint32_t ref;
  uint32_t granules;
} Range;

static uint64_t end_of(Range range) { return (uint64_t)range.ref + range.granules; }

/* --------------------------------------------------------------------------------------- ranges */

static void sift(Range *ranges, uint64_t root, uint64_t count) {
  const Range moved = ranges[root];
  for (uint64_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && ranges[child].ref < ranges[child + 1].ref) child++;
    if (moved.ref >= ranges[child].ref) break;
    ranges[root] = ranges[child];
  }
  ranges[root] = moved;
}

/* Heapsort: in place, and never quadratic. */
static void sort_many(Range *ranges, uint64_t count) {
  for (uint64_t root = count / 2; root-- > 0;) sift(ranges, root, count);
  for (uint64_t end = count - 1; end > 0; end--) {
    const Range last = ranges[end];
    ranges[end] = ranges[0];
    ranges[0] = last;
    sift(ranges, 0, end);
  }
}

static void sort_few(Range *ranges, uint64_t count) {
  for (uint64_t i = 1; i < count; i++) {
    const Range moved = ranges[i];
    uint64_t to = i;
    for (; to > 0 && ranges[to - 1].ref > moved.ref; to--) ranges[to] = ranges[to - 1];
    ranges[to] = moved;
  }
}

/* Joins ranges that overlap or touch, and drops empty ones; returns how many are left. */
static uint64_t merge(Range *ranges, uint64_t count) {
  uint64_t left = 0;
  for (uint64_t i = 0; i < count; i++) {
    const Range range = ranges[i];
    if (range.granules == 0) continue;
    if (left > 0 && range.ref <= end_of(ranges[left - 1])) {
      Range *last = &ranges[left - 1];
      if (end_of(range) > end_of(*last)) last->granules = (uint32_t)(end_of(range) - last->ref);
    } else {
      ranges[left++] = range;
    }
  }
  return left;
}

/* --------------------------------------------------------------------------------------- writing */

/* Where a record goes: into the mapping of the log, or through the gather buffer. */
typedef struct {
  Wal *w;
  uint64_t at;     /* in the file, of the next byte that leaves the buffer */
  uint64_t filled; /* bytes in the buffer */
  uint8_t *to;     /* in the mapping, of the next byte */
  int error;
} Sink;

static void drain(Sink *sink) {
  if (sink->error == 0) sink->error = file_write(&sink->w->file, sink->w->gather, sink->filled, sink->at);
  sink->at += sink->filled;
  sink->filled = 0;
}

/* `from` NULL: zeros. */
static void put(Sink *sink, const uint8_t *from, uint64_t granules) {
  if (sink->to != NULL) {
    if (from != NULL) put_granules(sink->w->m, sink->to, from, granules);
    else put_zeros(sink->w->m, sink->to, granules);
    sink->to += granules * GRANULE;
    return;
  }
  for (uint64_t bytes = granules * GRANULE; bytes > 0;) {
    const uint64_t room = GATHER_BYTES - sink->filled;
    const uint64_t part = bytes < room ? bytes : room;
    if (from != NULL) memcpy(sink->w->gather + sink->filled, from, part);
    else memset(sink->w->gather + sink->filled, 0, part);
    if (from != NULL) from += part;
    sink->filled += part;
    bytes -= part;
    if (sink->filled == GATHER_BYTES) drain(sink);
  }
}

static int prepare(Wal *w, Sink *sink) {
  *sink = (Sink){.w = w, .at = (uint64_t)w->control[WAL_AT] * LINE};
  if (wal_failed(w) != NULL) return file_error(wal_failed(w));
  if (w->store) {
    const int error = wal_map(w);
    if (error == 0) sink->to = w->base + sink->at;
    return error;
  }
  if (w->gather == NULL) w->gather = aligned_alloc(PAGE, GATHER_BYTES);
  return w->gather == NULL ? ENOMEM : 0;
}

static uint32_t checksum(const Wal *w, const uint32_t *head, const uint8_t *rest, uint64_t rest_bytes,
                         const Range *ranges, uint64_t count) {
  static const uint8_t zeros[GRANULE / 2];
  uint32_t crc = crc32c_update(w->control[WAL_SEED], head + 1, HEAD_GRANULES * GRANULE - 4);
  crc = crc32c_update(crc, rest, rest_bytes);
  if (rest_bytes % GRANULE != 0) crc = crc32c_update(crc, zeros, sizeof zeros);
  for (uint64_t i = 0; i < count; i++) {
    crc = crc32c_update(crc, w->m->base + (uint64_t)ranges[i].ref * GRANULE, (uint64_t)ranges[i].granules * GRANULE);
  }
  return crc;
}

static int write_record(Wal *w, const Range *ranges, uint64_t count, uint64_t granules, uint64_t lines) {
  const uint32_t *control = w->control;
  Sink sink;
  const int error = prepare(w, &sink);
  if (error != 0) return error;
  /* 1. The header, with the first range; the other ranges follow as they lie in the list. */
  uint32_t head[HEAD_GRANULES * GRANULE / 4] = {0, (uint32_t)granules, control[WAL_SEQ_LOW], control[WAL_SEQ_HIGH],
                                                (uint32_t)count, control[WAL_SIZE_GRANULES], 0, 0};
  if (count > 0) memcpy(head + 6, ranges, sizeof *ranges);
  const uint8_t *rest = (const uint8_t *)(ranges + 1);
  const uint64_t rest_bytes = count > 1 ? (count - 1) * sizeof *ranges : 0;
  /* 2. The checksum over pool and ranges where they lie: what was streamed cannot be read back quickly. */
  head[0] = checksum(w, head, rest, rest_bytes, ranges, count);
  /* 3. The record. */
  put(&sink, (const uint8_t *)head, HEAD_GRANULES);
  put(&sink, rest, rest_bytes / GRANULE);
  if (rest_bytes % GRANULE != 0) {
    uint8_t tail[GRANULE] = {0};
    memcpy(tail, rest + rest_bytes / GRANULE * GRANULE, GRANULE / 2);
    put(&sink, tail, 1);
  }
  for (uint64_t i = 0; i < count; i++) put(&sink, w->m->base + (uint64_t)ranges[i].ref * GRANULE, ranges[i].granules);
  put(&sink, NULL, lines * LINE_GRANULES - granules);
  if (sink.filled > 0) drain(&sink);
  return sink.error;
}

const char *wal_append(Wal *w, int *error) {
  uint32_t *control = w->control;
  uint64_t count = control[WAL_COUNT], data = 0;
  Range *ranges = (Range *)w->ranges.words;
  bool sorted = true;
  if (count > w->ranges.length / 2) return "append: more ranges than the registered array holds";
  for (uint64_t i = 0; i < count; i++) {
    if (!inside(w->m, ranges[i].ref, ranges[i].granules)) return "append: a range lies outside the pool's file";
    if (i > 0 && ranges[i].ref < ranges[i - 1].ref) sorted = false;
  }
  if (!sorted && count > 24) sort_many(ranges, count);
  else if (!sorted) sort_few(ranges, count);
  count = merge(ranges, count);
  for (uint64_t i = 0; i < count; i++) data += ranges[i].granules;
  const uint64_t granules = HEAD_GRANULES + count / 2 + data;
  const uint64_t lines = (granules + LINE_GRANULES - 1) / LINE_GRANULES;
  control[WAL_COUNT] = (uint32_t)count;
  control[WAL_LINES] = (uint32_t)lines;
  const uint64_t end = control[WAL_AT] + lines;
  if (end > control[WAL_END] || granules > UINT32_MAX) return "append: the record does not fit before the end given";
  if (end * LINE > __atomic_load_n(&w->size, __ATOMIC_ACQUIRE)) return "append: the record must end within the log";

  *error = write_record(w, ranges, count, granules, lines);
  if (*error != 0) return NULL;
  if (w->store && w->synchronous && !w->m->stream && w->m->write_back != NULL) {
    w->m->write_back(w->base + (uint64_t)control[WAL_AT] * LINE, lines);
  }
  account_lines(w->m, lines);
  if (w->synchronous) fence(w->m);
  else wal_wrote(w);
  return NULL;
}

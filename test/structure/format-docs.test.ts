/** docs/format.md says what src/format says. */
import { expect, it } from 'vitest';
// @ts-expect-error: a script without types
import { render, tables } from '../../scripts/format-docs.mjs';
import * as format from '../../src/format/index.js';
import { read } from './source-files.js';

it('has the tables that the format file makes: after a change, run node scripts/format-docs.mjs', () => {
  const page = read('docs/format.md');
  expect(page).toBe(render(page, tables(format)));
});

it('shows every constant of the format', () => {
  const page = read('docs/format.md');
  const shownElsewhere = [
    ...['MAGIC_LOW', 'MAGIC_HIGH', 'GRANULE_SHIFT', 'SPAN_GRANULES', 'NULL_REF', 'HEADER_CHECKSUM_START'],
    ...[
      'SPAN_KIND_MASK',
      'SPAN_PARAM_SHIFT',
      'RECORD_KIND_SHIFT',
      'RECORD_EPOCH_SHIFT',
      'RECORD_EPOCH_MASK',
      'RECORD_PAYLOAD_MASK',
      'MAP_DELETED',
      'WAL_MAGIC_LOW',
      'WAL_MAGIC_HIGH',
      'WAL_HEADER_CHECKSUM_START',
    ],
  ];
  const names = Object.keys(format).filter((name) => /^[A-Z][A-Z0-9_]+$/.test(name));
  const missing = names.filter((name) => !shownElsewhere.includes(name) && !page.includes(name));
  expect(missing).toEqual([]);
});

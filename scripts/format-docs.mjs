/**
 * Writes the tables of docs/format.md from src/format/format.ts, between the markers `<!-- table NAME -->` and
 * `<!-- end -->`. With `--check` it changes nothing and fails when they differ: `node scripts/format-docs.mjs [--check]`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const PAGE = join(ROOT, 'docs', 'format.md');

/** Tables of fields and of numbered kinds, by the names that the markers use. */
const FIELDS = [
  'REGION',
  'HEADER',
  'CHECKPOINT_MARK',
  'ANCHORS',
  'BLOCK',
  'LAYOUT_RECORD',
  'RECORD',
  'COMMIT_PAYLOAD',
  'LOG_SEGMENT',
  'WAL_REGION',
  'WAL_HEADER',
  'WAL_RECORD',
  'LIST',
  'LIST_LEAF',
  'LIST_NODE',
  'QUEUE',
  'QUEUE_CHUNK',
  'MAP',
  'MAP_ARRAY',
  'MAP_TABLE',
  'MAP_ENTRY',
  'MAP_BUCKET',
];
const KINDS = ['SPAN_KIND', 'RECORD_KIND', 'FEATURE'];
const CONSTANTS = [
  'FORMAT_VERSION',
  'GRANULE_BYTES',
  'LINE_BYTES',
  'PAGE_BYTES',
  'SPAN_BYTES',
  'MAX_POOL_BYTES',
  'MIN_LOG_BYTES',
  'DEFAULT_LOG_BYTES',
  'HEADER_BYTES',
  'CHECKPOINT_MARK_BYTES',
  'SPAN_ENTRY_BYTES',
  'MAX_SMALL_BYTES',
  'BLOCK_HEADER_BYTES',
  'FIRST_CLASS_LAYOUT',
  'LAYOUT_RECORD_BYTES',
  'RECORD_HEADER_BYTES',
  'MAX_COMMIT_RANGES',
  'LOG_SEGMENT_HEADER_BYTES',
  'WAL_VERSION',
  'SECTOR_BYTES',
  'WAL_HEADER_BYTES',
  'WAL_SKIP',
  'WAL_MAX_DISTANCE',
  'MIN_WAL_BYTES',
  'INITIAL_WAL_BYTES',
  'DEFAULT_WAL_BYTES',
  'LIST_MAX_DEPTH',
  'LIST_NODE_BYTES',
  'LIST_NODE_CHILDREN',
  'MAP_TABLE_SHIFT',
  'MAP_TABLE_MIN_SHIFT',
  'MAP_MAX_LEVEL',
  'MAP_CHUNK_BYTES',
  'MAP_CHUNK_HEADER_BYTES',
  'MAP_BUCKET_BYTES',
  'MAP_TAG_BITS',
];

const row = (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
const table = (head, rows) => [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

/** The tables by name, from the exports of src/format. */
export function tables(format) {
  const made = new Map();
  for (const name of FIELDS) {
    const fields = Object.entries(format[name]);
    const rows = fields.map(([field, { offset, bytes, what }]) => [
      offset,
      bytes === 0 ? 'varies' : bytes,
      `\`${field}\``,
      what,
    ]);
    made.set(name, table(['offset', 'bytes', 'field', 'what'], rows));
  }
  for (const name of KINDS) {
    const rows = Object.entries(format[name]).map(([kind, { value, what }]) => [value, `\`${kind}\``, what]);
    made.set(name, table(['value', 'kind', 'what'], rows));
  }
  const ids = Object.entries(format.LAYOUT_ID).map(([kind, id]) => [id, `\`${kind}\``]);
  made.set('LAYOUT_ID', table(['id', 'structure'], ids));
  const containers = Object.entries(format.CONTAINER_BYTES).map(([kind, bytes]) => [`\`${kind}\``, bytes]);
  made.set('CONTAINER_BYTES', table(['container', 'bytes of its header'], containers));
  const constants = CONSTANTS.map((name) => [`\`${name}\``, format[name].toLocaleString('en-US')]);
  made.set('CONSTANTS', table(['constant', 'value'], constants));
  const classes = format.SIZE_CLASSES.map((bytes, i) => [
    i,
    bytes,
    format.blocksPerSpan(bytes),
    format.spanBitmapBytes(bytes),
  ]);
  made.set('SIZE_CLASSES', table(['class', 'block bytes', 'blocks in a span', 'bitmap bytes'], classes));
  return made;
}

/** The page with its tables renewed. @throws when a marker names no table, or a table has no marker */
export function render(page, made) {
  const missing = new Set(made.keys());
  const rendered = page.replace(/<!-- table (\w+) -->\n[\s\S]*?<!-- end -->/g, (_match, name) => {
    if (!made.has(name)) throw new Error(`docs/format.md asks for a table ${name}, which there is not`);
    missing.delete(name);
    return `<!-- table ${name} -->\n${made.get(name)}\n<!-- end -->`;
  });
  if (missing.size > 0) throw new Error(`docs/format.md lacks the tables ${[...missing].join(', ')}`);
  return rendered;
}

async function main() {
  const { createServer } = await import('vite');
  const server = await createServer({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, watch: null, ws: false },
    optimizeDeps: { noDiscovery: true },
  });
  try {
    const format = await server.ssrLoadModule(
      pathToFileURL(join(ROOT, 'src', 'format', 'index.ts')).pathname,
    );
    const page = readFileSync(PAGE, 'utf8');
    const rendered = render(page, tables(format));
    if (rendered === page) return;
    if (process.argv.includes('--check')) {
      console.error('docs/format.md differs from src/format/format.ts: run node scripts/format-docs.mjs');
      process.exitCode = 1;
    } else {
      writeFileSync(PAGE, rendered);
    }
  } finally {
    await server.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();

/** The size classes in the form that the heap computes with: typed arrays by class, and the class by size. */
import {
  blocksPerSpan,
  GRANULE_BYTES,
  MAX_SMALL_BYTES,
  SIZE_CLASSES,
  spanBitmapBytes,
} from '../format/index.js';

export const CLASS_COUNT = SIZE_CLASSES.length;
/** Size class by size in granules. */
export const CLASS_OF = buildClassOf();
export const CLASS_GRANULES = Uint32Array.from(SIZE_CLASSES, (bytes) => bytes / GRANULE_BYTES);
export const BLOCKS = Uint32Array.from(SIZE_CLASSES, blocksPerSpan);
export const BITMAP_GRANULES = Uint32Array.from(
  SIZE_CLASSES,
  (bytes) => spanBitmapBytes(bytes) / GRANULE_BYTES,
);
export const BITMAP_WORDS = Uint32Array.from(BLOCKS, (count) => Math.ceil(count / 32));

function buildClassOf(): Uint8Array {
  const classes = new Uint8Array(MAX_SMALL_BYTES / GRANULE_BYTES + 1);
  let sizeClass = 0;
  for (let granules = 1; granules < classes.length; granules += 1) {
    if (granules * GRANULE_BYTES > (SIZE_CLASSES[sizeClass] as number)) sizeClass += 1;
    classes[granules] = sizeClass;
  }
  return classes;
}

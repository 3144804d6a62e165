/**
 * From declarations to bytes: where each field of a class lies in its objects. Pure; the same declarations give
 * the same layout on every machine.
 *
 * An object is a block: block header, then the fields of the base class, then those of the subclass, so that a
 * base class's fields lie at the same offsets in all of its subclasses. Within one class, fields are ordered by
 * falling size; then a byte of presence bits per eight nullable fields; then, at granule boundaries, what is
 * embedded: structs, fixed arrays and container headers. Zero bytes are the initial value of every field.
 */
import { createHash } from 'node:crypto';
import { DeclarationError } from '../errors/index.js';
import { BLOCK_HEADER_BYTES, CONTAINER_BYTES, GRANULE_BYTES } from '../format/index.js';
import { type ClassMetadata, declaredFields, metadataOf, metadataOfPrototype } from './class-metadata.js';
import { describeType } from './describe-type.js';
import type { ClassOf, FieldType } from './field-type.js';
import { slotBytes } from './slot.js';

/** A field, placed. */
export interface FieldLayout {
  readonly name: string;
  readonly type: FieldType;
  /** Bytes from the start of the object. */
  readonly offset: number;
  readonly bytes: number;
  /** For kinds whose bytes have no room for null: where the presence bit is. 1 means present. */
  readonly presence: { readonly offset: number; readonly mask: number } | null;
  /** `Class.field`, for messages. */
  readonly where: string;
}

/** A class, laid out. */
export interface Layout {
  readonly metadata: ClassMetadata;
  readonly name: string;
  /** Inherited fields first. */
  readonly fields: readonly FieldLayout[];
  /** Bytes of an object, block header included. */
  readonly sizeBytes: number;
  /** The layouts of the base classes, nearest first, that are themselves decorated. */
  readonly bases: readonly ClassOf[];
  /** The layout as JSON: what a pool stores about the class. */
  readonly descriptor: string;
  /** First 64 bits of the SHA-256 of the descriptor, as two words. */
  readonly fingerprint: readonly [number, number];
}

const layouts = new WeakMap<ClassMetadata, Layout>();
const inProgress = new Set<ClassMetadata>();

/** The layout of a decorated class. @throws DeclarationError */
export function layoutOf(target: ClassOf): Layout {
  const metadata = metadataOf(target);
  if (metadata === undefined) {
    throw new DeclarationError(`class ${target.name} is not persistent: decorate it with @Persistent()`, {
      className: target.name,
    });
  }
  const known = layouts.get(metadata);
  if (known !== undefined) return known;
  if (inProgress.has(metadata)) {
    throw new DeclarationError(
      `class ${metadata.name} embeds itself: use a reference, @Field(() => ${metadata.name})`,
      {
        className: metadata.name,
      },
    );
  }
  inProgress.add(metadata);
  try {
    const layout = build(metadata);
    layouts.set(metadata, layout);
    return layout;
  } finally {
    inProgress.delete(metadata);
  }
}

function build(metadata: ClassMetadata): Layout {
  const fields: FieldLayout[] = [];
  let end = BLOCK_HEADER_BYTES;
  const chain = prototypeChain(metadata.original.prototype as object);
  for (const prototype of chain) {
    const className = metadataOfPrototype(prototype)?.name ?? prototype.constructor.name;
    end = placeLevel(prototype, className, fields, end);
  }
  if (fields.length === 0) {
    throw new DeclarationError(
      `class ${metadata.name} has no @Field: decorate at least one of its properties, with parentheses, as in @Field('string') declare name: string`,
      {
        className: metadata.name,
      },
    );
  }
  const bases = chain
    .slice(0, -1)
    .reverse()
    .flatMap((prototype) => metadataOfPrototype(prototype)?.constructor ?? []);
  const descriptor = describe(metadata.name, fields, end, bases);
  const digest = createHash('sha256').update(descriptor).digest();
  return {
    metadata,
    name: metadata.name,
    fields,
    sizeBytes: Math.ceil(end / GRANULE_BYTES) * GRANULE_BYTES,
    bases,
    descriptor,
    fingerprint: [digest.readUInt32LE(0), digest.readUInt32LE(4)],
  };
}

/** From the outermost base class down to `prototype`, without Object.prototype. */
function prototypeChain(prototype: object): object[] {
  const chain: object[] = [];
  for (let p: object | null = prototype; p !== null && p !== Object.prototype; p = Object.getPrototypeOf(p))
    chain.unshift(p);
  return chain;
}

/** Places the fields declared on one prototype behind `start`; returns where they end. */
function placeLevel(prototype: object, className: string, fields: FieldLayout[], start: number): number {
  const declared = declaredFields(prototype).map((field) => {
    const duplicate = fields.some((other) => other.name === field.name);
    if (duplicate) {
      throw new DeclarationError(
        `${className}.${field.name} is declared by a base class already: rename one of them`,
        {
          className,
          field: field.name,
        },
      );
    }
    return { ...field, ...inlineSize(field.type), where: `${className}.${field.name}` };
  });
  const plain = declared.filter((field) => field.alignment < GRANULE_BYTES).sort((a, b) => b.bytes - a.bytes);
  const granular = declared.filter((field) => field.alignment === GRANULE_BYTES);
  const offsets = new Map<string, number>();
  let end = start;
  for (const field of plain) {
    end = alignUp(end, field.alignment);
    offsets.set(field.name, end);
    end += field.bytes;
  }
  const withPresence = declared.filter((field) => field.type.nullable && !nullInside(field.type));
  const presenceStart = end;
  end += Math.ceil(withPresence.length / 8);
  for (const field of granular) {
    end = alignUp(end, GRANULE_BYTES);
    offsets.set(field.name, end);
    end += field.bytes;
  }
  for (const field of declared) {
    const bit = withPresence.indexOf(field);
    fields.push({
      name: field.name,
      type: field.type,
      offset: offsets.get(field.name) as number,
      bytes: field.bytes,
      presence: bit < 0 ? null : { offset: presenceStart + (bit >> 3), mask: 1 << (bit & 7) },
      where: field.where,
    });
  }
  return end;
}

function inlineSize(type: FieldType): { bytes: number; alignment: number } {
  switch (type.kind) {
    case 'list':
    case 'map':
    case 'queue':
      return { bytes: CONTAINER_BYTES[type.kind], alignment: GRANULE_BYTES };
    case 'embedded':
      return { bytes: layoutOf(type.target()).sizeBytes, alignment: GRANULE_BYTES };
    case 'fixedArray': {
      const bytes = BLOCK_HEADER_BYTES + slotBytes(type.element) * type.length;
      return { bytes: alignUp(bytes, GRANULE_BYTES), alignment: GRANULE_BYTES };
    }
    default: {
      const bytes = slotBytes({ ...type, nullable: false });
      return { bytes, alignment: bytes };
    }
  }
}

/** Whether null needs no presence bit: a ref of 0 says it. */
export function nullInside(type: FieldType): boolean {
  return type.kind === 'ref' || type.kind === 'string' || type.kind === 'bytes' || type.kind === 'typedArray';
}

function describe(
  name: string,
  fields: readonly FieldLayout[],
  end: number,
  bases: readonly ClassOf[],
): string {
  return JSON.stringify({
    name,
    bases: bases.map((base) => metadataOf(base)?.name),
    sizeBytes: end,
    fields: fields.map((field) => ({
      name: field.name,
      type: describeType(field.type, field.where),
      offset: field.offset,
      presence: field.presence,
    })),
  });
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

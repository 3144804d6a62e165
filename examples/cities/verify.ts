/**
 * What must hold after every crash, in the words of the program: the pool holds a prefix of the input and nothing
 * else, cut between two transactions, and no transaction that was reported is missing.
 */
import type { Pool } from 'perdure';
import { type Place, readPlaces } from './input.js';
import { type City, World } from './model.js';

const MAX_PROBLEMS = 10;

export interface Expectation {
  /** Places that are to be imported. */
  readonly total: number;
  readonly batch: number;
  /** What the importer last said it had committed. */
  readonly reported: number;
}

/** What is wrong with the pool; empty when all is well. */
export function verify(pool: Pool, expected: Expectation): string[] {
  const report = pool.check();
  const problems = [...report.problems];
  if (!report.ok && problems.length === 0) problems.push('pool.check() failed');
  if (report.unreachableBlocks > 0) problems.push(`${report.unreachableBlocks} blocks were leaked`);
  const world = pool.root(World);
  problems.push(...wrongCount(world, expected), ...wrongCities(world, readPlaces(expected.total)));
  return problems.slice(0, MAX_PROBLEMS);
}

/** Between the commit of a batch and its report the importer can be killed: then one batch more is there. */
function wrongCount({ imported }: World, { reported, batch, total }: Expectation): string[] {
  const next = Math.min(reported + batch, total);
  if (imported === reported || (imported === next && next > reported)) return [];
  return [`${reported} places were reported, ${imported} are there`];
}

function wrongCities(world: World, places: readonly Place[]): string[] {
  const problems: string[] = [];
  const seen = new Uint8Array(world.imported);
  let count = 0;
  for (const [code, country] of world.countries) {
    if (country.code !== code) problems.push(`country ${code} is called ${country.code}`);
    for (const city of country.cities) {
      count += 1;
      const { number } = city;
      const place = places[number];
      if (number >= seen.length || place === undefined) {
        problems.push(`city ${number}: only ${seen.length} are imported`);
        continue;
      }
      if (seen[number] === 1) problems.push(`city ${number} is in two lists`);
      seen[number] = 1;
      if (city.country !== country) problems.push(`city ${number} is in the list of another country`);
      if (!sameCity(city, place, code)) problems.push(`city ${number} is not what the input says`);
    }
  }
  // As many cities as numbers, and none twice: every one is there.
  if (count !== world.imported) problems.push(`${count} cities in countries, ${world.imported} imported`);
  return [...problems, ...wrongNames(world)];
}

function sameCity(city: City, place: Place, code: string): boolean {
  return (
    city.name === place.name &&
    code === place.country &&
    city.latitude === Number(place.lat) &&
    city.longitude === Number(place.lng)
  );
}

function wrongNames(world: World): string[] {
  const problems: string[] = [];
  const seen = new Uint8Array(world.imported);
  let count = 0;
  for (const [name, cities] of world.byName) {
    for (const city of cities) {
      count += 1;
      if (city.name !== name) problems.push(`${city.name} is listed as ${name}`);
      if (seen[city.number] !== 0) problems.push(`city ${city.number} is listed by name twice`);
      seen[city.number] = 1;
    }
  }
  if (count !== world.imported) problems.push(`${count} cities by name, ${world.imported} imported`);
  return problems;
}

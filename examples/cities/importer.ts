/**
 * The child process: goes on with the import where the pool left off, one transaction for each batch, and writes
 * to stdout how many places are committed after each. It may be killed at any instant. At `pauseAt` it waits
 * (to be killed), so that the parent gets to kill it as often as it wants to on any machine.
 *
 * `node importer.js <pool> <limit> <batch> <pauseAt>`
 */
import { readSync, writeSync } from 'node:fs';
import { Pool } from 'perdure';
import { type Place, readPlaces } from './input.js';
import { City, Country, POOL_OPTIONS, World } from './model.js';

const STDIN = 0;
const STDOUT = 1;
const [path = '', limit = '', batch = '', pauseAt = ''] = process.argv.slice(2);

importPlaces(readPlaces(Number(limit)));

function importPlaces(places: readonly Place[]): void {
  using pool = Pool.open(path, POOL_OPTIONS);
  const world = pool.root(World);
  while (world.imported < places.length) {
    pool.txn(() => {
      const end = Math.min(world.imported + Number(batch), places.length);
      for (let number = world.imported; number < end; number++) add(world, number, places[number] as Place);
      world.imported = end;
    });
    // Straight to the pipe: a report that was written is not lost with the process. Fails when the parent is gone.
    writeSync(STDOUT, `${world.imported}\n`);
    if (world.imported >= Number(pauseAt) && world.imported < places.length) waitForEnd();
  }
}

function add(world: World, number: number, place: Place): void {
  const city = new City();
  city.number = number;
  city.name = place.name;
  city.latitude = Number(place.lat);
  city.longitude = Number(place.lng);
  const country = countryOf(world, place.country);
  city.country = country;
  country.cities.push(city);
  world.byName.getOrInsert(place.name, []).push(city);
}

function countryOf(world: World, code: string): Country {
  return world.countries.getOrInsertComputed(code, () => {
    const country = new Country();
    country.code = code;
    return country;
  });
}

/** Blocks until the parent kills this process, or is gone itself and its end of stdin closes. */
function waitForEnd(): never {
  readSync(STDIN, new Uint8Array(1));
  process.exit(1);
}

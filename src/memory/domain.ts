/**
 * Decides the persistence domain of a mapping: what must happen before a store is durable, and which log goes with it.
 * Detection errs to the safe side; a forced domain is refused where it would promise what the medium cannot keep.
 */
import { PoolOpenError } from '../errors/index.js';
import type { Domain, EmulateOptions, LogKind } from './memory.js';

/** What is known about a mapping when its domain is decided. */
export interface MediumFacts {
  readonly path: string;
  readonly fileSystem: string;
  /** MAP_SYNC was accepted: stores reach persistent memory without the page cache. */
  readonly synchronous: boolean;
  /** The caches survive a power failure (eADR). */
  readonly cachesPersistent: boolean;
}

export interface DomainWish {
  readonly emulate: EmulateOptions | null;
  /** Forced domain, or null to detect it. */
  readonly domain: Domain | null;
}

/** The domain that the medium itself offers. */
export function detectDomain(facts: MediumFacts): Domain {
  if (facts.synchronous) return facts.cachesPersistent ? 'cpu-cache' : 'memory';
  if (facts.fileSystem === 'tmpfs' || facts.fileSystem === 'ramfs') return 'emulated';
  return 'block';
}

/**
 * The domain to run in. `block` promises what fdatasync gives, so every medium keeps it.
 * @throws PoolOpenError DOMAIN when the medium cannot keep it
 */
export function resolveDomain(facts: MediumFacts, wish: DomainWish): Domain {
  const detected = detectDomain(facts);
  const wanted = wish.domain ?? (wish.emulate === null ? detected : 'emulated');
  const needsPmem = wanted === 'memory' || wanted === 'cpu-cache';
  if (needsPmem && !facts.synchronous && wish.emulate === null) {
    throw new PoolOpenError(
      'DOMAIN',
      `${facts.path}: the domain '${wanted}' was asked for, but the file lies on ${facts.fileSystem}, which does not ` +
        'map persistent memory (MAP_SYNC was refused). Put the pool on a file system mounted with -o dax, or open ' +
        'it with emulate: true to try this domain without its guarantees',
      { path: facts.path, fileSystem: facts.fileSystem, wanted, detected },
    );
  }
  if (wanted === 'cpu-cache' && !facts.cachesPersistent && wish.emulate === null) {
    throw new PoolOpenError(
      'DOMAIN',
      `${facts.path}: the domain 'cpu-cache' was asked for, but this machine does not say that its caches survive a power ` +
        "failure (eADR: persistence_domain is cpu_cache for every region under /sys/bus/nd/devices). Use 'memory', which " +
        'flushes them, or open it with emulate: true to try this domain without its guarantees',
      { path: facts.path, fileSystem: facts.fileSystem, wanted, detected },
    );
  }
  return wanted;
}

/**
 * The log to run with: what was asked for, or that of the domain.
 * @throws PoolOpenError DOMAIN when the undo log was asked for where a store in place cannot be made durable by itself
 */
export function resolveLog(
  facts: { readonly path: string; readonly fileSystem: string },
  domain: Domain,
  wanted: LogKind | null,
): LogKind {
  if (domain !== 'block') return wanted ?? 'undo';
  if (wanted !== 'undo') return 'redo';
  const { path, fileSystem } = facts;
  throw new PoolOpenError(
    'DOMAIN',
    `${path}: the undo log was asked for in the domain 'block' (${fileSystem}), where the system may write a page of an ` +
      'unfinished transaction to the disk at any time. Use the redo log, the default there; emulate: true, without a domain, ' +
      'allows the undo log, safe against crashes of the process but not against power loss',
    { path, fileSystem, domain, log: wanted },
  );
}

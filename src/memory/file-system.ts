/**
 * What a file lies on: the type of its file system, and what the machine says about its persistent memory.
 */
import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

/** Magic numbers of statfs(2). */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x794c7630, 'overlayfs'],
  [0x2fc12fc1, 'zfs'],
  [0xf2f52010, 'f2fs'],
  [0xca451a4e, 'bcachefs'],
  [0x6969, 'nfs'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x01021997, '9p'],
  [0x65735546, 'fuse'],
  [0x4d44, 'vfat'],
  [0x2011bab0, 'exfat'],
  [0x3153464a, 'jfs'],
  [0x00c36400, 'ceph'],
  [0x7366746e, 'ntfs3'],
]);

/** Name of the file system that holds an existing path; its number in hexadecimal when it has no name here. */
export function fileSystemOf(path: string): string {
  const type = Number(BigInt.asUintN(32, statfsSync(path, { bigint: true }).type));
  return NAMES.get(type) ?? `0x${type.toString(16)}`;
}

/**
 * Whether the caches of this machine survive a power failure (eADR): every region of persistent memory must say
 * so, and there must be one.
 */
export function cachesArePersistent(devices = '/sys/bus/nd/devices'): boolean {
  let regions: string[];
  try {
    regions = readdirSync(devices).filter((name) => /^region\d+$/.test(name));
    return (
      regions.length > 0 &&
      regions.every(
        (name) => readFileSync(join(devices, name, 'persistence_domain'), 'utf8').trim() === 'cpu_cache',
      )
    );
  } catch {
    return false; // no such device or attribute: the safe answer, caches are flushed
  }
}

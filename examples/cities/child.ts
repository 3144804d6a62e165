/** The parent's side of the importer: starts it, follows its reports, kills it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface ImportRequest {
  readonly path: string;
  readonly limit: number;
  /** Places in a transaction. */
  readonly batch: number;
  /** Where the importer stops and waits for its end. */
  readonly pauseAt: number;
  readonly onReport: (imported: number) => void;
}

/** How an importer ended. */
export interface ImportEnd {
  /** The last report that arrived: so much was committed. */
  readonly reported: number;
  readonly killed: boolean;
}

export class Importer {
  /** Settles when the process is gone and all its reports have been read. */
  readonly ended: Promise<ImportEnd>;
  readonly #process: ChildProcess;

  constructor(request: ImportRequest) {
    const script = fileURLToPath(new URL('importer.js', import.meta.url));
    const args = [script, request.path, request.limit, request.batch, request.pauseAt].map(String);
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = child;
    let reported = 0;
    createInterface({ input: child.stdout }).on('line', (line) => {
      reported = Number(line);
      request.onReport(reported);
    });
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        if (signal === 'SIGKILL') resolve({ reported, killed: true });
        else if (code === 0) resolve({ reported, killed: false });
        else reject(new Error(`the importer failed: ${signal ?? `exit status ${code}`}`));
      });
    });
  }

  /** Ends the process without warning: no handler runs in it, nothing is written back. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }
}

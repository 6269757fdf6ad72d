// The embedded database: PGlite (PostgreSQL as WebAssembly) in memory or in a folder, made to look like a server to the pool.
import { randomBytes } from "node:crypto";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { amcheck } from "@electric-sql/pglite/contrib/amcheck";
import { bloom } from "@electric-sql/pglite/contrib/bloom";
import { btree_gin } from "@electric-sql/pglite/contrib/btree_gin";
import { btree_gist } from "@electric-sql/pglite/contrib/btree_gist";
import { citext } from "@electric-sql/pglite/contrib/citext";
import { cube } from "@electric-sql/pglite/contrib/cube";
import { dict_int } from "@electric-sql/pglite/contrib/dict_int";
import { earthdistance } from "@electric-sql/pglite/contrib/earthdistance";
import { fuzzystrmatch } from "@electric-sql/pglite/contrib/fuzzystrmatch";
import { hstore } from "@electric-sql/pglite/contrib/hstore";
import { intarray } from "@electric-sql/pglite/contrib/intarray";
import { isn } from "@electric-sql/pglite/contrib/isn";
import { lo } from "@electric-sql/pglite/contrib/lo";
import { ltree } from "@electric-sql/pglite/contrib/ltree";
import { pageinspect } from "@electric-sql/pglite/contrib/pageinspect";
import { pg_stat_statements } from "@electric-sql/pglite/contrib/pg_stat_statements";
import { pg_trgm } from "@electric-sql/pglite/contrib/pg_trgm";
import { pg_visibility } from "@electric-sql/pglite/contrib/pg_visibility";
import { pgcrypto } from "@electric-sql/pglite/contrib/pgcrypto";
import { seg } from "@electric-sql/pglite/contrib/seg";
import { tablefunc } from "@electric-sql/pglite/contrib/tablefunc";
import { tcn } from "@electric-sql/pglite/contrib/tcn";
import { tsm_system_rows } from "@electric-sql/pglite/contrib/tsm_system_rows";
import { tsm_system_time } from "@electric-sql/pglite/contrib/tsm_system_time";
import { unaccent } from "@electric-sql/pglite/contrib/unaccent";
import { uuid_ossp } from "@electric-sql/pglite/contrib/uuid_ossp";
import { createPgConfig } from "@electric-sql/pglite/node-postgres";
import { vector } from "@electric-sql/pglite-pgvector";
import type { PoolConfig } from "pg";
import { ownFolder } from "./embedded-binaries.ts";
import type { FolderLock } from "./folder-lock.ts";
import { broken, fillFolder, takeFolder } from "./pglite-folder.ts";

// All of them cost nothing measurable at the start (3.0 s with, 3.2 s without); CREATE EXTENSION switches one on.
const EXTENSIONS = {
  amcheck,
  bloom,
  btree_gin,
  btree_gist,
  citext,
  cube,
  dict_int,
  earthdistance,
  fuzzystrmatch,
  hstore,
  intarray,
  isn,
  lo,
  ltree,
  pageinspect,
  pg_stat_statements,
  pg_trgm,
  pg_visibility,
  pgcrypto,
  seg,
  tablefunc,
  tcn,
  tsm_system_rows,
  tsm_system_time,
  unaccent,
  uuid_ossp,
  vector,
};

export interface OpenedPglite {
  readonly poolConfig: PoolConfig;
  readonly pglite: PGlite;
  /** Ends the instance and frees the folder. Idempotent. */
  readonly close: () => Promise<void>;
}

/**
 * Opens an embedded database with the contrib extensions and pgvector at hand.
 *
 * @param folder - where the data lies, made when it is missing; `undefined`: in memory
 * @throws FolderInUseError when the folder is open already, here or in another process
 * @throws FolderBrokenError when the folder holds something else, or data that cannot be opened; nothing in it is changed
 */
export async function openPglite(folder: string | undefined): Promise<OpenedPglite> {
  if (folder === undefined) return opened(await createFresh(undefined), undefined);
  const { path, isNew, lock } = await takeFolder(folder);
  try {
    return opened(await (isNew ? fillFolder(path, () => createFresh(path)) : openFilled(path)), lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function openFilled(path: string): Promise<PGlite> {
  try {
    return await PGlite.create(path, { extensions: EXTENSIONS });
  } catch (error) {
    throw broken(path, error instanceof Error ? error.message : String(error), error);
  }
}

function opened(pglite: PGlite, lock: FolderLock | undefined): OpenedPglite {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    try {
      if (!pglite.closed) await pglite.close();
    } finally {
      lock?.release();
    }
  };
  return { pglite, poolConfig: createPgConfig(pglite), close: () => (closing ??= close()) };
}

/** The image as it was read: a plain Blob copies its 40 MB twice, 0.25 s of the 1.8 s CPU that a start takes. */
class ImageBlob extends Blob {
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    super([]);
    this.#bytes = bytes;
  }

  override arrayBuffer(): Promise<ArrayBuffer> {
    const { buffer, byteOffset, byteLength } = this.#bytes;
    // A small file's bytes lie in a buffer that others share.
    const isAlone = byteLength === buffer.byteLength;
    return Promise.resolve(isAlone ? buffer : buffer.slice(byteOffset, byteOffset + byteLength));
  }
}

/**
 * A new database: from the image that an earlier start left in the temporary folder (about 1 s), else by initdb (3 s and more),
 * which then leaves the image.
 */
async function createFresh(folder: string | undefined): Promise<PGlite> {
  const image = await imagePath();
  const cached = await readFile(image).catch(() => undefined);
  const where = folder === undefined ? {} : { dataDir: folder };
  if (cached !== undefined) {
    try {
      return await PGlite.create({ ...where, extensions: EXTENSIONS, loadDataDir: new ImageBlob(cached) });
    } catch (error) {
      await rm(image, { force: true }); // cut short by a full disk or a cleaner; the next lines make it anew
      if (folder !== undefined) throw error; // half-filled; the next open begins anew
    }
  }
  const pglite = await PGlite.create({ ...where, extensions: EXTENSIONS });
  if (folder === undefined) await leaveImage(pglite, image);
  return pglite;
}

/** Leaves the image of a new database in the temporary folder, if it is not there yet, so that later opens are quick. */
export async function preparePgliteImage(): Promise<void> {
  const isThere = await stat(await imagePath()).then(
    () => true,
    () => false,
  );
  if (!isThere) await (await createFresh(undefined)).close();
}

async function leaveImage(pglite: PGlite, image: string): Promise<void> {
  const unfinished = `${image}.${randomBytes(6).toString("hex")}`;
  try {
    const dump = await pglite.dumpDataDir("none");
    await writeFile(unfinished, Buffer.from(await dump.arrayBuffer()), { mode: 0o600, flush: true });
    await rename(unfinished, image);
  } catch {
    // Only the next start's speed is lost: the temporary folder is full or read-only.
    await rm(unfinished, { force: true });
  }
}

async function imagePath(): Promise<string> {
  // The package exports no package.json, so it is found by the file that the package does export.
  const entry = createRequire(import.meta.url).resolve("@electric-sql/pglite");
  const { version } = JSON.parse(await readFile(join(dirname(entry), "..", "package.json"), "utf8")) as {
    version: string;
  };
  return join(await ownFolder(tmpdir(), "pgsteward-clusters", 0o700), `pglite-${version}.tar`);
}

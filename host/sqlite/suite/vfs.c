/* What SQLite's test program does when it starts: it loads the VFS, and makes it the
** default, so that each database that a test opens is a page file. Where PAGEBOX_VFS
** names no library all is as SQLite has it. */
#include <stdio.h>
#include <stdlib.h>
#include "sqlite3.h"

static void fail(const char *text) {
  fprintf(stderr, "the VFS: %s\n", text);
  exit(1);
}

int pagebox_extra_init(const char *unused) {
  const char *library = getenv("PAGEBOX_VFS");
  sqlite3 *db = 0;
  char *error = 0;
  sqlite3_vfs *vfs;
  (void)unused;
  if (library == 0) return SQLITE_OK;
  if (sqlite3_open(":memory:", &db) != SQLITE_OK) fail("no database in memory");
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, (int *)0);
  if (sqlite3_load_extension(db, library, 0, &error) != SQLITE_OK) fail(error);
  sqlite3_close(db);
  vfs = sqlite3_vfs_find("pagebox");
  if (vfs == 0) fail("it did not register");
  return sqlite3_vfs_register(vfs, 1);
}

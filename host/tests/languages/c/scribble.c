// Writes through a view of protected page 0, and says what comes of it: one like
// this destroyed the page.

#include <stdio.h>

#include "pagebox.h"

static bool say(pagebox_string_t *err, const char *text) {
    pagebox_string_dup(err, text);
    return false;
}

bool exports_pagebox_run(pagebox_list_string_t *args, pagebox_string_t *err) {
    (void)args;
    pagebox_string_t name;
    pagebox_string_set(&name, "queue");
    stores_own_store_t store;
    stores_grant_error_t not_granted;
    if (!stores_take(&name, &store, &not_granted)) return say(err, "no store");
    pager_own_pager_t pager;
    pager_error_t error;
    if (!pager_open(store, PAGER_ACCESS_WRITE, &pager, &error)) return say(err, "no page file");
    pager_own_page_view_t view;
    if (!pager_method_pager_view_protected(pager_borrow_pager(pager), 0, &view, &error))
        return say(err, "no page");
    pagebox_list_u8_t bytes = {(uint8_t *)"scribble", 8};
    page_store_error_t cause;
    bool done = page_method_page_view_write(page_borrow_page_view(view), 0, &bytes, &cause);
    printf("%s\n", done ? "done" : cause.tag == PAGE_STORE_ERROR_READ_ONLY ? "read-only" : "another");
    fflush(stdout);
    page_page_view_drop_own(view);
    pager_pager_drop_own(pager);
    return true;
}

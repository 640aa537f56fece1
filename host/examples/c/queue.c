// The queue: messages that are pushed at one end and popped at the other, and
// survive a restart. The layout is in ../README.md.
//
// Every function that can fail returns false and leaves a sentence in `err`.
// A handle that begins with `own` is dropped exactly once: by its drop
// function, or by the call that takes it over.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagebox.h"

enum {
    ROOT = 0,       // the protected page that holds the root
    ROOT_SIZE = 32, // magic, then three numbers
    TEXT = 12,      // a message begins here; before it the next page and its length
};
static const char MAGIC[8] = {'P', 'B', 'X', 'Q', 'U', 'E', 'U', 'E'};

typedef struct {
    char magic[8];
    uint64_t first, last, count; // wasm is little-endian, as the layout is
} root_t;

static bool say(pagebox_string_t *err, const char *text) {
    pagebox_string_dup(err, text);
    return false;
}

static bool pager_failed(pager_error_t *error, pagebox_string_t *err) {
    pager_describe(error, err); // right after the call: then it still knows all of it
    return false;
}

static bool page_failed(page_store_error_t *cause, pagebox_string_t *err) {
    bool io = cause->tag == PAGE_STORE_ERROR_IO;
    bool has_text = io || cause->tag == PAGE_STORE_ERROR_OTHER;
    if (has_text && (io ? cause->val.io : cause->val.other).is_some) {
        *err = (io ? cause->val.io : cause->val.other).val; // taken over
        return false;
    }
    return say(err, "a page cannot be used");
}

// Copies bytes of a view, and drops the view.
static bool read_view(page_own_page_view_t view, uint32_t offset, uint32_t len, void *to,
                      pagebox_string_t *err) {
    pagebox_list_u8_t bytes;
    page_store_error_t error;
    bool done = page_method_page_view_read(page_borrow_page_view(view), offset, len, &bytes, &error);
    page_page_view_drop_own(view);
    if (!done) return page_failed(&error, err);
    if (len) memcpy(to, bytes.ptr, len);
    pagebox_list_u8_free(&bytes);
    return true;
}

static bool read_page(pager_borrow_pager_t pager, uint64_t id, uint32_t offset, uint32_t len,
                      void *to, pagebox_string_t *err) {
    pager_own_page_view_t view;
    pager_error_t error;
    if (!pager_method_pager_view_protected(pager, id, &view, &error))
        return pager_failed(&error, err);
    return read_view(view, offset, len, to, err);
}

static bool write_page(pager_borrow_transaction_t tx, uint64_t id, uint32_t offset,
                       const void *from, uint32_t len, pagebox_string_t *err) {
    pager_own_page_view_t view;
    pager_error_t error;
    if (!pager_method_transaction_stage(tx, id, &view, &error)) return pager_failed(&error, err);
    pagebox_list_u8_t bytes = {(uint8_t *)from, len};
    page_store_error_t cause;
    bool done = page_method_page_view_write(page_borrow_page_view(view), offset, &bytes, &cause);
    page_page_view_drop_own(view);
    return done || page_failed(&cause, err);
}

// What is used of the figures of a file. They are all there: it was opened to
// write, which a damaged one is not.
typedef struct {
    uint64_t protected_pages;
    uint32_t page_size;
} figures_t;

static figures_t figures(pager_borrow_pager_t pager) {
    pager_stats_t stats;
    pager_method_pager_stats(pager, &stats);
    figures_t figures = {stats.protected_pages.val, stats.page_size};
    pager_stats_free(&stats);
    return figures;
}

static bool read_root(pager_borrow_pager_t pager, root_t *root, pagebox_string_t *err) {
    *root = (root_t){0};
    memcpy(root->magic, MAGIC, sizeof MAGIC);
    if (figures(pager).protected_pages == 0) return true;
    if (!read_page(pager, ROOT, 0, ROOT_SIZE, root, err)) return false;
    if (memcmp(root->magic, MAGIC, sizeof MAGIC) != 0)
        return say(err, "the page file holds something else than a queue");
    return true;
}

// The length of a message that fits its page, and the page of the next.
static bool read_head(pager_borrow_pager_t pager, uint64_t page, uint64_t *next, uint32_t *len,
                      pagebox_string_t *err) {
    uint8_t head[TEXT];
    if (!read_page(pager, page, 0, TEXT, head, err)) return false;
    memcpy(next, head, 8);
    memcpy(len, head + 8, 4);
    if (*len > figures(pager).page_size - TEXT) return say(err, "a message is longer than its page");
    return true;
}

// A message, to be freed, and the page of the next.
static bool read_message(pager_borrow_pager_t pager, uint64_t page, uint64_t *next,
                         pagebox_string_t *text, pagebox_string_t *err) {
    uint32_t len;
    if (!read_head(pager, page, next, &len, err)) return false;
    text->len = len;
    text->ptr = len ? malloc(len) : NULL;
    if (len && !text->ptr) return say(err, "out of memory");
    if (read_page(pager, page, TEXT, len, text->ptr, err)) return true;
    pagebox_string_free(text);
    return false;
}

static void print(pagebox_string_t *text) {
    printf("%.*s\n", (int)text->len, (const char *)text->ptr);
    pagebox_string_free(text);
}

static bool append(pager_borrow_pager_t pager, pager_borrow_transaction_t tx, root_t *root,
                   pagebox_string_t text, pagebox_string_t *err) {
    uint32_t room = figures(pager).page_size - TEXT, len = (uint32_t)text.len;
    if (text.len > room) {
        char line[80];
        snprintf(line, sizeof line, "a message of %zu bytes: there is room for %u", text.len,
                 (unsigned)room);
        return say(err, line);
    }
    pagebox_list_u64_t pages;
    pager_error_t error;
    if (!pager_method_transaction_alloc_protected(tx, 1, &pages, &error))
        return pager_failed(&error, err);
    uint64_t page = pages.ptr[0];
    pagebox_list_u64_free(&pages);
    if (root->count == 0)
        root->first = page;
    else if (!write_page(tx, root->last, 0, &page, sizeof page, err))
        return false;
    root->last = page;
    root->count += 1;
    return write_page(tx, page, 8, &len, sizeof len, err) &&
           write_page(tx, page, TEXT, text.ptr, len, err);
}

// All of the messages, in one commit.
static bool stage_push(pager_borrow_pager_t pager, pager_borrow_transaction_t tx,
                       pagebox_list_string_t texts, pagebox_string_t *err) {
    root_t root;
    if (!read_root(pager, &root, err)) return false;
    if (figures(pager).protected_pages == 0) { // the first allocated is page 0
        pagebox_list_u64_t pages;
        pager_error_t error;
        if (!pager_method_transaction_alloc_protected(tx, 1, &pages, &error))
            return pager_failed(&error, err);
        pagebox_list_u64_free(&pages);
    }
    for (size_t i = 0; i < texts.len; i++)
        if (!append(pager, tx, &root, texts.ptr[i], err)) return false;
    return write_page(tx, ROOT, 0, &root, ROOT_SIZE, err);
}

// Takes the first message away, and hands it out.
static bool stage_pop(pager_borrow_pager_t pager, pager_borrow_transaction_t tx,
                      pagebox_string_t *text, pagebox_string_t *err) {
    root_t root;
    if (!read_root(pager, &root, err)) return false;
    if (root.count == 0) return say(err, "the queue is empty");
    uint64_t page = root.first;
    if (!read_message(pager, page, &root.first, text, err)) return false;
    root.count -= 1;
    pagebox_list_u64_t pages = {&page, 1};
    pager_error_t error;
    bool done = pager_method_transaction_free_protected(tx, &pages, &error)
                    ? write_page(tx, ROOT, 0, &root, ROOT_SIZE, err)
                    : pager_failed(&error, err);
    if (!done) pagebox_string_free(text);
    return done;
}

// Commits a transaction if it was staged, and drops it if it was not.
static bool end(pager_own_transaction_t tx, bool staged, pagebox_string_t *err) {
    if (!staged) {
        pager_transaction_drop_own(tx);
        return false;
    }
    pager_commit_info_t info;
    pager_error_t error;
    return pager_commit(tx, PAGER_DURABILITY_DURABLE, &info, &error) || pager_failed(&error, err);
}

static bool change(pager_borrow_pager_t pager, pagebox_list_string_t *texts, pagebox_string_t *err) {
    pager_own_transaction_t tx;
    pager_error_t error;
    if (!pager_method_pager_begin(pager, &tx, &error)) return pager_failed(&error, err);
    pager_borrow_transaction_t staging = pager_borrow_transaction(tx);
    if (texts) return end(tx, stage_push(pager, staging, *texts, err), err);
    pagebox_string_t popped;
    bool staged = stage_pop(pager, staging, &popped, err);
    if (!end(tx, staged, err)) {
        if (staged) pagebox_string_free(&popped);
        return false;
    }
    print(&popped);
    return true;
}

static bool list(pager_borrow_pager_t pager, pagebox_string_t *err) {
    root_t root;
    if (!read_root(pager, &root, err)) return false;
    for (uint64_t page = root.first; root.count > 0; root.count--) {
        pagebox_string_t text;
        if (!read_message(pager, page, &page, &text, err)) return false;
        print(&text);
    }
    return true;
}

static bool is(pagebox_string_t text, const char *word) {
    return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

bool exports_pagebox_run(pagebox_list_string_t *args, pagebox_string_t *err) {
    pagebox_string_t name;
    pagebox_string_set(&name, "queue");
    stores_own_store_t store;
    stores_grant_error_t not_granted;
    if (!stores_take(&name, &store, &not_granted)) {
        *err = not_granted.val.other; // every case is a sentence
        return false;
    }
    pager_own_pager_t pager;
    pager_error_t error;
    if (!pager_open(store, PAGER_ACCESS_WRITE, &pager, &error)) return pager_failed(&error, err);
    pager_borrow_pager_t open = pager_borrow_pager(pager);
    bool done;
    if (args->len > 1 && is(args->ptr[0], "push")) {
        pagebox_list_string_t texts = {args->ptr + 1, args->len - 1};
        done = change(open, &texts, err);
    } else if (args->len == 1 && is(args->ptr[0], "pop")) {
        done = change(open, NULL, err);
    } else if (args->len == 1 && is(args->ptr[0], "list")) {
        done = list(open, err);
    } else {
        done = say(err, "usage: push TEXT..., pop, list");
    }
    pager_pager_drop_own(pager);
    fflush(stdout);
    return done;
}

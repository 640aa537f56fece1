// Says what lies in the pages of the queue. The layout is in `../../README.md`. It says the
// same as `../queue`, which is in Rust, and calls nothing of the system: a decoder has none.
#include <stdlib.h>
#include <string.h>

#include "decoder.h"

// The protected page that holds the root.
enum { ROOT = 0 };
static const char MAGIC[] = "PBXQUEUE";
// A message's bytes begin here; before them the next page and their length.
enum { TEXT = 12 };
// Characters of a text that are shown.
enum { MOST = 60 };

static uint64_t number_at(const uint8_t *bytes, size_t len) {
  uint64_t number = 0;
  while (len > 0) number = number << 8 | bytes[--len];
  return number;
}

// A text that grows. What the world takes is freed by its bindings.
typedef struct {
  char *ptr;
  size_t len;
} text_t;

static void add(text_t *text, const char *more, size_t len) {
  // One byte more, so that an empty text is somewhere too.
  text->ptr = realloc(text->ptr, text->len + len + 1);
  if (text->ptr == NULL) abort();
  memcpy(text->ptr + text->len, more, len);
  text->len += len;
}

static void say(text_t *text, const char *more) { add(text, more, strlen(more)); }

static void say_number(text_t *text, uint64_t number) {
  char digits[20];
  size_t begin = sizeof digits;
  do digits[--begin] = '0' + number % 10;
  while ((number /= 10) > 0);
  add(text, digits + begin, sizeof digits - begin);
}

static decoder_string_t done(text_t text) {
  add(&text, "", 0);
  return (decoder_string_t){(uint8_t *)text.ptr, text.len};
}

static decoder_string_t words(const char *text) {
  text_t made = {0};
  say(&made, text);
  return done(made);
}

static decoder_string_t number(uint64_t value) {
  text_t made = {0};
  say_number(&made, value);
  return done(made);
}

static void change(decoder_string_t *text, decoder_string_t to) {
  decoder_string_free(text);
  *text = to;
}

// How many bytes a character of UTF-8 has here; 0: it is none. Unicode, table 3-7.
static size_t character(const uint8_t *at, size_t len) {
  uint8_t low = 0x80, high = 0xBF;
  size_t more;
  if (at[0] < 0x80) return 1;
  if (at[0] >= 0xC2 && at[0] <= 0xDF) more = 1;
  else if (at[0] >= 0xE0 && at[0] <= 0xEF) more = 2;
  else if (at[0] >= 0xF0 && at[0] <= 0xF4) more = 3;
  else return 0;
  if (at[0] == 0xE0) low = 0xA0;
  if (at[0] == 0xED) high = 0x9F;
  if (at[0] == 0xF0) low = 0x90;
  if (at[0] == 0xF4) high = 0x8F;
  if (len <= more || at[1] < low || at[1] > high) return 0;
  for (size_t n = 2; n <= more; n++)
    if (at[n] < 0x80 || at[n] > 0xBF) return 0;
  return more + 1;
}

// The first of a text, for people. What is no UTF-8 is a question mark.
static void say_shortened(text_t *text, const uint8_t *bytes, size_t len, bool *is_sound) {
  size_t at = 0;
  for (int count = 0; at < len; count++) {
    size_t next = character(bytes + at, len - at);
    if (next == 0) *is_sound = false;
    if (count < MOST) add(text, next ? (const char *)bytes + at : "?", next ? next : 1);
    if (count == MOST) say(text, "...");
    at += next ? next : 1;
  }
}

static exports_page_field_t *field(exports_page_decoded_t *page, const char *name,
                                   uint32_t offset, uint32_t len, decoder_string_t value) {
  exports_page_field_t *fields = page->fields.ptr;
  fields = realloc(fields, (page->fields.len + 1) * sizeof *fields);
  if (fields == NULL) abort();
  page->fields.ptr = fields;
  fields += page->fields.len++;
  *fields = (exports_page_field_t){
      .name = words(name), .offset = offset, .len = len, .value = value,
      .meaning = words(""), .problem = words(""),
  };
  return fields;
}

static void refer(exports_page_field_t *field, uint64_t page) {
  field->refers_to.is_some = true;
  field->refers_to.val.tag = EXPORTS_PAGE_TARGET_PROTECTED;
  field->refers_to.val.val.protected_ = page;
}

static void root(const uint8_t *bytes, exports_page_decoded_t *page) {
  uint64_t ends[] = {number_at(bytes + 8, 8), number_at(bytes + 16, 8)};
  uint64_t count = number_at(bytes + 24, 8);
  page->kind = words("root");
  page->title = words("Root of the queue");
  page->letter = 'R';
  text_t summary = {0};
  say_number(&summary, count);
  say(&summary, " messages");
  page->summary = done(summary);

  bool is_queue = memcmp(bytes, MAGIC, 8) == 0;
  exports_page_field_t *magic =
      field(page, "magic", 0, 8, words(is_queue ? MAGIC : "something else"));
  if (!is_queue) change(&magic->problem, words("a queue begins with PBXQUEUE"));
  for (int n = 0; n < 2; n++) {
    decoder_string_t value = count > 0 ? number(ends[n]) : words("none");
    exports_page_field_t *end = field(page, n ? "last" : "first", 8 + 8 * n, 8, value);
    if (count > 0) refer(end, ends[n]);
    if (count > 0 && ends[n] == ROOT) change(&end->problem, words("the root is no message"));
  }
  exports_page_field_t *counted = field(page, "count", 24, 8, number(count));
  if (count == 1 && ends[0] != ends[1])
    change(&counted->problem, words("one message, and yet the first is not the last"));
}

static void message(const uint8_t *bytes, size_t page_size, exports_page_decoded_t *page) {
  uint64_t next = number_at(bytes, 8), len = number_at(bytes + 8, 4);
  uint64_t room = page_size - TEXT;
  size_t there = len < room ? len : room;
  bool is_sound = true;
  page->kind = words("message");
  page->title = words("Message");
  page->letter = 'M';
  text_t summary = {0};
  say_number(&summary, len);
  say(&summary, " bytes of text: ");
  say_shortened(&summary, bytes + TEXT, there, &is_sound);
  page->summary = done(summary);

  exports_page_field_t *after = field(page, "next", 0, 8, number(next));
  change(&after->meaning, words(next ? "the message that is popped after it"
                                     : "none yet: it was pushed last"));
  if (next) refer(after, next);
  exports_page_field_t *length = field(page, "length", 8, 4, number(len));
  if (len > room) {
    text_t problem = {0};
    say(&problem, "there is room for ");
    say_number(&problem, room);
    say(&problem, " bytes");
    change(&length->problem, done(problem));
  }
  text_t shown = {0};
  say_shortened(&shown, bytes + TEXT, there, &is_sound);
  exports_page_field_t *text = field(page, "text", TEXT, there, done(shown));
  if (!is_sound) change(&text->problem, words("no UTF-8"));
}

void exports_page_name(decoder_string_t *ret) { *ret = words("queue"); }

bool exports_page_decode(decoder_list_u8_t *bytes, exports_page_place_t *place,
                         exports_page_decoded_t *ret) {
  // The queue has no regular pages.
  bool is_ours = place->protected_.is_some;
  *ret = (exports_page_decoded_t){0};
  if (is_ours && place->protected_.val == ROOT) root(bytes->ptr, ret);
  else if (is_ours) message(bytes->ptr, bytes->len, ret);
  decoder_list_u8_free(bytes);
  return is_ours;
}

//! How things are written for people: numbers, sizes, bytes, and text that
//! somebody else chose.

use std::{
    fmt::{self, Display, Write},
    path::Path,
};

use askama::filters::{Escaper, Html};

/// Text with nothing invisible in it: control characters and those that turn
/// the direction of writing are shown by their numbers, so that a name cannot
/// look like another.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            // Writing to a string does not fail.
            let _ = write!(shown, "\u{ab}U+{:04X}\u{bb}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A file's name, with bytes that are no text as `«\xff»`.
pub(crate) fn lossless(name: &std::ffi::OsStr) -> String {
    let mut shown = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        shown.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(shown, "\u{ab}\\x{byte:02x}\u{bb}");
        }
    }
    shown
}

/// How templates write values: escaped for HTML, with nothing invisible.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown;

impl Escaper for Shown {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        if string.chars().any(is_invisible) {
            Html.write_escaped_str(dest, &visible(string))
        } else {
            Html.write_escaped_str(&mut dest, string)
        }
    }
}

/// Text as a value in an address: a letter, a digit, or `%` and two digits for
/// each byte of what is neither.
pub(crate) fn in_address(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

/// Characters that are not seen themselves.
fn is_invisible(character: char) -> bool {
    character.is_control() || is_deceptive(character)
}

/// Bidirectional controls, and characters of no width.
fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// 1234567 as `1,234,567`.
pub(crate) fn number(value: u64) -> String {
    grouped(&value.to_string())
}

/// Digits with the thousands apart.
pub(crate) fn grouped(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A text with the thousands of its numbers apart. What is part of a longer word,
/// as in `1f40-8000`, is no number.
pub(crate) fn with_thousands(text: &str) -> String {
    let is_inside = |c: char| c.is_alphanumeric() || "-.,".contains(c);
    let mut shown = String::with_capacity(text.len() + 4);
    for part in text.split_inclusive(|c: char| !is_inside(c)) {
        let word = part.trim_end_matches(|c: char| !c.is_alphanumeric());
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            shown.push_str(&grouped(word));
            shown.push_str(part.strip_prefix(word).unwrap_or_default());
        } else {
            shown.push_str(part);
        }
    }
    shown
}

/// A number of bytes in the largest unit that keeps it exact enough to read:
/// `127 MiB`, `1.5 KiB`.
pub(crate) fn size(bytes: u128) -> String {
    const UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes >> (10 * (unit + 1)) > 0 {
        unit += 1;
    }
    let tenths = (bytes * 10) >> (10 * unit);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if unit == 0 || tenth == 0 || whole >= 100 {
        format!("{whole} {}", UNITS[unit])
    } else {
        format!("{whole}.{tenth} {}", UNITS[unit])
    }
}

/// `part` of `whole` in percent: never 0 % of something, nor 100 % of less
/// than all.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    if part == whole {
        return "100 %".to_owned();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    match tenths {
        0 => "< 0.1 %".to_owned(),
        999.. => "> 99.9 %".to_owned(),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// The shares of all of them in percent. What is shown sums to 100: the tenths
/// that are left over by rounding down go to those that lost most by it.
pub(crate) fn percents(parts: &[u64]) -> Vec<String> {
    let whole = parts.iter().copied().map(u128::from).sum::<u128>().max(1);
    let exact = |part: &u64| u128::from(*part) * 1000;
    let mut tenths: Vec<u128> = parts.iter().map(|part| exact(part) / whole).collect();
    let left_over = 1000_u128.saturating_sub(tenths.iter().sum());
    let rests = parts.iter().map(|part| exact(part) % whole);
    let mut rests: Vec<(u128, &mut u128)> = rests.zip(&mut tenths).collect();
    rests.retain(|(rest, _)| *rest > 0);
    rests.sort_by_key(|(rest, _)| std::cmp::Reverse(*rest));
    let left_over = usize::try_from(left_over).unwrap_or(0);
    for (_, share) in rests.into_iter().take(left_over) {
        *share += 1;
    }
    let said = |(part, tenths): (&u64, u128)| match tenths {
        0 => percent(*part, u64::MAX),
        1000.. => percent(*part, u64::try_from(whole).unwrap_or(u64::MAX)),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    };
    parts.iter().zip(tenths).map(said).collect()
}

/// Bytes as `4d 50 50 47`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len() * 3);
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 {
            shown.push(' ');
        }
        let _ = write!(shown, "{byte:02x}");
    }
    shown
}

/// Bytes as text, one character a byte, with a dot for what is not printable.
pub(crate) fn ascii(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| {
            if byte.is_ascii_graphic() || *byte == b' ' {
                char::from(*byte)
            } else {
                '\u{b7}'
            }
        })
        .collect()
}

/// Words with a capital letter and a full stop.
pub(crate) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if words.is_empty() || words.ends_with('.') {
        ""
    } else {
        "."
    };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}

/// `1 page`, `2 pages`.
pub(crate) fn pages(count: u64) -> String {
    counted(count, "page")
}

/// `1 thing`, `2 things`.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", number(count))
}

/// A command of a shell that makes a mended copy of a file beside it. None where
/// the path holds what cannot be seen, or be typed.
pub(crate) fn repair_command(path: &Path) -> Option<String> {
    let copy = quoted(Path::new(&format!("{}.mended", path.to_str()?)))?;
    Some(format!("pagebox repair {} --output {copy}", quoted(path)?))
}

/// What a file is called: of a path the last part, an address as it may be seen.
pub(crate) fn name_of(path: &Path) -> String {
    pagebox::shown_address(path)
        .unwrap_or_else(|| lossless(path.file_name().unwrap_or(path.as_os_str())))
}

/// A command of a shell that looks at a file; none as for
/// [`repair_command`].
pub(crate) fn view_command(path: &Path) -> Option<String> {
    Some(format!("pagebox-viewer {}", quoted(path)?))
}

/// A path as shells read it.
fn quoted(path: &Path) -> Option<String> {
    let path = path
        .to_str()
        .filter(|path| !path.chars().any(is_invisible))?;
    Some(format!("'{}'", path.replace('\'', r"'\''")))
}

/// Whether a text begins with a number, and with another one than this: who
/// reads it could take it for this one.
pub(crate) fn begins_with_another(text: &str, number: impl Display) -> bool {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let first = text.get(..digits).unwrap_or_default();
    !first.is_empty() && first != number.to_string()
}

/// The pages that a text names, `page 15`, besides one of them: the first three.
pub(crate) fn pages_in(text: &str, besides: Option<u64>) -> Vec<u64> {
    let mut pages = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("page ") {
        rest = after;
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = after.get(..digits).unwrap_or_default().parse().ok();
        // The id of a protected page is no page of the file.
        let number = number.filter(|_| !before.ends_with("protected "));
        if let Some(page) = number.filter(|page| Some(*page) != besides && !pages.contains(page)) {
            pages.push(page);
        }
    }
    pages.truncate(3);
    pages
}

/// How long ago something was, in milliseconds, in words.
pub(crate) fn ago(milliseconds: u64) -> String {
    match milliseconds / 1000 {
        0 => "just now".to_owned(),
        seconds @ ..120 => format!("{seconds} s ago"),
        seconds @ ..7200 => format!("{} min ago", seconds / 60),
        seconds @ ..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", number(seconds / 86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_turns_the_direction_of_writing_is_shown_with_it() {
        assert_eq!(visible("a\u{202e}gpj.exe"), "a«U+202E»gpj.exe");
        assert_eq!(visible("two\nlines"), "two«U+000A»lines");
        assert_eq!(visible("größer"), "größer");
    }

    #[test]
    fn pages_that_a_text_names_are_those_of_the_file() {
        let text = "slot B: page 15 is wrong, as protected page 7 says; page 2, page 15, page x, \
                    page 99999999999999999999";
        assert_eq!(pages_in(text, Some(2)), [15]);
        assert_eq!(pages_in(text, None), [15, 2]);
    }

    #[test]
    fn value_in_an_address_cannot_be_taken_for_more_than_one() {
        assert_eq!(in_address("monday-1.0_~"), "monday-1.0_~");
        assert_eq!(in_address("a&b=c#d e+%/?"), "a%26b%3Dc%23d%20e%2B%25%2F%3F");
        assert_eq!(in_address("ö\n\u{0}\""), "%C3%B6%0A%00%22");
    }

    #[cfg(unix)]
    #[test]
    fn name_that_is_no_text_is_shown_byte_by_byte() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"a\xffb");
        assert_eq!(lossless(name), "a«\\xff»b");
    }

    #[test]
    fn command_names_a_file_whatever_it_is_called() {
        let command = |path: &str| repair_command(path.as_ref());
        assert_eq!(
            command("/a b/it's.pages").as_deref(),
            Some(r"pagebox repair '/a b/it'\''s.pages' --output '/a b/it'\''s.pages.mended'")
        );
        assert_eq!(command("/a\u{202e}b"), None);
        assert_eq!(command("/a\nb"), None);
        let command = view_command("/it's".as_ref());
        assert_eq!(command.as_deref(), Some(r"pagebox-viewer '/it'\''s'"));
    }

    #[test]
    fn sentence_begins_with_a_capital_and_ends_with_a_full_stop() {
        assert_eq!(sentence("page 0 is whole"), "Page 0 is whole.");
        assert_eq!(sentence("It is."), "It is.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn text_begins_with_another_number_where_it_could_be_taken_for_the_one() {
        assert!(begins_with_another("184, birth 4", 3));
        assert!(begins_with_another("1841", 184));
        assert!(!begins_with_another("184, birth 4", 184));
        assert!(!begins_with_another("page 184", 3));
        assert!(!begins_with_another("", 3));
    }

    #[test]
    fn number_is_grouped_by_thousands() {
        for (value, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (8_388_384, "8,388,384"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn size_has_the_largest_unit_that_fits() {
        for (bytes, shown) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (127 << 20, "127 MiB"),
            (8_388_384 << 20, "7.9 TiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn numbers_in_a_text_have_their_thousands_apart() {
        for (text, shown) in [
            ("at most 32544", "at most 32,544"),
            ("2^12 = 4096 bytes, 4096.", "2^12 = 4,096 bytes, 4,096."),
            ("32544", "32,544"),
            (
                "0x2144 1f40-8000-1234 0.2.1000 32,544",
                "0x2144 1f40-8000-1234 0.2.1000 32,544",
            ),
            ("", ""),
        ] {
            assert_eq!(with_thousands(text), shown);
        }
    }

    #[test]
    fn percent_is_never_nothing_of_something_nor_all_of_less() {
        assert_eq!(percent(1, 8_388_384), "< 0.1 %");
        assert_eq!(percent(8_388_383, 8_388_384), "> 99.9 %");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(0, 0), "0 %");
        assert_eq!(percent(7, 7), "100 %");
    }

    #[test]
    fn percents_sum_to_a_hundred() {
        assert_eq!(
            percents(&[31, 44, 24, 24, 2, 1, 2]),
            [
                "24.2 %", "34.4 %", "18.7 %", "18.7 %", "1.6 %", "0.8 %", "1.6 %"
            ]
        );
        assert_eq!(percents(&[1, 1, 1]), ["33.4 %", "33.3 %", "33.3 %"]);
        assert_eq!(percents(&[8_388_383, 1, 0]), ["> 99.9 %", "< 0.1 %", "0 %"]);
        assert_eq!(percents(&[7, 0]), ["100 %", "0 %"]);
        assert_eq!(percents(&[0, 0]), ["0 %", "0 %"]);
        assert!(percents(&[]).is_empty());
    }
}

//! Sizes and times on the command line.

use std::time::Duration;

/// A number of bytes: `4096`, `64KiB`, `1 MiB`, `16k`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let expected = "a number of bytes is expected, or one with KiB, MiB or GiB: 64KiB";
    let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
    let shift = match text[digits.len()..]
        .trim_start()
        .to_ascii_lowercase()
        .as_str()
    {
        "" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err(expected.into()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected.into());
    }
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "that is more than any machine has".into())
}

/// A number of seconds, parts of one too.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds is expected: 0.5".into())
}

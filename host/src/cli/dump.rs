//! Bytes as a hex dump.

use std::io::{self, Write};

const ROW: usize = 16;

/// Writes bytes in rows of 16: where they are, what they are, and the printable
/// ones as text. A row like the one before it is a `*`.
pub(crate) fn dump(to: &mut impl Write, offset: usize, bytes: &[u8]) -> io::Result<()> {
    let mut previous = None;
    let mut skipped = false;
    for (index, row) in bytes.chunks(ROW).enumerate() {
        if previous == Some(row) {
            if !skipped {
                writeln!(to, "*")?;
            }
            skipped = true;
            continue;
        }
        (previous, skipped) = (Some(row), false);
        write!(to, "{:08x} ", offset + index * ROW)?;
        for column in 0..ROW {
            let gap = if column == ROW / 2 { " " } else { "" };
            match row.get(column) {
                Some(byte) => write!(to, "{gap} {byte:02x}")?,
                None => write!(to, "{gap}   ")?,
            }
        }
        let text: String = row.iter().map(|byte| printable(*byte)).collect();
        writeln!(to, "  |{text}|")?;
    }
    writeln!(to, "{:08x}", offset + bytes.len())
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' {
        byte.into()
    } else {
        '.'
    }
}

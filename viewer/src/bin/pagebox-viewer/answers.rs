//! What there is to be found in the demo's files, for who wants to be told.

/// The answer for a file of this name; empty where there is nothing to be found.
pub(crate) fn answer(name: &str) -> &'static str {
    let found = ANSWERS.iter().find(|(known, _)| *known == name);
    found.map_or("", |(_, answer)| answer)
}

const ANSWERS: [(&str, &str); 13] = [
    (
        "rotten page.pages",
        "Health names the page and the byte: bit 6 of byte 2,048. Where the program knows what the \
         page held it writes it again; else a mended copy gives this one page up.",
    ),
    (
        "finished commit.pages",
        "Roots: B is newer than A, and all that it reaches is there. So it counts. Nothing is to be \
         done: the next opening to write copies B to A.",
    ),
    (
        "torn root.pages",
        "Roots: slot B is whole but for bytes 512 to 1,023. A commit that was cut off there was \
         not acknowledged, so A counts. Nothing is to be done.",
    ),
    (
        "unfinished commit.pages",
        "Roots: B is newer, but a page that it names is not as it wrote it: that page had not \
         reached the disk. So A counts. Nothing is to be done.",
    ),
    (
        "rotten header.pages",
        "Health names byte 20 of page 0: bit 6 of the file's uuid. The root records repeat it. A \
         mended copy has the header written again; nothing is lost.",
    ),
    (
        "rotten node.pages",
        "Health names the node of MAP, and byte 40 of its page: bit 6. The protected pages that it \
         names cannot be found any more; a mended copy gives them up, and keeps all others.",
    ),
    (
        "truncated.pages",
        "Health says at which page the file ends. All pages that are missing are free, so a mended \
         copy loses nothing.",
    ),
    (
        "not a page file.pages",
        "Overview shows what it begins with, an HTML tag: a page file begins with PBOX or MPPG. It \
         never was one; look for the file that was meant.",
    ),
    (
        "format 0 rotten page.pages",
        "Health names the page and the byte: bit 6 of byte 2,048. Where the program knows what the \
         page held it writes it again; else a mended copy gives this one page up.",
    ),
    (
        "format 0 unfinished commit.pages",
        "Metadata: one side is newer, but page 0 was not switched over to it. So the other one \
         counts. Nothing is to be done.",
    ),
    (
        "format 0 torn page 0.pages",
        "Metadata: the first sector of page 0 is new, the last is old, and the others are the same in \
         both. What it names is whole, so the commit counts. Nothing is to be done.",
    ),
    (
        "format 0 stale side.pages",
        "Health: page 0 names a side of the metadata that is from before the commit. Only a mended \
         copy can be written to again.",
    ),
    (
        "format 0 truncated.pages",
        "Health says at which page the file ends. Both copies of the directory were behind it: a \
         mended copy has no protected pages any more. A backup would have.",
    ),
];

//! What can be found wrong with a file of format 1, besides what can with any.

use crate::finding::finding_kinds;

finding_kinds! {
    ROOTS Error "roots"
        "No root record counts: neither slot holds one, or they contradict each other, or what they reach is not as it was committed. No crash can cause this."
        "Repair keeps what proves itself, where one slot holds a record."
    NODE Error "node"
        "A node or a leaf of one of the two trees is not as it was committed: what it names cannot be found."
        "Repair keeps what proves itself, and builds the trees anew."
    PAGE_USE Error "page-use"
        "The two trees disagree on what a page is, or two entries name one page."
        "Repair keeps what proves itself, and builds the trees anew."
    COUNTS Error "counts"
        "The root record counts other pages than its trees name."
        "Repair keeps what proves itself, and builds the trees anew."
    SNAPSHOTS Error "snapshots"
        "The table of snapshots is not as it was committed: what they hold cannot be told from free pages."
        "Repair keeps what proves itself of the committed state, and builds the trees anew; snapshots that are not found are lost."
    HEADER Warning "header"
        "The header has rotted. Each root record repeats it, so nothing is lost."
        "Repair writes it again."
    ROOT_OTHER Info "root-other"
        "One root slot holds no valid record: a commit, or the copy of its record, was not finished there."
        "Nothing needs mending; the next opening to write mends it."
    UNNAMED_PAGES Warning "unnamed-pages"
        "Pages are marked as pages of protected ones or as nodes, and nothing names them: they are lost to allocation."
        "Nothing needs mending; copy into a new file to have them back."
}

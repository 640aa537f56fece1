//! R3 to R5: which page 0 counts.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore};

use super::torn::{Mixture, Resolved, Torn, low32};
use super::{Candidate, usize_of};
use crate::error::Error;
use crate::finding::{self, Finding};
use crate::format0::metadata::{self, Metadata};
use crate::format0::read::{MetadataRead, directory_copy, raw_tag};
use crate::format0::superblock::{self, BlockRef, Head};
use crate::format0::{computed_seal, findings, is_sealed, seal_flip, stored_seal};
use crate::reasoning::{Log, Verdict};
use crate::verify::{FLIP_EVIDENCE, at_flip, explained};

/// R3 to R5: which page 0 counts.
pub(super) fn decide<S: PageStore>(
    store: &S,
    page_size: PageSize,
    page0: &[u8],
    head: &Head,
    named: &MetadataRead,
    other: &MetadataRead,
    log: &mut Log,
) -> Result<(Verdict, Candidate), Error> {
    let pair = (named.parsed.as_ref().ok(), other.parsed.as_ref().ok());
    // The peer ignores the checksum of an empty section.
    let section_holds =
        superblock::section_is_empty(page0) || is_sealed(page0, superblock::offset::SECTION);
    let mixture = section_holds && is_hidden_mixture(store, page0, page_size, head, pair)?;
    if section_holds && !mixture {
        return Ok(match whole(page0, page_size, head, log) {
            Some(candidate) => (judge_other(head, named, other, log), candidate),
            None => (Verdict::Damaged, nothing(head)),
        });
    }
    log.step("R3", Some((0, page0, page0.len() - 4, 4)), || {
        if mixture {
            "the directory section is a mixture of two versions whose checksum happens to agree"
                .to_string()
        } else {
            format!(
                "the directory section fails its checksum: stored {:#010x}, computed {:#010x}",
                stored_seal(page0),
                computed_seal(page0, superblock::offset::SECTION)
            )
        }
    });
    if let Some((resolved, is_ours)) = resolve_torn(store, page_size, page0, head, pair)? {
        return Ok(log_resolved(page0, resolved, is_ours, log));
    }
    log.step("R4", None, || {
        "no commit, of ours or of the peer, can leave this: damage".to_string()
    });
    let flip = if section_holds {
        None
    } else {
        seal_flip(page0, superblock::offset::SECTION)
    };
    let message = format!(
        "the directory section of page 0 fails its checksum, and no crash can have torn it so{}",
        explained(flip)
    );
    let finding = Finding::new(findings::DIRECTORY_SECTION, Some(0), message);
    let finding = finding.with_evidence(page0, page0.len() - 4, 4);
    log.find(at_flip(finding, page0, flip));
    Ok((Verdict::Damaged, nothing(head)))
}

/// R4 and R5. What a torn page 0 turns out to be, and whether it was ours.
fn resolve_torn<S: PageStore>(
    store: &S,
    page_size: PageSize,
    page0: &[u8],
    head: &Head,
    (named, other): (Option<&Metadata>, Option<&Metadata>),
) -> Result<Option<(Resolved, bool)>, Error> {
    let Some(named) = named else {
        return Ok(None);
    };
    let mut failure = None;
    let mut torn = Torn {
        page_size,
        page0,
        head: *head,
        named,
        other,
        copy_at: |page| match directory_copy(store, page) {
            Ok(copy) => copy,
            Err(error) => {
                failure.get_or_insert(error);
                None
            }
        },
    };
    // Ours first: its tags are evidence, what the peer leaves has none.
    let ours = torn.ours();
    let is_ours = ours.is_some();
    let resolved = ours.or_else(|| torn.peers());
    match failure {
        Some(error) => Err(error),
        None => Ok(resolved.map(|resolved| (resolved, is_ours))),
    }
}

/// No block can be believed; the finding beside it says so.
fn nothing(head: &Head) -> Candidate {
    Candidate {
        side: head.side,
        tagged: head.tag.is_some(),
        blocks: Vec::new(),
    }
}

fn log_resolved(
    page0: &[u8],
    resolved: Resolved,
    is_ours: bool,
    log: &mut Log,
) -> (Verdict, Candidate) {
    let rule = if is_ours { "R4" } else { "R5" };
    let who = if is_ours {
        "a commit"
    } else {
        "a commit of mappedpages"
    };
    let (verdict, candidate, mixture) = match resolved {
        Resolved::Forward(candidate, mixture) => (Verdict::RolledForward, candidate, mixture),
        Resolved::Back(candidate, mixture) => (Verdict::RolledBack, candidate, mixture),
    };
    let (kind, so, end) = match verdict {
        Verdict::RolledForward => (
            findings::FINISHED_COMMIT,
            "the new is durable: forward",
            "complete all the same",
        ),
        _ => (finding::UNFINISHED_COMMIT, "the old counts: back", "undone"),
    };
    let Mixture { text, at } = mixture;
    log.step(rule, Some((0, page0, at, FLIP_EVIDENCE)), || {
        format!("every sector of page 0 is the old or the new one of {who}: {text}; {so}")
    });
    let message = format!("page 0 was torn in {who}, which is {end}: {text}");
    log.find(Finding::new(kind, Some(0), message).with_evidence(page0, at, FLIP_EVIDENCE));
    (verdict, candidate)
}

/// R3. The section as it is; none where it holds what nobody writes.
fn whole(page0: &[u8], page_size: PageSize, head: &Head, log: &mut Log) -> Option<Candidate> {
    let count = match superblock::block_count(page0, page_size) {
        Ok(count) => count,
        Err(count) => {
            let message =
                format!("page 0 announces {count} directory blocks, more than it has room for");
            log.step(
                "R3",
                Some((0, page0, superblock::offset::SECTION, 4)),
                || format!("{message}: damage"),
            );
            log.find(
                Finding::new(findings::BLOCK_COUNT, Some(0), message).with_evidence(
                    page0,
                    superblock::offset::SECTION,
                    4,
                ),
            );
            return None;
        }
    };
    let mut blocks = Vec::with_capacity(count);
    for index in 0..count {
        let pages = superblock::block_pages(page0, index);
        match superblock::block_side(page0, index) {
            Ok(active) => blocks.push(BlockRef { pages, active }),
            Err(byte) => {
                let message = format!("directory block {index} has side {byte}, neither 0 nor 1");
                log.step(
                    "R3",
                    Some((0, page0, superblock::block_offset(index), 17)),
                    || format!("{message}: damage"),
                );
                log.find(
                    Finding::new(findings::BLOCK_REFERENCE, Some(0), message).with_evidence(
                        page0,
                        superblock::block_offset(index),
                        17,
                    ),
                );
                return None;
            }
        }
    }
    log.step(
        "R3",
        Some((0, page0, superblock::offset::SECTION, 4)),
        || match count {
            1 => "the directory section is whole and names 1 block".to_string(),
            _ => format!("the directory section is whole and names {count} blocks"),
        },
    );
    Some(Candidate {
        side: head.side,
        tagged: head.tag.is_some(),
        blocks,
    })
}

/// The other metadata: was a commit left unfinished?
fn judge_other(head: &Head, named: &MetadataRead, other: &MetadataRead, log: &mut Log) -> Verdict {
    let page = metadata::page_of(other.side);
    let Ok(named) = &named.parsed else {
        return Verdict::Damaged;
    };
    let newer = match &other.parsed {
        Ok(found) if found.generation <= named.generation => {
            log.step(
                "R3",
                Some((page, &other.bytes, metadata::offset::GENERATION, 8)),
                || {
                    format!(
                        "metadata {} is of generation {}, not newer: clean",
                        other.side, found.generation
                    )
                },
            );
            return Verdict::Clean;
        }
        Ok(found) => found,
        Err(finding) => {
            log.step(
                "R3",
                Some((page, &other.bytes, usize_of(finding.offset), 8)),
                || {
                    format!(
                        "metadata {} is not valid: a commit was not finished, back",
                        other.side
                    )
                },
            );
            log.find(Finding {
                kind: findings::METADATA_OTHER,
                ..finding.clone()
            });
            return Verdict::RolledBack;
        }
    };
    log.step(
        "R3",
        Some((page, &other.bytes, metadata::offset::GENERATION, 8)),
        || {
            format!(
                "metadata {} is of generation {}, newer than what page 0 names: its commit was not finished and is undone",
                other.side, newer.generation
            )
        },
    );
    let kind = if head.tag.is_some() {
        finding::UNFINISHED_COMMIT
    } else {
        findings::SELECTOR_UNPROVEN
    };
    let message = format!(
        "metadata {} is of generation {}, page 0 names generation {}",
        other.side, newer.generation, named.generation
    );
    log.find(Finding::new(kind, Some(page), message).with_evidence(
        &other.bytes,
        metadata::offset::GENERATION,
        8,
    ));
    Verdict::RolledBack
}

/// Whether a section whose checksum holds is a mixture all the same: a CRC is
/// linear, and enough flipped selectors cancel.
fn is_hidden_mixture<S: PageStore>(
    store: &S,
    page0: &[u8],
    page_size: PageSize,
    head: &Head,
    (named, other): (Option<&Metadata>, Option<&Metadata>),
) -> Result<bool, Error> {
    let (Some(named), Ok(count)) = (named, superblock::block_count(page0, page_size)) else {
        return Ok(false);
    };
    // A tag of 0 is the peer's, and of no generation.
    let written_by = head
        .tag
        .map(|_| low32(named.generation))
        .filter(|&tag| tag != 0);
    // Of an older commit nothing is on its way.
    let newer = other
        .map(|other| other.generation)
        .filter(|&other| other > named.generation && low32(other) != 0);
    if written_by.is_none() && newer.is_none() {
        return Ok(false);
    }
    for index in 0..count {
        let Ok(active) = superblock::block_side(page0, index) else {
            continue;
        };
        let pages = superblock::block_pages(page0, index);
        let counts = active.of(pages);
        // Page 0 is new, but this selector is not: its commit would have named
        // the copy that it wrote. Not where the peer wrote the named copy since;
        // and bytes that happen to be there are no copy.
        if let Some(tag) = written_by
            && raw_tag(store, active.other().of(pages))? == Some(tag)
            && raw_tag(store, counts)? != Some(0)
            && directory_copy(store, active.other().of(pages))?.is_some()
        {
            return Ok(true);
        }
        // Page 0 is old, but this selector is not: what it names was written by
        // the commit that page 0 does not name. A rotten copy is no evidence.
        if let Some(newer) = newer
            && raw_tag(store, counts)? == Some(low32(newer))
            && directory_copy(store, counts)?.is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

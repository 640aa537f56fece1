//! A file is copied while a writer is at work, by a program that knows nothing
//! of it: page after page, with commits in between. What a copy holds then is
//! of several states. It is refused, or it shows one state and nothing else.
//! What callers write in place, to regular pages, is theirs to keep still.

use pagebox_core::{Access, Error, Format, Pager, ProtectedId};
use pagebox_store::{Checksum, PageSize};
use pagebox_tests::crash::{CrashStore, Moment, Record};
use pagebox_tests::decode::{Pages as _, State, decode};
use pagebox_tests::figures;
use pagebox_tests::model::regular_pages;
use pagebox_tests::rng::Rng;
use pagebox_tests::workload::{Change, Step};

use super::{Scene, Start};

/// How many copies are taken.
const COPIES: u64 = 10_000;

/// How many of one file, and while how many commits.
const COPIES_PER_FILE: u64 = 200;
const COMMITS_PER_FILE: u64 = 16;

/// Pages that are read one after the other, each as it is at that moment.
fn copy(moments: &[CrashStore], page_size: PageSize, rng: &mut Rng) -> CrashStore {
    let last = moments.len() as u64;
    let len = moments[moments.len() - 1].pages().page_count();
    // From which page on, as of which moment.
    let mut parts = vec![(0, rng.below(last))];
    for cut in 0..rng.between(1, 4) {
        let (page, moment) = parts[parts.len() - 1];
        // The pages that all others hang on are often read first.
        let next = if cut == 0 && rng.chance(1, 2) {
            3
        } else {
            rng.between(page, len)
        };
        parts.push((next, rng.between(moment, last - 1)));
    }
    let mut bytes = Vec::new();
    for page in 0.. {
        let part = parts.iter().rposition(|part| part.0 <= page).unwrap_or(0);
        let pages = moments[parts[part].1 as usize].pages();
        if page >= pages.page_count() {
            break;
        }
        bytes.extend_from_slice(pages.page(page));
    }
    CrashStore::from_bytes(page_size, &bytes)
}

/// What a copy turned out to be.
enum Shown {
    /// It is refused as damaged.
    Refused,
    /// A committed state.
    State,
    /// A committed state, but for pages that fail their checksum.
    StateInPart,
}

fn shown(copy: CrashStore, states: &[State]) -> Result<Shown, String> {
    let mut pager = match Pager::open(copy, Access::Write) {
        Ok(pager) => pager,
        Err(Error::Damaged { findings }) => {
            assert!(!findings.is_empty(), "damaged without a finding");
            return Ok(Shown::Refused);
        }
        Err(Error::Corrupt { .. } | Error::Identity(_)) => return Ok(Shown::Refused),
        Err(error) => return Err(error.to_string()),
    };
    let stats = pager.stats();
    let state = states
        .iter()
        .find(|state| state.generation == stats.generation.unwrap())
        .ok_or_else(|| {
            format!(
                "generation {} was never committed",
                stats.generation.unwrap()
            )
        })?;
    let figures = (stats.page_count.unwrap(), stats.free_pages.unwrap());
    if figures != (state.page_count, state.free().len() as u64) {
        return Err(format!("pages and free pages are {figures:?}"));
    }
    if !regular_pages(&mut pager, usize::MAX)?
        .into_iter()
        .eq(state.regular())
    {
        return Err("the regular pages are other ones".into());
    }
    let slots = pager
        .protected(ProtectedId(0), usize::MAX)
        .map_err(|error| error.to_string())?;
    let are_same = slots.len() == state.protected.len()
        && slots
            .iter()
            .zip(&state.protected)
            .all(|(found, (&id, slot))| {
                found.id.0 == id
                    && found.location.page == Some(slot.active_page())
                    && found.next.is_some_and(|next| slot.page.contains(&next))
                    && found.location.generation == slot.generation
                    && found.location.checksum == Checksum::crc32(slot.checksum)
            });
    if !are_same {
        return Err(format!(
            "generation {} shows slots of several states",
            stats.generation.unwrap()
        ));
    }
    let mut shown = Shown::State;
    for slot in slots {
        match pager.verify_protected(slot.id) {
            Ok(_) => {}
            Err(Error::ChecksumMismatch { .. }) => shown = Shown::StateInPart,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(shown)
}

/// 44 of 150 copies of a live file held half a transaction, and were believed.
#[test]
fn a_copy_of_a_live_file_is_refused_or_shows_one_committed_state() {
    let (mut refused, mut whole, mut in_part) = (0_u64, 0_u64, 0_u64);
    for seed in 0..COPIES / COPIES_PER_FILE {
        let page_size = *Rng::new(seed).pick(&[PageSize::KIB_1, PageSize::KIB_1, PageSize::KIB_4]);
        let mut rng = Rng::new(seed);
        let mut scene = Scene::new(Start {
            format: Format::Zero,
            page_size,
            keeps_order: rng.chance(1, 2),
            seed,
        });
        // Some directory blocks, so that a transaction can change several.
        let changes = vec![Change::AllocProtected(120), Change::Alloc(20)];
        scene.run(&Step::Commit(changes)).unwrap();
        let mut states = vec![decode(&*scene.store().pages()).unwrap()];
        let mut moments = vec![scene.store().now().killed()];
        for _ in 0..COMMITS_PER_FILE {
            let (done, more) = scene.moments(Record::Writes, Scene::commit);
            done.unwrap();
            moments.extend(more.iter().map(Moment::killed));
            states.push(decode(&*scene.store().pages()).unwrap());
        }
        for number in 0..COPIES_PER_FILE {
            let copy = copy(&moments, page_size, &mut rng);
            match shown(copy, &states) {
                Ok(Shown::Refused) => refused += 1,
                Ok(Shown::State) => whole += 1,
                Ok(Shown::StateInPart) => in_part += 1,
                Err(error) => panic!("{error}: copy {number} of seed {seed}"),
            }
        }
    }
    assert!(
        refused > COPIES / 10 && whole > COPIES / 10,
        "{refused} refused, {whole} whole, {in_part} in part"
    );
    figures::print(&format!(
        "{COPIES} copies of live files: {refused} refused as damaged, {whole} show one committed \
         state, {in_part} one but for pages that fail their checksum"
    ));
}

//! Power losses, kills and failed syncs, simulated: every image that the fault
//! model of `pagebox_tests::crash` knows leaves the state before or after, and
//! a file that goes on working. All of them on both kinds of medium: a file, for
//! which an order is a sync, and one that keeps order without.
//!
//! Each test tries its share of `PAGEBOX_CRASH_IMAGES` images and prints how
//! many it tried.

mod failed_sync;
mod kill;
mod live_copy;
mod order;
mod peer;
mod power;
mod trace;

use std::fmt::Display;
use std::rc::Rc;
use std::time::Instant;

use pagebox_core::{Access, Error, Format, NewFile, Pager};
use pagebox_store::{MemoryStore, PageSize};
use pagebox_tests::crash::{CrashStore, Moment, Record, Survivors};
use pagebox_tests::decode::Pages;
use pagebox_tests::decode1;
use pagebox_tests::figures;
use pagebox_tests::legal::{Legal, find};
use pagebox_tests::model::Model;
use pagebox_tests::rng::Rng;
use pagebox_tests::shown::{format_of, numbers};
use pagebox_tests::upgrade::convert;
use pagebox_tests::workload::{Change, Step, Workload};

/// Images that all tests together try of a format, unless
/// `PAGEBOX_CRASH_IMAGES` says how many.
const fn images_of(format: Format) -> u64 {
    match format {
        Format::Zero => 1_100_000,
        // CI tries as many.
        _ => 110_000,
    }
}

/// Of a moment with at most so many images all are tried, of others so many.
const IMAGES_PER_MOMENT: u64 = 256;

/// As above, for a crash in the first transaction after a crash.
const IMAGES_PER_SECOND_MOMENT: u64 = 12;

/// What a scenario begins with.
#[derive(Clone, Copy)]
struct Start {
    format: Format,
    page_size: PageSize,
    /// Whether the medium keeps order without a sync; a file does not.
    keeps_order: bool,
    seed: u64,
}

impl Start {
    /// A new file, on a medium that sees to it that nothing is written which the
    /// durable state reaches.
    fn create(&self) -> Pager<CrashStore> {
        let new = NewFile {
            format: self.format,
            page_count: 0,
            uuid: *b"a uuid of a file",
        };
        let pager = Pager::create_as(self.store(), &new).expect("the store is empty");
        guard(pager.store());
        pager
    }

    /// An empty medium.
    fn store(&self) -> CrashStore {
        let store = CrashStore::new(self.page_size);
        if self.keeps_order {
            store.keep_order();
        }
        store
    }
}

/// Guards what the durable state reaches, whatever the format.
fn guard(store: &CrashStore) {
    if format_of(&*store.pages()) == Format::One {
        let numbers = numbers(store.pages().page_size());
        store.guard(
            &(Rc::new(
                move |pages: &dyn Pages| match decode1::decode(pages, numbers) {
                    Ok(state) => state.reached(&numbers),
                    Err(error) => panic!("what is durable is no file: {error}"),
                },
            ) as _),
        );
    }
}

/// A workload with all that a format can.
fn workload(format: Format, seed: u64) -> Workload {
    match format {
        Format::Zero => Workload::new(seed),
        _ => Workload::deferring(seed),
    }
}

/// What a test has tried.
struct Tally {
    name: &'static str,
    format: Format,
    start: Instant,
    goal: u64,
    images: u64,
}

impl Tally {
    /// A test that tries `percent` of all images of a format.
    fn new(name: &'static str, format: Format, percent: u64) -> Self {
        let all = match std::env::var("PAGEBOX_CRASH_IMAGES") {
            Ok(count) => count.parse().expect("PAGEBOX_CRASH_IMAGES is a number"),
            Err(_) => images_of(format),
        };
        Self {
            name,
            format,
            start: Instant::now(),
            goal: all / 100 * percent,
            images: 0,
        }
    }

    /// Calls `run` with one seed after the other, on both kinds of medium, until
    /// the goal is reached.
    fn fill(mut self, mut run: impl FnMut(&mut Self, Start)) {
        for seed in 0.. {
            // Large pages take long, and small ones have the same rules.
            let page_size = match seed % 16 {
                3 => PageSize::KIB_64,
                1 | 5 | 9 | 13 => PageSize::KIB_4,
                _ => PageSize::KIB_1,
            };
            for keeps_order in [false, true] {
                let start = Start {
                    format: self.format,
                    page_size,
                    keeps_order,
                    seed,
                };
                run(&mut self, start);
            }
            if self.images >= self.goal {
                break;
            }
        }
        self.print();
    }

    /// Says what was tried, also where a test's output is not shown.
    fn print(self) {
        let Self {
            name,
            format,
            images,
            start,
            ..
        } = self;
        let seconds = start.elapsed().as_secs_f64();
        figures::print(&format!(
            "format {}: {images} crash images in {seconds:.1} s, nothing lost: {name}",
            match format {
                Format::Zero => 0,
                _ => 1,
            }
        ));
    }

    /// Tries images of a moment. Each must show one of the legal states;
    /// `go_on` is told which.
    fn images<'a>(
        &mut self,
        moment: &Moment,
        limit: u64,
        legal: &[&'a Legal],
        log: &[String],
        rng: &mut Rng,
        mut go_on: impl FnMut(&mut Self, &CrashStore, &'a Legal, &mut Rng) -> Result<(), String>,
    ) {
        let mut fork = rng.fork();
        self.images += moment.images(limit, rng, |image, survivors| {
            let result =
                find(&image, legal).and_then(|found| go_on(self, &image, found, &mut fork));
            if let Err(error) = result {
                fail(log, moment, survivors, &error);
            }
        });
    }
}

/// A file in use, on a medium that can lose power.
struct Scene {
    pager: Pager<CrashStore>,
    model: Model,
    workload: Workload,
    /// What was done, to be printed when something fails.
    log: Vec<String>,
}

impl Scene {
    /// A new file.
    fn new(start: Start) -> Self {
        let Start {
            page_size,
            keeps_order,
            seed,
            ..
        } = start;
        let medium = if keeps_order {
            "a medium that keeps order"
        } else {
            "a file"
        };
        Self {
            pager: start.create(),
            model: Model::new(page_size.bytes()),
            workload: workload(start.format, seed),
            log: vec![format!("{medium}, page size {page_size}, seed {seed}")],
        }
    }

    /// A file of format 0 that became one of format 1, with regular pages where
    /// homes are otherwise.
    fn upgraded(start: Start) -> Self {
        let Start {
            page_size, seed, ..
        } = start;
        let mut old = Pager::create(MemoryStore::new(page_size), 0).expect("the store is empty");
        let mut model = Model::new(page_size.bytes());
        let regular = Change::Alloc(1 + (seed % 40) as u32);
        let protected = Change::AllocProtected(5);
        // With small pages the head is longer: what lies there has to give way.
        let (changes, in_the_way) = if page_size.bytes() < 4096 {
            ([protected, regular], 15)
        } else {
            ([regular, protected], 3)
        };
        for change in changes {
            let step = Step::Commit(vec![change]);
            model.run(&mut old, &step).expect("it has room");
        }
        assert!(model.regular.contains_key(&in_the_way), "{model:?}");
        let pager = convert(&mut old, start.store(), Format::One).expect("it has room");
        guard(pager.store());
        Self {
            pager,
            model,
            workload: Workload::new(seed),
            log: vec![format!("upgraded, page size {page_size}, seed {seed}")],
        }
    }

    /// What a crash left, which shows a legal state, opened to write.
    fn open(store: &CrashStore, found: &Legal, rng: &mut Rng) -> Result<Self, Error> {
        guard(store);
        Ok(Self {
            pager: Pager::open(store.clone(), Access::Write)?,
            model: Model::of(&found.shown, &*store.pages()),
            workload: workload(found.shown.format, rng.next_u64()),
            log: Vec::new(),
        })
    }

    fn store(&self) -> &CrashStore {
        self.pager.store()
    }

    fn run(&mut self, step: &Step) -> Result<(), Error> {
        self.log.push(format!("{step:?}"));
        self.model.run(&mut self.pager, step)
    }

    /// Commits something that changes something.
    fn commit(&mut self) -> Result<(), Error> {
        let generation = self.pager.stats().generation.unwrap();
        while self.pager.stats().generation.unwrap() == generation {
            let changes = self.workload.changes();
            self.run(&Step::Commit(changes))?;
        }
        Ok(())
    }

    /// Runs a part and returns the medium at each sync and growth within.
    fn moments<T>(&mut self, record: Record, run: impl FnOnce(&mut Self) -> T) -> (T, Vec<Moment>) {
        self.store().record(record);
        let result = run(self);
        self.store().record(Record::Nothing);
        let moments = self.store().take_moments();
        (result, moments)
    }
}

/// Says what went wrong, and after what.
fn fail(log: &[String], moment: &Moment, survivors: &Survivors, error: &dyn Display) -> ! {
    let log = log.join("\n  ");
    let during = moment.during;
    panic!("{error}\nafter a crash during {during}; {survivors}\nafter\n  {log}");
}

/// One more transaction works. In some cases it crashes in turn.
fn goes_on(
    tally: &mut Tally,
    image: &CrashStore,
    found: &Legal,
    crashes: bool,
    rng: &mut Rng,
) -> Result<(), String> {
    let text = |error: Error| format!("{error} in the first transaction after the crash");
    let mut scene = Scene::open(image, found, rng).map_err(text)?;
    let record = if crashes {
        Record::Syncs
    } else {
        Record::Nothing
    };
    let (done, moments) = scene.moments(record, Scene::commit);
    done.map_err(text)?;
    let next = Legal::of(image);
    next.shown.is_as_we_commit.clone()?;
    next.is_shown_by(&mut scene.pager)?;
    let next = next.until_acknowledged(found);
    for moment in &moments {
        let legal = [found, &next];
        tally.images(
            moment,
            IMAGES_PER_SECOND_MOMENT,
            &legal,
            &scene.log,
            rng,
            |_, _, _, _| Ok(()),
        );
    }
    Ok(())
}

//! We and the peer take turns on one file, and both crash.

use pagebox_core::Format;
use pagebox_tests::crash::{CrashStore, Record};
use pagebox_tests::decode::decode;
use pagebox_tests::legal::{Legal, find};
use pagebox_tests::peer::{Op, Peer, Seen};
use pagebox_tests::peer_sim::PeerSim;
use pagebox_tests::rng::Rng;
use pagebox_tests::shown::Shown;

use super::{IMAGES_PER_MOMENT, Scene, Tally, fail, goes_on};

/// Where the peer can still open our images, it reads the state before or the
/// state after: all but those with a torn page 0.
#[test]
fn peer_reads_our_crash_images_as_the_state_before_or_after() {
    Tally::new("of ours, opened as the peer opens them", Format::Zero, 10).fill(|tally, start| {
        let mut rng = Rng::new(start.seed);
        let mut scene = Scene::new(start);
        for _ in 0..40 {
            let step = scene.workload.step();
            let before = seen(scene.store());
            let (done, moments) = scene.moments(Record::Syncs, |scene| scene.run(&step));
            done.unwrap();
            let after = seen(scene.store());
            for moment in &moments {
                tally.images += moment.images(IMAGES_PER_MOMENT, &mut rng, |image, survivors| {
                    let found = PeerSim::open(&image).and_then(|mut peer| peer.see());
                    let is_legal = match &found {
                        Ok(found) => is_same(found, &before) || is_same(found, &after),
                        // The exception: recovery has to sort out page 0.
                        Err(_) => decode(&*image.pages()).is_err(),
                    };
                    if !is_legal {
                        fail(
                            &scene.log,
                            moment,
                            survivors,
                            &format!("the peer sees {found:?}"),
                        );
                    }
                });
            }
        }
    });
}

/// Everything that a file shows.
fn seen(store: &CrashStore) -> Seen {
    PeerSim::open(store).unwrap().see().unwrap()
}

/// Whether the same pages are there, and protected ones hold the same. What
/// regular pages hold is another matter.
fn is_same(found: &Seen, legal: &Seen) -> bool {
    let pages = |seen: &Seen| (seen.page_count, seen.free_count);
    pages(found) == pages(legal)
        && found.protected == legal.protected
        && found.regular.keys().eq(legal.regular.keys())
}

/// What a crash left, and the state that it shows.
type Left = (CrashStore, Legal);

#[test]
fn we_and_the_peer_taking_turns_and_crashing_leave_the_state_before_or_after() {
    Tally::new("of ours and the peer's in turn", Format::Zero, 10).fill(|tally, start| {
        let mut rng = Rng::new(start.seed);
        let store = Scene::new(start).store().clone();
        let legal = Legal::of(&store);
        let mut left = (store, legal);
        for _ in 0..12 {
            left = our_turn(left, tally, &mut rng);
            left = peers_turn(left, tally, &mut rng);
        }
    });
}

/// Some commits of ours. Returns the end, or what a crash on the way leaves.
fn our_turn((store, mut found): Left, tally: &mut Tally, rng: &mut Rng) -> Left {
    let mut left = Vec::new();
    let mut scene = Scene::open(&store, &found, rng).unwrap();
    for _ in 0..rng.between(1, 4) {
        let (done, moments) = scene.moments(Record::Syncs, Scene::commit);
        done.unwrap();
        let next = Legal::of(&store);
        next.shown.is_as_we_commit.clone().unwrap();
        for moment in &moments {
            let legal = [&found, &next];
            tally.images(moment, 16, &legal, &scene.log, rng, |_, image, found, _| {
                left.push((image.clone(), found.clone()));
                Ok(())
            });
        }
        found = next;
    }
    left.push((store, found));
    left.swap_remove(rng.below(left.len() as u64) as usize)
}

/// Some work of the peer's, if it can open the file. Returns as above.
fn peers_turn((store, found): Left, tally: &mut Tally, rng: &mut Rng) -> Left {
    let Ok(mut peer) = PeerSim::open(&store) else {
        return (store, found);
    };
    let mut left = Vec::new();
    let mut log = Vec::new();
    for _ in 0..rng.between(1, 4) {
        let Seen {
            regular, protected, ..
        } = peer.see().unwrap();
        let regular: Vec<_> = regular.into_keys().collect();
        let protected: Vec<_> = protected.into_keys().collect();
        let op = Op::random(rng, &regular, &protected, peer.page_size(), false);
        log.push(op.to_string());
        store.record(Record::Syncs);
        peer.run(&op).unwrap();
        store.record(Record::Nothing);
        for moment in &store.take_moments() {
            // The peer syncs one page after the other: a step is in doubt, or
            // it is not.
            let legal = [moment.durable(), moment.killed()]
                .map(|state| Legal::with(Shown::of(&*state.pages()).unwrap(), &moment.killed()));
            let mut fork = rng.fork();
            tally.images += moment.images(16, rng, |image, survivors| {
                let done = find(&image, &[&legal[0], &legal[1]]).and_then(|found| {
                    left.push((image.clone(), found.clone()));
                    goes_on(tally, &image.now().killed(), found, false, &mut fork)
                });
                if let Err(error) = done {
                    panic!("{error}\nafter a crash of the peer; {survivors}\nafter {log:#?}");
                }
            });
        }
    }
    let found = Legal::of(&store);
    left.push((store, found));
    left.swap_remove(rng.below(left.len() as u64) as usize)
}

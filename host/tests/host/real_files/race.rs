//! Processes that open the same file at the same time: one of them wins.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use pagebox::Error;

use super::{child, path};
use crate::{engine, folder, sample};

const RACERS: usize = 3;
const ROUNDS: usize = 100;

/// Not a test: what the other processes do. Each line of input starts a race;
/// the next one ends it.
#[test]
#[ignore = "started by the test of races, in a process of its own"]
fn racer() {
    let say = |word: &str| {
        let mut output = std::io::stdout();
        writeln!(output, "\nracer {word}").unwrap();
        output.flush().unwrap();
    };
    let mut lines = std::io::stdin().lines();
    engine();
    say("ready");
    while lines.next().is_some() {
        let opened = engine().open(path());
        match &opened {
            Ok(_) => say("won"),
            Err(Error::Locked { .. }) => say("locked"),
            Err(error) => say(&format!("failed: {error}")),
        }
        lines.next();
        drop(opened);
        say("out");
    }
}

struct Racer {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Racer {
    fn start(path: &std::path::Path) -> Self {
        let mut child = child(&[], "real_files::race::racer", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    fn tell(&mut self) {
        self.input.write_all(b"go\n").unwrap();
    }

    fn hear(&mut self) -> String {
        self.output
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("racer ").map(str::to_owned))
            .expect("the racer goes on")
    }
}

#[test]
fn processes_that_race_to_open_a_file_have_one_winner() {
    let (_folder, path) = folder();
    sample(&path);
    let mut racers: Vec<_> = (0..RACERS).map(|_| Racer::start(&path)).collect();
    let mut wins = [0; RACERS];
    for racer in &mut racers {
        assert_eq!(racer.hear(), "ready");
    }
    for round in 0..ROUNDS {
        racers.iter_mut().for_each(Racer::tell);
        let answers: Vec<_> = racers.iter_mut().map(Racer::hear).collect();
        let winners: Vec<_> = (0..RACERS).filter(|nth| answers[*nth] == "won").collect();
        let losers = answers.iter().filter(|answer| *answer == "locked").count();
        assert_eq!(
            (winners.len(), losers),
            (1, RACERS - 1),
            "round {round}: {answers:?}"
        );
        wins[winners[0]] += 1;
        racers.iter_mut().for_each(Racer::tell);
        assert!(racers.iter_mut().all(|racer| racer.hear() == "out"));
    }
    for Racer {
        mut child, input, ..
    } in racers
    {
        drop(input);
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(wins.iter().sum::<usize>(), ROUNDS);
}

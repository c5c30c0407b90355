//! The sample that is not chat (`core/client/examples/nim.rs`): a game between two processes, over links that are cut, and with a
//! player that is killed. Both see every move once, and the same game.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use interop::{InFlight, Kind, Link, console_binary, leashed, spawn};

use crate::support::{JULIET, ROMEO, Stage};

/// A process that plays, and what it has said so far.
struct Player {
    process: Child,
    says: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl Player {
    fn start(
        program: &PathBuf,
        stage: &Stage,
        link: &Link,
        own: (&str, &str),
        other: &str,
        turn: &str,
    ) -> Self {
        let log = File::options().create(true).append(true).open(stage.dir.path().join("nim.log")).unwrap();
        let mut command = leashed(program);
        command.arg(stage.dir.path().join(own.0)).args([own.0, other]);
        command.arg(format!("127.0.0.1:{}", link.port())).arg(stage.server.ca()).arg(turn);
        command.env("WHIMBREL_PASSWORD", own.1).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut process = spawn(command).unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (line, says) = mpsc::channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|said| line.send(said)));
        Self { process, says, said: Vec::new() }
    }

    /// Waits until it has seen so many moves, or for its end.
    fn sees(&mut self, moves: usize) {
        while self.said.len() < moves {
            match self.says.recv_timeout(Duration::from_secs(180)) {
                Ok(line) => self.said.push(line.trim().to_owned()),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing moves any more: {:?}", self.said),
            }
        }
    }

    fn killed(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// All that it says in this life, once it has ended by itself.
    fn ends(mut self) -> Vec<String> {
        self.sees(usize::MAX);
        assert!(self.process.wait().unwrap().success(), "{:?}", self.said);
        self.said
    }
}

fn every_move_counts_once_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let program = console_binary().unwrap().with_file_name("nim");
    assert!(program.is_file(), "the sample is not built: run `cargo build -p whimbrel --example nim`");
    let (his, hers) = (stage.link(), stage.link());
    for link in [&his, &hers] {
        link.delay(Duration::from_millis(10));
    }
    let play = |link: &Link, own, other, turn| Player::start(&program, &stage, link, own, other, turn);
    let mut romeo = play(&his, ROMEO, JULIET.0, "first");
    let mut juliet = play(&hers, JULIET, ROMEO.0, "second");
    for moves in [5, 15, 25] {
        romeo.sees(moves);
        his.cut(InFlight::Dropped);
        juliet.sees(moves + 2);
        hers.cut(InFlight::Kept);
    }
    // She is killed, maybe in the middle of a move; and again when she is back.
    for moves in [35, 45] {
        juliet.sees(moves);
        juliet.killed();
        juliet = play(&hers, JULIET, ROMEO.0, "second");
    }
    let (his_game, her_game) = (romeo.ends(), juliet.ends());
    assert_eq!(his_game, her_game);
    let numbers: Vec<_> =
        his_game.iter().filter_map(|line| line.split(' ').next()?.parse::<usize>().ok()).collect();
    assert_eq!(numbers, (1..his_game.len()).collect::<Vec<_>>(), "{his_game:?}");
    let sticks: u32 = his_game.iter().filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).sum();
    assert_eq!(sticks, 120, "{his_game:?}");
    assert!(his_game.last().unwrap().ends_with(" wins"));
}

#[test]
fn every_move_counts_once_over_prosody_13() {
    every_move_counts_once_over(Kind::Prosody13);
}

#[test]
fn every_move_counts_once_over_ejabberd() {
    every_move_counts_once_over(Kind::Ejabberd);
}

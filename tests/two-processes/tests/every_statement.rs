//! Killed and stopped at every statement of a conversation, by the engine over real files (HOSTILE, "The device").

use two_processes::{
    actor::{Actor, Caught, Fate},
    stage::{Role, Stage, Step},
};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// A life from the first start to being suspended.
const PLAY: &[Step] = &[
    Step::Open,
    Step::GoOnline,
    Step::Receive(&["What is in a name?", "That which we call a rose"]),
    Step::Send("I take thee at thy word"),
    Step::Cut,
    Step::Send("Call me but love"),
    Step::Receive(&["What man art thou?"]),
    Step::Leave,
];

/// Plays until the end, or until it is caught: in which step, and where.
fn play(stage: &mut Stage, actor: &mut Actor, role: Role, from: usize) -> Result<(), (usize, Caught)> {
    for (at, step) in PLAY.iter().enumerate().skip(from) {
        stage.play(actor, role, *step).map_err(|caught| (at, caught))?;
    }
    Ok(())
}

/// Another process goes on: the step in which the first was caught, as far as it still is to be taken.
fn take_over(stage: &mut Stage, actor: &mut Actor, role: Role, at: usize) {
    if at > 0 {
        stage.play(actor, role, Step::GoOnline).unwrap();
        stage.play(actor, role, PLAY[at]).unwrap();
    }
}

/// An account whose file is there.
fn born() -> Stage {
    let mut stage = Stage::new(ACTOR);
    let mut first = stage.start(None);
    stage.play(&mut first, Role::App, Step::Open).unwrap();
    stage.leave(&mut first).unwrap();
    stage
}

/// How many statements there are to be caught at.
fn statements(mut stage: Stage, role: Role) -> u64 {
    let mut actor = stage.start(None);
    for step in &PLAY[..PLAY.len() - 1] {
        stage.play(&mut actor, role, *step).unwrap();
    }
    let statements = stage.leave(&mut actor).unwrap();
    stage.check(PLAY);
    statements
}

/// Killed at each of them, and another process goes on.
fn killed_at_any_statement(role: Role, newcomer: Role) {
    // From making the file on.
    for at in 1..=statements(Stage::new(ACTOR), role) {
        let mut stage = Stage::new(ACTOR);
        let mut first = stage.start(Some((Fate::Killed, at)));
        let (step, _) = play(&mut stage, &mut first, role, 0).expect_err("it is caught");
        let mut second = stage.start(None);
        assert_eq!(stage.open(&mut second, newcomer).unwrap(), Ok(()), "nobody holds what a dead one held");
        take_over(&mut stage, &mut second, newcomer, step);
        play(&mut stage, &mut second, newcomer, step + 1).unwrap();
        stage.check(PLAY);
    }
}

/// Stopped at each of them while another process comes, and continued later.
fn stopped_at_any_statement(role: Role, newcomer: Role) {
    for at in 1..=statements(born(), role) {
        stopped_at(born(), at, role, newcomer);
    }
}

fn stopped_at(mut stage: Stage, at: u64, role: Role, newcomer: Role) {
    let mut first = stage.start(Some((Fate::Stopped, at)));
    let (step, caught) = play(&mut stage, &mut first, role, 0).expect_err("it is caught");
    // Shown where something fails.
    println!("{at}: step {step}, {caught:?}");
    let mut second = stage.start(None);
    let opened = stage.open(&mut second, newcomer).unwrap();
    if caught.writing {
        // It is told so in time, and the one that was stopped goes on as if nothing had been.
        assert_eq!(opened, Err("in_use".to_owned()));
        drop(second);
        if stage.goes_on(&mut first)["asked"] == true {
            assert_eq!(stage.take(&mut first, role).unwrap(), Ok(()));
        }
        assert!(!first.lost);
        finish(&mut stage, first, role, step);
        return stage.check(PLAY);
    }
    assert_eq!(opened, Ok(()));
    take_over(&mut stage, &mut second, newcomer, step);
    let before = stage.rows();
    let answer = stage.goes_on(&mut first);
    if answer["asked"] == true {
        // The other one lives, hears of it, and stays.
        assert!(stage.has_lease(&mut second));
        assert_eq!(stage.take(&mut first, role).unwrap(), Err("in_use".to_owned()));
    } else if answer["opened"] == true && stage.has_lease(&mut first) {
        // It had not taken it yet, and does now: it is the app.
        assert_eq!(role, Role::App);
        assert!(!stage.has_lease(&mut second), "one of them at a time");
        finish(&mut stage, first, role, step);
        return stage.check(PLAY);
    } else {
        if answer["error"].is_null() && !first.closed {
            assert!(!stage.has_lease(&mut first));
            assert_eq!(stage.refuses_to_send(&mut first).as_deref(), Some("in_use"));
        }
        assert_eq!(stage.rows(), before, "it has lost the lease and writes");
    }
    drop(first);
    play(&mut stage, &mut second, newcomer, step + 1).unwrap();
    stage.check(PLAY);
}

/// From within a step to the end, once it goes on.
fn finish(stage: &mut Stage, mut actor: Actor, role: Role, step: usize) {
    if actor.closed {
        return;
    }
    take_over(stage, &mut actor, role, step);
    play(stage, &mut actor, role, step + 1).unwrap();
}

#[test]
fn app_killed_at_any_statement_an_extension_goes_on() {
    killed_at_any_statement(Role::App, Role::Extension);
}

#[test]
fn extension_killed_at_any_statement_the_app_goes_on() {
    killed_at_any_statement(Role::Extension, Role::App);
}

#[test]
fn app_stopped_while_it_makes_the_file_an_extension_comes() {
    // Each of them waits for the lock in real time.
    for at in [1, 9, 20] {
        stopped_at(Stage::new(ACTOR), at, Role::App, Role::Extension);
    }
}

#[test]
fn extension_stopped_at_any_statement_the_app_comes() {
    stopped_at_any_statement(Role::Extension, Role::App);
}

mod hostile {
    use super::*;

    #[test]
    fn two_processes() {
        stopped_at_any_statement(Role::App, Role::Extension);
    }
}

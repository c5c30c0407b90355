//! A conversation over two links that break in every way we know, with kills and freezes. The short form of
//! `cargo xtask bench broken_link`; which says more, and compares.

use std::time::Duration;

use interop::{Amount, End, Kind, Plan, Script, Talker, converse};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::support::{JULIET, ROMEO, Stage};

/// Of each phone. Six cuts are one of each kind.
const AMOUNT: Amount = Amount {
    over: Duration::from_secs(60),
    cuts: 8,
    kills: 2,
    bytes: 4_000,
    longest_freeze: Duration::from_secs(5),
    silence: Duration::from_secs(35),
};
const MESSAGES: usize = 500;
/// What it may take longer.
const PATIENCE: Duration = Duration::from_secs(240);
/// Another one is another afternoon of the same two people; this one is always the same.
const SEED: u64 = 1597;

fn nothing_is_lost_doubled_or_out_of_order_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let talker = |names, (account, password), peer| {
        let link = stage.link();
        let phone = stage.phone_behind(&link, account, password);
        Talker::new(names, peer, true, link, phone)
    };
    let romeo = talker(["Romeo", "Juliet"], ROMEO, JULIET.0);
    let juliet = talker(["Juliet", "Romeo"], JULIET, ROMEO.0);
    let mut dice = StdRng::seed_from_u64(SEED);
    let plans = [Plan::draw(&mut dice, &AMOUNT), Plan::draw(&mut dice, &AMOUNT)];
    let over = AMOUNT.over;
    let limit = over + PATIENCE;
    let script = Script { messages: MESSAGES, over, limit, seed: SEED as u32, plans, halfway: None };
    let outcome = converse([&romeo, &juliet], script).unwrap();
    eprintln!("{}: {outcome:#?}", kind.name());
    assert_eq!(outcome.end, End::Settled, "somebody does not catch up");
    assert_eq!(outcome.shown.sent, 2 * MESSAGES);
    assert!(outcome.shown.is_clean(), "{:?}, missing: {:?}", outcome.shown, outcome.missing);
    assert_eq!((outcome.told.doubled, outcome.own_wrong, outcome.died), (0, 0, 0));
    for name in [
        "cut at a byte",
        "tidy end",
        "half open",
        "silence",
        "other address",
        "dead zone",
        "2G",
        "kill",
        "freeze",
    ] {
        assert!(outcome.times(name) > 0, "{name} did not happen: {:?}", outcome.troubles);
    }
    assert!(outcome.resumed > 0, "no session was resumed, of {}", outcome.sessions);
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_over_prosody_13() {
    nothing_is_lost_doubled_or_out_of_order_over(Kind::Prosody13);
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_over_ejabberd() {
    nothing_is_lost_doubled_or_out_of_order_over(Kind::Ejabberd);
}

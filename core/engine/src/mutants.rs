//! Deliberate mistakes, each one that somebody's client has made or that ours nearly did. The simulated world must catch
//! every one: a search that finds nothing is worth as much as what it would have found.
//!
//! They are compiled in with the feature `mutants` only, which nothing but the tests turns on; without it [`on`] is `false`
//! at compile time and nothing is left of them. Where one bites there is a line with its name.

#![cfg_attr(not(feature = "mutants"), allow(unreachable_pub, reason = "public with the feature only"))]

use std::borrow::Cow;

use minidom::Element;
use rusqlite::Transaction;
use whimbrel_proto::sm::StreamManagement;

use crate::error::Result;

macro_rules! mutants {
    ($($place:literal { $($name:ident: $mistake:literal,)+ })+) => {
        /// A deliberate mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[doc = $mistake] $name,)+)+
        }

        /// All of them.
        #[cfg(feature = "mutants")]
        pub const ALL: &[Mutant] = &[$($(Mutant::$name,)+)+];

        #[cfg(feature = "mutants")]
        impl Mutant {
            /// How it is called on a command line.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($name),)+)+
                }
            }

            /// What is done wrong, in a sentence.
            pub fn mistake(self) -> &'static str {
                match self {
                    $($(Self::$name => $mistake,)+)+
                }
            }

            /// The module in which it bites.
            pub fn place(self) -> &'static str {
                match self {
                    $($(Self::$name => $place,)+)+
                }
            }
        }
    };
}

mutants! {
    "turn" {
        EffectsBeforeCommit: "Effects are released although the commit failed, and nobody stops.",
        HaltForEver: "What the world's failure stopped does not go on by itself.",
        LeaseNotChecked: "A transaction begins although somebody else has raised the lease.",
        BatchDroppedAfterBug: "Of a batch that hit a bug only the first input runs again.",
    }
    "account" {
        AckBeforeCommit: "When the world fails, what was handled in memory is acknowledged before hanging up.",
        HandledMovesOnFullDisk: "After a rollback the counters are those of the step that was rolled back.",
        MemoryKeptAfterRollback: "After a rollback the session goes on from memory instead of from the file.",
        QuarantineNotCounted: "What goes into quarantine is not counted as handled.",
        IqNotCounted: "An iq does not move `h`.",
        PresenceNotCounted: "A presence does not move `h`.",
        TooMuchNotCounted: "What was too large to be built does not move `h`.",
        MessageCountedTwice: "A message moves `h` by two.",
        ReplayNotCounted: "What the server replays behind a resumption does not move `h`.",
        HandledNotSaved: "`h` is written to the file only when something else of the session is.",
        OldLinkAccepted: "What an old link still had in its buffers is handled as if it came over the new one.",
        SilenceUnnoticed: "A link that swallows everything is never given up.",
    }
    "session" {
        ResumedWithOneTooMany: "The `h` of `<resume/>` is one above what was handled.",
        DroppedOnResumption: "Being resumed is taken for an acknowledgement of everything that was sent.",
        GapOpenedLater: "The gap is opened when the first answer comes, and not in the bind's transaction.",
        UncheckedForgotten: "A second resumption forgets from where the first one was unchecked.",
        NoBackOff: "Every attempt to connect follows at once.",
    }
    "outbox" {
        StaleAckBelieved: "An `h` below what was acknowledged before is taken for no news.",
        TooHighAckBelieved: "An `h` above what was sent acknowledges all of it.",
        AckedOneTooMany: "An `h` takes one more row out than it covers.",
        NotRequeued: "After a fresh bind what was in flight is taken for sent.",
        NotDoubted: "After a fresh bind a message goes out again without the archive being asked.",
        SentWhileInDoubt: "A message goes out again before the archive has answered.",
        DoubtOvertaken: "A message overtakes an earlier one to the same peer that is in doubt.",
        NumberedTakenByArchive: "An archive hit takes a row out that has its number in this session.",
        RenumberedOnResend: "A resend has a new number.",
        ChangedOnResend: "A resend has other bytes: another id.",
        ResendSkipsOne: "A resumption resends from one too high.",
        ResentBackwards: "A resumption resends in the wrong order.",
        NobodyBlamed: "A stanza that kills the stream each time is sent again for ever.",
    }
    "catch_up" {
        GapNotOpened: "A fresh bind opens no gap.",
        GapEditSkipped: "A page does not move the gap's edge.",
        GapClosedByCount: "The server's count closes the gap.",
        GapClosedByForgottenId: "A gap whose edge the server does not know any more is closed.",
        AskedBeforePresence: "The archive is asked before the presence, and `complete` believed.",
        ResultsUnordered: "What the archive knows stays where it stands, whatever its order says.",
        DroppedNotLookedFor: "Nobody asks what the server has dropped, not even once a day.",
        CheckedOnePageOnly: "Of what the server has dropped a page is fetched, and the rest not missed.",
        FailedPageNotAskedAgain: "A page that fails is never asked for again.",
    }
    "messages" {
        LiveClosesGap: "A live message closes the gap.",
        LiveMovesGap: "A live message moves the gap's edge up to itself.",
        DuplicateByOtherId: "A message that is archived a second time, under another id, is shown twice.",
        ReusedIdSwallowed: "An id that comes with another text is taken for a duplicate.",
        CarbonsDropped: "What another device of ours sends or receives is not stored.",
        OrderedByClock: "A live message stands where the phone's clock says.",
        FailureNotCorrected: "A failure of our own making stays although the archive has the message.",
        ReadGoesBack: "A read mark from another device moves ours back.",
    }
    "amendments" {
        EarlierAmendmentMissed: "What came before the message that it is about is never found.",
        FirstCorrectionWins: "Of several corrections the first is shown.",
        AnswerForgotten: "What a message answers is not kept.",
    }
    "roster" {
        PresenceNotRenewed: "What a device of a contact says anew of how it is there is not kept.",
        ContactsNotTold: "Who shows the list of contacts is not told that one has changed.",
    }
    "presence" {
        ShowForgottenByBind: "A new session says that we are there, and not how.",
        ShownOfflineNotSaid: "What is decided about our presence while there is no link is not said by a resumption.",
    }
    "read_position" {
        ReadTooFar: "What another device has read is all that is here.",
        ReadNotTold: "What is read while there is no link is told to nobody.",
        ReadNotSaidAgain: "A device that says less than was read is believed.",
    }
    "settings" {
        OlderDecisionAdopted: "Of two decisions the one that is heard of last counts.",
    }
    "own_nodes" {
        ListsNotComparedAgain: "Contacts and who is blocked are asked for once a session, whatever the server has dropped since.",
    }
    "iq" {
        AnswerLostWithSession: "A step of showing our card is not taken again where its answer went with the session.",
    }
    "person" {
        NamedBeforeData: "A picture is named before its data is published.",
        ShownNotSaidAgain: "What we show of ourselves and nobody has answered is not said again.",
        FirstNameStays: "What somebody calls themselves otherwise is not kept.",
    }
    "pubsub" {
        FollowedNotSaid: "What the app follows since the session began is said with the next one.",
        ToldUnasked: "The app is told of nodes that it does not follow.",
        RetractionNotTold: "The app is not told that an item was taken back.",
    }
    "feed" {
        TakenBackEntriesStay: "What is not in a feed any more stays here.",
    }
    "deletions" {
        SaidDeletedByItself: "What is said about a message is deleted by its own age.",
        DeletedForgotten: "Of what is deleted nothing stays by which another copy of it is known.",
    }
    "search" {
        UnindexedNotSearched: "What is not in the index yet is not found.",
    }
    "send" {
        CancelledIsSent: "What was cancelled before it left is sent all the same.",
    }
    "commands" {
        SendNotDeduplicated: "A send that the app repeats for want of an answer is a second message.",
        SendNotQueued: "What is sent while there is no link is shown, and never leaves.",
    }
}

/// Which is on, plus one; 0: none.
#[cfg(feature = "mutants")]
static ON: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Makes this mistake from now on, in the whole process; `None`: none.
#[cfg(feature = "mutants")]
pub fn switch_on(mutant: Option<Mutant>) {
    let code = mutant.map_or(0, |mutant| mutant as usize + 1);
    ON.store(code, std::sync::atomic::Ordering::Relaxed);
}

/// Whether this mistake is to be made.
#[cfg(feature = "mutants")]
pub(crate) fn on(mutant: Mutant) -> bool {
    ON.load(std::sync::atomic::Ordering::Relaxed) == mutant as usize + 1
}

/// Whether this mistake is to be made.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn on(_: Mutant) -> bool {
    false
}

/// SQL in which the mistake, if it is on, has put `wrong` in the place of `right`.
#[inline(always)]
pub(crate) fn sql<'a>(
    mutant: Mutant,
    sql: impl Into<Cow<'a, str>>,
    right: &str,
    wrong: &str,
) -> Cow<'a, str> {
    let sql = sql.into();
    if !on(mutant) {
        return sql;
    }
    assert!(sql.contains(right), "{mutant:?} does not bite any more");
    Cow::Owned(sql.replace(right, wrong))
}

/// What may leave next.
#[inline(always)]
pub(crate) fn queue(right: &str) -> Cow<'_, str> {
    let text = sql(Mutant::SentWhileInDoubt, right, "AND doubt = 0", "");
    sql(Mutant::DoubtOvertaken, text, "d.seq < o.seq", "0")
}

/// What a resumption sends again.
#[inline(always)]
pub(crate) fn resend(right: &str) -> Cow<'_, str> {
    let text = sql(Mutant::ResendSkipsOne, right, "number > ?1", "number > ?1 + 1");
    sql(Mutant::ResentBackwards, text, "ORDER BY number", "ORDER BY number DESC")
}

/// How often a stanza moves `h`.
#[inline(always)]
pub(crate) fn counts(element: &Element) -> u32 {
    match element.name() {
        "iq" if on(Mutant::IqNotCounted) => 0,
        "presence" if on(Mutant::PresenceNotCounted) => 0,
        "message" if on(Mutant::MessageCountedTwice) => 2,
        _ => 1,
    }
}

/// What is made of the server's `h`.
#[inline(always)]
pub(crate) fn ack(sm: &StreamManagement, h: u32) -> u32 {
    let below = |a: u32, b: u32| (a.wrapping_sub(b) as i32) < 0;
    let (acknowledged, sent) = (sm.acknowledged() as u32, sm.sent() as u32);
    if on(Mutant::StaleAckBelieved) && below(h, acknowledged) {
        acknowledged
    } else if on(Mutant::TooHighAckBelieved) && below(sent, h) {
        sent
    } else {
        h
    }
}

/// Whether a page closes its gap, by what it holds and by how many the server says there are.
#[inline(always)]
pub(crate) fn closes(seen: u32, count: Option<i64>) -> bool {
    on(Mutant::GapClosedByCount) && count.is_some_and(|count| count <= i64::from(seen))
}

/// What is sent again, under which number.
#[inline(always)]
pub(crate) fn resent(
    tx: &Transaction<'_>,
    sm: &mut Option<StreamManagement>,
    number: i64,
    bytes: Vec<u8>,
) -> Result<(i64, Vec<u8>)> {
    if let (true, Some(sm)) = (on(Mutant::RenumberedOnResend), sm) {
        let next = sm.number_next() as i64;
        tx.execute("UPDATE outbox SET number = ?2 WHERE number = ?1", [number, next])?;
        return Ok((next, bytes));
    }
    if on(Mutant::ChangedOnResend) {
        let (kind, name): (i64, Option<String>) =
            tx.query_row("SELECT kind, name FROM outbox WHERE number = ?1", [number], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if let (0, Some(name)) = (kind, name) {
            let changed = String::from_utf8_lossy(&bytes).replace(&name, &format!("{name}-again"));
            return Ok((number, changed.into_bytes()));
        }
    }
    Ok((number, bytes))
}

/// A live message came that our archive has under this id.
#[inline(always)]
pub(crate) fn live(tx: &Transaction<'_>, id: &str) -> Result<()> {
    if on(Mutant::LiveClosesGap) {
        tx.execute("DELETE FROM gap WHERE kind = 0", [])?;
    }
    if on(Mutant::LiveMovesGap) {
        tx.execute("UPDATE gap SET after_id = ?1 WHERE kind = 0", [id])?;
    }
    Ok(())
}

/// A stanza with this element anywhere inside is one that our own code fails on, each time: so that a simulated server has a
/// bug of ours to hit. Its name and its namespace.
pub const POISON: (&str, &str) = ("poison", "urn:whimbrel:poison");

/// The bug that a poisonous stanza hits.
#[inline(always)]
pub(crate) fn poisoned(element: &Element) -> Result<()> {
    if !cfg!(feature = "mutants") {
        return Ok(());
    }
    if element.is(POISON.0, POISON.1) {
        return Err(crate::Error::bug("poison"));
    }
    element.children().try_for_each(poisoned)
}

//! The table at the end (API.md, "Figures").

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use interop::{Tally, number};

use super::phone::Handset;
use crate::Result;

#[derive(Debug, Default)]
pub(crate) struct Figures {
    sent: usize,
    received: usize,
    lost: usize,
    doubled: usize,
    out_of_order: usize,
    reconnected: usize,
    resumed: usize,
    after_kill: usize,
    resumed_after_kill: usize,
    round_trips: usize,
    round_trips_first: usize,
    refusals: BTreeMap<String, usize>,
    missing: Vec<String>,
    /// Own messages that do not stand exactly once on the own screen.
    own_wrong: usize,
    took: Duration,
}

impl Figures {
    pub(crate) fn take(phones: &[&Arc<Handset>; 2], took: Duration) -> Result<Figures> {
        let mut figures = Figures { took, ..Figures::default() };
        for (sender, receiver) in [(phones[0], phones[1]), (phones[1], phones[0])] {
            figures.compare(sender, receiver)?;
            figures.sessions(sender);
        }
        Ok(figures)
    }

    fn compare(&mut self, sender: &Handset, receiver: &Handset) -> Result<()> {
        let accepted = sender.seen().accepted.clone();
        let sent: Vec<u32> = accepted.iter().filter_map(|text| number(sender.name, text)).collect();
        let timeline = receiver.timeline()?;
        let theirs = timeline.iter().filter(|(mine, _)| !mine);
        let arrived: Vec<u32> = theirs.filter_map(|(_, text)| number(sender.name, text)).collect();
        let tally = Tally::of(&sent, &arrived);
        self.sent += tally.sent;
        self.received += tally.arrived;
        self.lost += tally.lost.len();
        self.doubled += tally.doubled;
        self.out_of_order += tally.out_of_order;
        self.missing.extend(tally.lost.iter().map(|number| format!("{} {number}", sender.name)));

        let shown = sender.timeline()?;
        let own = shown.iter().filter(|(mine, _)| *mine);
        let own: Vec<u32> = own.filter_map(|(_, text)| number(sender.name, text)).collect();
        let own = Tally::of(&sent, &own);
        self.own_wrong += own.lost.len() + own.doubled;
        Ok(())
    }

    fn sessions(&mut self, phone: &Handset) {
        let seen = phone.seen();
        for (at, session) in seen.sessions.iter().enumerate() {
            if at == 0 {
                self.round_trips_first = self.round_trips_first.max(session.round_trips);
                continue;
            }
            self.reconnected += 1;
            self.resumed += usize::from(session.resumed);
            if session.after_start {
                self.after_kill += 1;
                self.resumed_after_kill += usize::from(session.resumed);
            }
            if session.mechanism.starts_with("HT-") {
                self.round_trips = self.round_trips.max(session.round_trips);
            }
            if !session.resumed {
                let why = session.refused.clone().unwrap_or_else(|| "no reason given".into());
                *self.refusals.entry(why).or_default() += 1;
            }
        }
    }

    /// Whether everything that was sent is on the other's screen.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost == 0
    }

    /// Why the run counts as failed. A server that was restarted has forgotten its sessions, which is no fault of theirs.
    pub(crate) fn verdict(&self, server_restarted: bool) -> std::result::Result<(), String> {
        if self.lost + self.doubled + self.out_of_order > 0 {
            return Err("messages were lost, doubled or put out of order".into());
        }
        if self.own_wrong > 0 {
            return Err(format!(
                "{} own messages do not stand on the own screen exactly once",
                self.own_wrong
            ));
        }
        // Of a few sessions one is more than 5 in 100, and Prosody gives up one that was cut in the middle of a stanza.
        let bound_anew = self.reconnected - self.resumed;
        if bound_anew > (self.reconnected * 5 / 100).max(1) && !server_restarted {
            return Err("fewer than 95 in 100 sessions were resumed".into());
        }
        Ok(())
    }

    pub(crate) fn print(&self, phones: &[&Arc<Handset>; 2]) {
        let connections: usize = phones.iter().map(|phone| phone.link.connection_count()).sum();
        let kills: usize = phones.iter().map(|phone| phone.seen().kills).sum();
        println!();
        println!("  sent                 {:>5}   messages that the sender's phone had accepted", self.sent);
        println!("  received             {:>5}   of them on the other's screen", self.received);
        println!("  lost                 {:>5}", self.lost);
        println!("  doubled              {:>5}", self.doubled);
        println!("  out of order         {:>5}", self.out_of_order);
        println!(
            "  reconnected          {:>5}   sessions after each phone's first, over {connections} connections",
            self.reconnected
        );
        println!("  resumed              {:>5}", self.resumed);
        println!(
            "  resumed after kill   {:>5}   of {} ({kills} kills)",
            self.resumed_after_kill, self.after_kill
        );
        println!("  round trips          {:>5}   after TLS, at most, with a token", self.round_trips);
        println!("  round trips, first   {:>5}   after TLS, the first login", self.round_trips_first);
        for (why, count) in &self.refusals {
            println!("  not resumed          {count:>5}   {why}");
        }
        for message in self.missing.iter().take(20) {
            println!("  missing                      {message}");
        }
        println!("  took                 {:>5.0} s", self.took.as_secs_f64());
        println!();
    }

    /// The last line, in the order of API.md.
    pub(crate) fn json(&self) -> String {
        format!(
            "{{\"sent\":{},\"received\":{},\"lost\":{},\"doubled\":{},\"out_of_order\":{},\"reconnected\":{},\"resumed\":{},\
             \"resumed_after_kill\":{},\"round_trips\":{},\"round_trips_first\":{}}}",
            self.sent,
            self.received,
            self.lost,
            self.doubled,
            self.out_of_order,
            self.reconnected,
            self.resumed,
            self.resumed_after_kill,
            self.round_trips,
            self.round_trips_first
        )
    }
}

//! What our devices tell each other: private nodes of our own account (XEP-0223), each with an item for each contact.
//!
//! What is to be told is a row until the server has it, whatever happens to the link or the process (`read_position.rs`,
//! `settings.rs`). A new session first asks what a node says: what happened here while we were away may be older than what
//! another device has told meanwhile. What nobody answers is asked and told again later, ever more seldom. While much happens it is
//! told once every few seconds. It is told under conditions
//! (whitelist), or not at all: whom we write with is nobody's business.

use minidom::Element;
use rusqlite::params;
use serde::{Deserialize, Serialize};
use whimbrel_proto::{ns, pubsub, write::Tag};

use crate::{
    account::{Account, Cx, Nodes},
    api::NodeOptions,
    error::Result,
    iq::{self, AGAIN, DOUBLINGS, NO_ANSWER, Pending},
    mutants::{self, Mutant},
    pubsub::{Publish, Question, Reason},
};

/// How often our devices are told, in ms.
const PACE: u64 = 5_000;
/// How often a session says again what somebody else has taken back.
const REPAIRS: usize = 20;
/// Items of a page, and pages that are asked for.
const PAGE: u32 = 100;
const PAGES: u32 = 50;

/// Which of these nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OwnNode {
    /// How far conversations were read (XEP-0490).
    Displayed,
    /// How conversations are set (`settings.rs`).
    Settings,
}

impl OwnNode {
    const ALL: [Self; 2] = [Self::Displayed, Self::Settings];

    const fn name(self) -> &'static str {
        match self {
            Self::Displayed => ns::DISPLAYED,
            Self::Settings => ns::SETTINGS,
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|node| node.name() == name)
    }
}

impl Account {
    /// At once, or so long after the last time as is polite.
    pub(crate) fn tell_soon(&mut self, cx: &Cx<'_>) {
        let earliest = self.telling.told.map_or(0, |told| told + PACE);
        let soon = earliest.max(cx.now.mono);
        self.telling.due = Some(self.telling.due.map_or(soon, |due| due.min(soon)));
    }

    /// If there is anything that waited for something else.
    pub(crate) fn tell_what_is_due(&mut self, cx: &Cx<'_>) -> Result<()> {
        let any = "SELECT EXISTS (SELECT 1 FROM displayed WHERE due <> 0 AND due & 1)";
        if cx.tx.prepare_cached(any)?.query_row([], |row| row.get(0))? {
            self.tell_soon(cx);
        }
        Ok(())
    }

    fn tell_later(&mut self, cx: &Cx<'_>) {
        // Counted once for all that was asked and told together.
        if self.telling.due.is_none() {
            let wait = AGAIN << self.telling.unanswered.min(DOUBLINGS);
            self.telling.due = Some(cx.now.mono + wait);
            self.telling.unanswered += 1;
        }
    }

    /// Tells our devices what they do not know yet, if it is time to.
    pub(crate) fn tell_devices(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.telling.due.is_none_or(|due| cx.now.mono < due) {
            return Ok(());
        }
        self.tell_devices_now(cx)
    }

    pub(crate) fn tell_devices_now(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.telling.due = None;
        if self.login.nodes != Some(Nodes::WithConditions) {
            return Ok(());
        }
        for node in OwnNode::ALL {
            // What the node says comes first, to its end.
            let is_asked: bool = cx
                .tx
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM pending WHERE json_extract(what, '$.Node.Own.node') = ?1)",
                )?
                .query_row(params![format!("{node:?}")], |row| row.get(0))?;
            if is_asked {
                continue;
            }
            let is_this =
                |what: &Pending| matches!(what, Pending::Node(Question::Own { node: of, .. }) if *of == node);
            if !iq::take_later(cx, is_this)?.is_empty() {
                self.ask_own_node(cx, node, 1, None)?;
                continue;
            }
            match node {
                OwnNode::Displayed => self.tell_read(cx)?,
                OwnNode::Settings => self.tell_settings(cx)?,
            }
        }
        Ok(())
    }

    /// Tells one thing of a conversation.
    pub(crate) fn tell(&mut self, cx: &mut Cx<'_>, node: OwnNode, with: &str, payload: Tag) -> Result<()> {
        self.telling.told = Some(cx.now.mono);
        let publish = Publish {
            owner: None,
            node: node.name().to_owned(),
            id: Some(with.to_owned()),
            payload: payload.finish(),
            options: NodeOptions::private(),
            reason: Reason::Own { node, with: with.to_owned() },
        };
        match self.publish(cx, publish)? {
            Ok(_) => Ok(()),
            Err(_) => self.were_told(cx, node, with, Some("policy-violation")),
        }
    }

    /// The server has it, or does not want it. What was not answered is told again after a while, or with what comes next; what was
    /// refused is not.
    pub(crate) fn were_told(
        &mut self,
        cx: &mut Cx<'_>,
        node: OwnNode,
        with: &str,
        condition: Option<&str>,
    ) -> Result<()> {
        match condition {
            Some(NO_ANSWER) => self.tell_later(cx),
            _ => self.telling.unanswered = 0,
        }
        // What came behind it is on its way, and says more.
        if self.is_on_its_way(cx, node, with)? {
            return Ok(());
        }
        match node {
            OwnNode::Displayed => self.read_was_told(cx, with, condition),
            OwnNode::Settings => self.settings_were_told(cx, with, condition),
        }
    }

    fn is_on_its_way(&self, cx: &Cx<'_>, node: OwnNode, with: &str) -> Result<bool> {
        let reason = serde_json::to_string(&Reason::Own { node, with: with.to_owned() })?;
        Ok(cx
            .tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM pending WHERE instr(what, ?1) > 0)")?
            .query_row(params![reason], |row| row.get(0))?)
    }

    /// Whether this may be said again: with whom, over which word. Of each once, so that devices that do not agree do not go on for ever.
    pub(crate) fn may_repair(&self, repair: &(String, String)) -> bool {
        self.telling.repaired.len() < REPAIRS && !self.telling.repaired.contains(repair)
    }

    /// A new session: what was under way may not have arrived, and what the nodes say has to be asked.
    pub(crate) fn own_nodes_begin_anew(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        cx.tx.execute("UPDATE displayed SET due = 1, said = NULL WHERE due <> 0", [])?;
        cx.tx.execute("UPDATE conversation SET settings_due = 1 WHERE settings_due = 2", [])?;
        self.telling.repaired.clear();
        self.ask_own_nodes(cx)
    }

    /// The archive was compared: what stands where is known again, and news may have been dropped as messages were.
    pub(crate) fn ask_after_check(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let owed = iq::take_later(cx, |what| matches!(what, Pending::Lists))?;
        if owed.is_empty() { Ok(()) } else { self.ask_lists(cx) }
    }

    /// Asks for what the server may have dropped besides messages.
    pub(crate) fn ask_lists(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.telling.repaired.clear();
        if !mutants::on(Mutant::ListsNotComparedAgain) {
            self.ask_blocklist(cx)?;
            self.read_roster_again(cx)?;
        }
        self.ask_own_nodes(cx)
    }

    pub(crate) fn ask_own_nodes(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.login.nodes != Some(Nodes::WithConditions) {
            return Ok(());
        }
        iq::take_later(cx, Pending::is_about_an_own_node)?;
        OwnNode::ALL.into_iter().try_for_each(|node| self.ask_own_node(cx, node, 1, None))
    }

    fn ask_own_node(&mut self, cx: &mut Cx<'_>, node: OwnNode, page: u32, after: Option<&str>) -> Result<()> {
        let pending = Pending::Node(Question::Own { node, page });
        self.ask(cx, &pending, "get", None, pubsub::page(node.name(), PAGE, after)).map(drop)
    }

    /// What a node says; nothing where there is none yet, or nobody says.
    pub(crate) fn own_node_answered(
        &mut self,
        cx: &mut Cx<'_>,
        node: OwnNode,
        page: u32,
        answer: Option<&Element>,
    ) -> Result<()> {
        let (items, next) = answer.map(crate::pubsub::read_page).unwrap_or_default();
        self.take_items(cx, node, &items)?;
        match next.filter(|_| page < PAGES) {
            Some(next) => self.ask_own_node(cx, node, page + 1, Some(&next)),
            None => {
                self.tell_soon(cx);
                Ok(())
            }
        }
    }

    /// Another device of ours has told this, or this one.
    pub(crate) fn told_elsewhere(
        &mut self,
        cx: &mut Cx<'_>,
        node: OwnNode,
        items: &[pubsub::Item<'_>],
    ) -> Result<()> {
        // What is told anew goes to the node's end, and shifts what follows it: a page behind the first may have missed something.
        let later_page =
            "SELECT EXISTS (SELECT 1 FROM pending WHERE json_extract(what, '$.Node.Own.node') = ?1
             AND json_extract(what, '$.Node.Own.page') > 1)";
        let name = format!("{node:?}");
        if cx.tx.prepare_cached(later_page)?.query_row(params![name], |row| row.get(0))? {
            self.ask_behind(cx, Pending::Node(Question::Own { node, page: 1 }))?;
        }
        self.take_items(cx, node, items)
    }

    fn take_items(&mut self, cx: &mut Cx<'_>, node: OwnNode, items: &[pubsub::Item<'_>]) -> Result<()> {
        items.iter().try_for_each(|item| match node {
            OwnNode::Displayed => self.displayed_elsewhere(cx, item),
            OwnNode::Settings => self.set_elsewhere(cx, item),
        })
    }
}

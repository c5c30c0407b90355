//! What somebody is, can do and does for us: service discovery (XEP-0030), ad-hoc commands (XEP-0050), and whatever else an app asks.
//!
//! Each question waits for its answer, from whom it went to and from nobody else (see [`crate::iq`]), in this session and no
//! longer than any question does. Nothing of an answer is kept, and nothing that it says is believed of anybody.

use jid::Jid;
use minidom::Element;
use serde::{Deserialize, Serialize};
use whimbrel_proto::{
    adhoc::{self, CommandStage},
    disco::{self, Entities, Info},
    ns, pubsub,
};

use crate::{
    account::{Account, Cx},
    api::{Ask, Error, Reply, RequestId, RequestKind},
    commands::one_element,
    error::Result,
    iq::{Pending, odd, refused},
    outbox::Kind,
    pubsub::own_affiliations,
};

/// So many of what belongs to somebody are asked for at once.
const PAGE: u32 = 200;
/// Room for what stands around a payload, in bytes.
const AROUND: u64 = 8 * 1_024;

/// What was asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    Info,
    Items,
    Subscriptions { node: Option<String> },
    Affiliations { node: Option<String> },
    Command,
    Anything,
}

impl Account {
    /// What the app asks of a service. It waits for the answer.
    pub(crate) fn ask_service(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        of: &Jid,
        what: &Ask,
    ) -> Result<()> {
        let asked = if self.online().is_none() {
            Err(Error::Offline)
        } else {
            match question(what) {
                Ok((_, _, payload)) if payload.len() as u64 + AROUND > self.max_stanza() => {
                    Err(Error::InvalidInput { what: "it is larger than the server takes".into() })
                }
                Ok((question, kind, payload)) => {
                    let pending = Pending::Service(question);
                    Ok(self.ask_xml(cx, Kind::Iq, &pending, kind, Some(of.as_str()), &payload)?)
                }
                Err(error) => Err(error),
            }
        };
        self.wait_for(cx, request, asked);
        Ok(())
    }

    /// An answer of a service, or the condition of its refusal.
    pub(crate) fn service_answered(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        question: Question,
        answer: std::result::Result<&Element, &str>,
    ) {
        if let Some(request) = self.waiting.asked.remove(id) {
            let reply = match answer {
                Ok(element) => read(question, element),
                Err(condition) => Err(refused(cx, condition)),
            };
            cx.reply(request, reply);
        }
    }
}

fn question(what: &Ask) -> std::result::Result<(Question, &'static str, String), Error> {
    Ok(match what {
        Ask::Info { node } => (Question::Info, "get", disco::info(node.as_deref()).finish()),
        Ask::Items { node, after } => {
            (Question::Items, "get", disco::items(node.as_deref(), PAGE, after.as_deref()).finish())
        }
        Ask::Subscriptions { node } => {
            let payload = pubsub::ours("subscriptions", node.as_deref()).finish();
            (Question::Subscriptions { node: node.clone() }, "get", payload)
        }
        Ask::Affiliations { node } => {
            let payload = pubsub::ours("affiliations", node.as_deref()).finish();
            (Question::Affiliations { node: node.clone() }, "get", payload)
        }
        Ask::Command { node, action, session, form } => {
            let form = form.as_ref().map(|form| form.answer()).transpose()?;
            let step = adhoc::command(node, *action, session.as_deref(), form);
            (Question::Command, "set", step.finish())
        }
        Ask::Anything { kind, payload } => {
            let payload = one_element(payload).map_err(|what| Error::InvalidInput { what })?;
            let kind = match kind {
                RequestKind::Get => "get",
                RequestKind::Set => "set",
            };
            (Question::Anything, kind, String::from(&payload))
        }
    })
}

fn read(question: Question, element: &Element) -> std::result::Result<Reply, Error> {
    Ok(match question {
        Question::Info => {
            Reply::Info(Info::read(element.get_child("query", ns::DISCO_INFO).ok_or_else(odd)?))
        }
        Question::Items => {
            Reply::Entities(Entities::read(element.get_child("query", ns::DISCO_ITEMS).ok_or_else(odd)?))
        }
        Question::Subscriptions { node } => {
            Reply::Subscriptions(pubsub::subscriptions(element, ns::PUBSUB, node.as_deref()).ok_or_else(odd)?)
        }
        Question::Affiliations { node } => {
            Reply::OwnAffiliations(own_affiliations(element, node.as_deref()).ok_or_else(odd)?)
        }
        Question::Command => Reply::Stage(element.children().find_map(CommandStage::read).ok_or_else(odd)?),
        Question::Anything => Reply::Answer(element.children().next().map(String::from)),
    })
}

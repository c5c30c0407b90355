//! What users show of themselves, a picture and a name, and what their apps publish and are told of.

use rand::{Rng, seq::IndexedRandom};
use whimbrel_engine::{
    Effect, Input,
    api::{Command, Event, ItemId, NodeAction, NodeItem, NodeOptions, Picture},
};
use whimbrel_proto::ns;

use super::World;
use crate::{
    device::{Asked, User, Wish},
    judge::{Failure, wanted},
    server::{self, STAGE},
};

impl World {
    /// The user shows another picture of so many bytes behind its first line, or none.
    pub(super) fn shows_another_picture(&mut self, device: usize, bytes: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let name = format!("{}.picture{}", phone.name, phone.user.changes());
        let name = if bytes == 0 { String::new() } else { name };
        let picture = (bytes > 0).then(|| Picture {
            kind: "image/png".into(),
            bytes: format!("{name}\n{}", ".".repeat(bytes)).into_bytes(),
        });
        let done = self.asks_now(device, Asked::Other, Command::SetAvatar { picture });
        self.devices[device].user.pictures.push(Wish { what: name, done });
    }

    pub(super) fn is_called_otherwise(&mut self, device: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let name = format!("{}.nick{}", phone.name, phone.user.changes());
        let name = if phone.rng.random_ratio(1, 5) { String::new() } else { name };
        let done = self.asks_now(device, Asked::Other, Command::SetNickname { name: name.clone() });
        self.devices[device].user.nicknames.push(Wish { what: name, done });
    }

    /// The app wants to hear of nodes, or no more.
    pub(super) fn follows(&mut self, device: usize, on: bool) {
        if self.devices[device].engine.is_none() {
            return;
        }
        let done = self.asks_now(device, Asked::Other, Command::Follow { node: STAGE.into(), on });
        let now = self.now;
        let user = &mut self.devices[device].user;
        user.follows.push(Wish { what: on, done });
        user.followed_since = now;
    }

    /// The app publishes something, or something else in its place, or takes it back.
    pub(super) fn publishes(&mut self, device: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let text = format!("{}.scene{}", phone.name, phone.user.changes());
        let published: Vec<ItemId> = phone.user.scenes.iter().map(|scene| scene.what.0.clone()).collect();
        let (id, text) = match published.choose(&mut phone.rng).filter(|_| phone.rng.random()) {
            Some(id) => (id.clone(), phone.rng.random::<bool>().then_some(text)),
            None => (User::names(&mut phone.rng), Some(text)),
        };
        let action = match &text {
            Some(text) => NodeAction::Publish {
                id: Some(id.0.clone()),
                payload: format!("<scene xmlns='{STAGE}' text='{text}'/>"),
                options: NodeOptions::public(),
            },
            None => NodeAction::Retract { id: id.0.clone() },
        };
        let number = phone.user.scenes.len();
        phone.user.scenes.push(Wish { what: (id, text), done: false });
        let command = Command::Node { owner: None, node: STAGE.into(), action };
        self.asks(device, Asked::Scene(number), command);
    }

    /// The app is told what happened to a node.
    pub(super) fn hears(&mut self, device: usize, event: &Event) {
        let told = told(event);
        if told.is_empty() {
            return;
        }
        let user = &self.devices[device].user;
        if wanted(false, user.follows.iter().cloned()) == [false].into() {
            let what = format!("{event:?}");
            return self.fail(Failure::ToldUnasked { device, what });
        }
        for (of, id, text) in told {
            if text.as_ref().is_some_and(|text| !self.server.has_published(of, &id, text)) {
                let (heard, told) = (format!("{text:?}"), "nothing of the kind".to_owned());
                return self.fail(Failure::HeardOtherwise { device, of, id, heard, told });
            }
            self.devices[device].user.heard.insert((of, id), text);
        }
    }

    /// What the app was to be told with this it is not told any more: its process has died.
    pub(super) fn hears_nothing_of(&mut self, device: usize, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Event(event) = effect {
                let keys = told(event).into_iter().map(|(of, id, _)| (of, id));
                self.devices[device].user.unheard.extend(keys);
            }
        }
    }
}

/// Whose items of the nodes that apps follow the server tells of, or takes back.
pub(super) fn coming(inputs: &[Input]) -> Vec<(usize, String)> {
    let of_input = |input: &Input| {
        let Input::Element { element, .. } = input else { return None };
        let items = element.get_child("event", ns::PUBSUB_EVENT)?.get_child("items", ns::PUBSUB_EVENT)?;
        let of = server::account_of(element.attr("from")?).filter(|_| items.attr("node") == Some(STAGE))?;
        Some(
            items
                .children()
                .filter_map(move |item| Some((of, item.attr("id")?.to_owned())))
                .collect::<Vec<_>>(),
        )
    };
    inputs.iter().filter_map(of_input).flatten().collect()
}

/// What an event says of the nodes that apps follow: whose, which item, and what it says.
fn told(event: &Event) -> Vec<(usize, String, Option<String>)> {
    let said = |item: &NodeItem| item.payload.as_deref().and_then(server::played);
    match event {
        Event::Published { from, node, items } if node == STAGE => {
            let of = server::account_of(from.as_str());
            items.iter().filter_map(|item| Some((of?, item.id.clone(), Some(said(item)?)))).collect()
        }
        Event::Retracted { from, node, ids } if node == STAGE => {
            let of = server::account_of(from.as_str());
            ids.iter().filter_map(|id| Some((of?, id.clone(), None))).collect()
        }
        _ => Vec::new(),
    }
}

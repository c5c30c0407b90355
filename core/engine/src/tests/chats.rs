//! Golden chats: conversations as an archive has them, and how they are to look (`chats/*.xml`, `chats/*.txt`).
//!
//! Each is played live, read at the first sign-in, read backwards in small pages, and half of it live with the rest missed: what is
//! shown is the same text each time. After a change that is meant, `UPDATE_EXPECT=1 cargo test -p whimbrel-engine chats` writes
//! the new text, to be read as a user would before it is kept.

use std::fmt::Write as _;

use expect_test::{ExpectFile, expect_file};
use whimbrel_proto::text::{Span, Style};

use super::{amendments::new_id, *};
use crate::api::{self, Message};

const MINUTE: i64 = 60_000;

/// What the archive has. Each message has the minutes in `after` that have passed since the one before it.
fn chat(xml: &str) -> Vec<Archived> {
    let root: Element = xml.parse().unwrap();
    let mut at = START;
    let archived = |(number, message): (usize, &Element)| {
        let after = message.attr("after").unwrap_or("1");
        at += after.parse::<i64>().unwrap() * MINUTE;
        let message = String::from(message).replace(&format!(" after='{after}'"), "");
        Archived { id: format!("c{number}"), at, message }
    };
    root.children().enumerate().map(archived).collect()
}

impl Archived {
    /// As it comes to a device that is online: what another device of ours has sent as a carbon (XEP-0280).
    fn live(&self) -> String {
        let stanza_id = format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='{}'/></message>", self.id);
        let end = self.message.rfind("</message>").unwrap();
        let message = self.message[..end].to_owned() + &stanza_id;
        let ours = element(&message).attr("from").is_some_and(|from| from.starts_with(OWN));
        if ours { carbon(OWN, "sent", &message) } else { message }
    }
}

impl World {
    /// Signed in for the first time when the archive had this, and scrolled to its beginning.
    fn has_read(archive: &[Archived], page: usize) -> Self {
        let mut world = Self::new();
        world.server.archive = archive.to_vec();
        world.server.page = page;
        if let Some(last) = archive.last() {
            world.now.wall = last.at;
        }
        world.connect();
        world.serve();
        for _ in 0..archive.len() {
            world.does(Command::Older);
            world.serve();
            world.acknowledge();
        }
        world
    }

    /// Online while these come.
    fn hears(&mut self, messages: &[Archived]) {
        for message in messages {
            self.now.wall = message.at;
            self.gets(&message.live());
        }
    }

    /// The conversation with Juliet, a paragraph for each message.
    fn drawn(&self) -> String {
        let mut text = String::new();
        for item in self.items_with(JULIET) {
            match item {
                Item::Message(message) => draw(&mut text, &message),
                Item::Gap(gap) => writeln!(text, "-- {:?}", gap.kind).unwrap(),
            }
        }
        text
    }
}

fn draw(text: &mut String, message: &Message) {
    let at = stamp::format(message.at);
    if message.starts_day {
        writeln!(text, "=== {}", &at[..10]).unwrap();
    }
    if message.starts_group {
        writeln!(text, "--- {} {}", message.from.node().unwrap(), &at[11..16]).unwrap();
    }
    let marks = [
        (message.is_action, "action"),
        (message.emoji_only, "emoji only"),
        (message.edited, "edited"),
        (message.retracted, "retracted"),
        (message.placeholder, "placeholder"),
    ];
    let marks = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark.to_owned());
    let mut marks: Vec<String> = marks.collect();
    let waits = |state: &SendState| match state {
        SendState::Queued => Some("queued".to_owned()),
        SendState::Failed { reason } => Some(format!("failed: {reason}")),
        _ => None,
    };
    marks.extend(message.state.as_ref().and_then(waits));
    if let Some(change) = &message.change {
        let kind = format!("{:?}", change.kind).to_lowercase();
        marks.extend(waits(&change.state).map(|state| format!("{kind} {state}")));
    }
    if let Some(hint) = &message.spoiler {
        writeln!(text, "spoiler: {hint}").unwrap();
    }
    if let Some(thread) = &message.thread {
        writeln!(text, "thread: {}", thread.id).unwrap();
    }
    if let Some(reply) = &message.reply {
        let here = if reply.id.is_some() { "" } else { " (which is not here)" };
        writeln!(text, "> {}{here}", reply.quote.as_deref().unwrap_or_default()).unwrap();
    }
    writeln!(text, "{}", with_spans(&message.text, &message.spans)).unwrap();
    for link in &message.links {
        writeln!(text, "link: {} {}", link.url, link.description.as_deref().unwrap_or_default()).unwrap();
    }
    for preview in &message.previews {
        writeln!(text, "preview: {} {}", preview.url, preview.title.as_deref().unwrap_or_default()).unwrap();
    }
    let feel = |reaction: &crate::api::Reaction| {
        format!("{} {}{}", reaction.text, reaction.count, if reaction.mine { ", ours too" } else { "" })
    };
    if !message.reactions.is_empty() {
        let reactions: Vec<String> = message.reactions.iter().map(feel).collect();
        writeln!(text, "[{}]", reactions.join("] [")).unwrap();
    }
    if let Some(written) = message.written_at {
        writeln!(text, "(written {})", stamp::format(written)).unwrap();
    }
    if !marks.is_empty() {
        writeln!(text, "({})", marks.join(", ")).unwrap();
    }
    text.push('\n');
}

/// Each span in brackets, with its name before the first.
fn with_spans(text: &str, spans: &[Span]) -> String {
    let mut signs: Vec<(usize, usize, String)> = Vec::new();
    for (number, span) in spans.iter().enumerate() {
        let name = match &span.style {
            Style::Directive => "".to_owned(),
            Style::Link { url } => format!("link {url} "),
            Style::Mention { whom } => format!("mention {whom} "),
            Style::Location(location) => format!("{location:?} "),
            style => format!("{style:?} ").to_lowercase(),
        };
        signs.push((span.range.start, spans.len() + number, format!("⟨{name}")));
        signs.push((span.range.end, spans.len() - 1 - number, "⟩".to_owned()));
    }
    signs.sort();
    let (mut drawn, mut done) = (String::new(), 0);
    for (at, _, sign) in signs {
        drawn += &text[done..at];
        drawn += &sign;
        done = at;
    }
    drawn + &text[done..]
}

fn plays(xml: &str, expected: ExpectFile) {
    let chat = chat(xml);
    let golden = World::has_read(&chat, 50).drawn();
    expected.assert_eq(&golden);
    for page in [1, 2, 3] {
        assert_eq!(World::has_read(&chat, page).drawn(), golden, "backwards, {page} at a time");
    }
    for heard in 0..=chat.len() {
        let (live, rest) = chat.split_at(heard);
        let mut world = World::online();
        world.hears(live);
        world.server.archive = chat.clone();
        if !rest.is_empty() {
            world.cut();
            world.now.wall = rest.last().unwrap().at;
            world.reconnect(Resume::Refuse);
            world.serve();
        }
        assert_eq!(world.drawn(), golden, "{heard} live, the rest missed");
    }
}

/// What is done while nothing can leave, and how it looks meanwhile and afterwards.
#[test]
fn send_queue() {
    let mut world = World::online();
    let mut told = String::new();
    let mut tells = |when: &str, world: &World| write!(told, "# {when}\n\n{}", world.drawn()).unwrap();
    world.gets(&live(1));
    let asked = match world.items_with(JULIET).pop() {
        Some(Item::Message(message)) => message.id,
        other => panic!("{other:?}"),
    };
    let sent = world.says("It is the east");
    world.acknowledge();
    world.cut();
    let (soft, light) = (world.says("But soft"), world.says("what light"));
    let late = api::Outgoing { not_after: Some(world.now.wall + 1_000), ..api::Outgoing::from("Arise") };
    world.does(Command::Send { id: new_id(1), to: juliet(), what: late });
    let answer = api::Outgoing { reply_to: Some(asked.clone()), ..api::Outgoing::from("Two") };
    world.does(Command::Send { id: new_id(2), to: juliet(), what: answer });
    tells("nothing can leave", &world);
    world.does(Command::Edit { id: new_id(3), message: soft, text: "But soft!".into() });
    world.does(Command::Edit {
        id: new_id(4),
        message: sent.clone(),
        text: "It is the east, and she is the sun".into(),
    });
    world.does(Command::Retract { id: new_id(5), message: light });
    world.does(Command::React { id: new_id(6), message: asked, reactions: vec!["\u{1f339}".into()] });
    tells("two were changed and one was taken back, and a reaction", &world);
    world.pass(2_000);
    tells("one is too late", &world);
    world.reconnect(Resume::Accept);
    world.serve();
    world.acknowledge();
    tells("all has left that was to leave", &world);
    world.gets(&bounce(&new_id(2), "service-unavailable"));
    world.does(Command::Retry { message: new_id(1) });
    tells("one came back, and the late one is tried again", &world);
    expect_file!["chats/send_queue.txt"].assert_eq(&told);
}

#[test]
fn balcony() {
    plays(include_str!("chats/balcony.xml"), expect_file!["chats/balcony.txt"]);
}

#[test]
fn second_thoughts() {
    plays(include_str!("chats/second_thoughts.xml"), expect_file!["chats/second_thoughts.txt"]);
}

#[test]
fn forged_thoughts() {
    plays(include_str!("chats/forged_thoughts.xml"), expect_file!["chats/forged_thoughts.txt"]);
}

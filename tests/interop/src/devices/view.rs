//! What a device makes of the conversation, in a form in which all can be compared.
//!
//! Each text begins with the number of its message, whoever edits it. So what was retracted cannot be told apart: it is counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::script::{Number, Side};

/// One message that is there and was not retracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    by: Side,
    text: String,
    edited: bool,
    /// What it answers: its number, or that it is not there any more.
    answers: Option<Option<Number>>,
    /// Alice's and Bob's.
    reactions: [BTreeSet<String>; 2],
}

/// A conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) lines: BTreeMap<Number, Line>,
    /// What was retracted, of each side.
    pub(crate) retracted: [usize; 2],
    /// What must not be in any view at rest.
    pub(crate) wrong: Vec<String>,
}

/// The message that a text is of.
pub(crate) fn number(text: &str) -> Option<Number> {
    text.strip_prefix('m')?.split(' ').next()?.parse().ok()
}

impl View {
    /// Of a console of ours, by the items of its timeline.
    pub(crate) fn of_items(items: &[Value], owner: Side) -> View {
        let mut view = View::default();
        let other = if owner == Side::Alice { Side::Bob } else { Side::Alice };
        let numbers: BTreeMap<&str, Number> = items
            .iter()
            .filter_map(|item| Some((item["id"].as_str()?, number(item["text"].as_str()?)?)))
            .collect();
        for item in items {
            let by = if item["mine"] == true { owner } else { other };
            if item["retracted"] == true {
                view.retracted[by as usize] += 1;
                continue;
            }
            let waits = ["queued", "failed"].iter().any(|state| item["state"] == *state);
            if item["gap"].is_string() || item["placeholder"] == true || waits || item["change"].is_object() {
                view.wrong.push(item.to_string());
            }
            let mut reactions = [BTreeSet::new(), BTreeSet::new()];
            for reaction in item["reactions"].as_array().into_iter().flatten() {
                let (count, mine) = (reaction["count"].as_u64(), reaction["mine"] == true);
                for (side, has_it) in [(owner, mine), (other, count == Some(2) || !mine)] {
                    if has_it {
                        reactions[side as usize].insert(text(&reaction["text"]));
                    }
                }
            }
            let answers = item["reply"]
                .is_object()
                .then(|| item["reply"]["id"].as_str().and_then(|answered| numbers.get(answered)).copied());
            let edited = item["edited"] == true;
            view.add(Line { by, text: text(&item["text"]), edited, answers, reactions });
        }
        view
    }

    /// Of slixmpp, which is Alice's.
    pub(crate) fn of_archive(reply: &Value) -> View {
        let mut view = View::default();
        let messages = || reply["messages"].as_array().into_iter().flatten();
        let numbers: BTreeMap<&str, Number> = messages()
            .filter(|message| message["retracted"] == false)
            .filter_map(|message| Some((message["id"].as_str()?, number(message["text"].as_str()?)?)))
            .collect();
        for message in messages() {
            let by = if message["mine"] == true { Side::Alice } else { Side::Bob };
            if message["retracted"] == true {
                view.retracted[by as usize] += 1;
                continue;
            }
            let felt = |side: &str| {
                message["reactions"][side].as_array().into_iter().flatten().map(text).collect::<BTreeSet<_>>()
            };
            view.add(Line {
                by,
                text: text(&message["text"]),
                edited: message["edited"] == true,
                answers: message["answers"].as_str().map(|answered| numbers.get(answered).copied()),
                reactions: [felt("mine"), felt("theirs")],
            });
        }
        for stray in reply["strays"].as_array().into_iter().flatten() {
            view.wrong.push(format!("told, and not in the archive: {stray}"));
        }
        view
    }

    fn add(&mut self, line: Line) {
        match number(&line.text) {
            Some(number) => {
                if let Some(other) = self.lines.insert(number, line) {
                    self.wrong.push(format!("m{number} is there twice: {other:?}"));
                }
            }
            None => self.wrong.push(format!("nobody has said this: {line:?}")),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What two views do not agree about.
pub(crate) fn differences((one, first): (&str, &View), (another, second): (&str, &View)) -> Vec<String> {
    let mut differences = Vec::new();
    let numbers: BTreeSet<&Number> = first.lines.keys().chain(second.lines.keys()).collect();
    for number in numbers {
        let lines = (first.lines.get(number), second.lines.get(number));
        if lines.0 != lines.1 {
            differences.push(format!(
                "m{number}\n    {one}: {}\n    {another}: {}",
                shown(lines.0),
                shown(lines.1)
            ));
        }
    }
    if first.retracted != second.retracted {
        differences.push(format!(
            "retracted by Alice and Bob: {one} {:?}, {another} {:?}",
            first.retracted, second.retracted
        ));
    }
    differences
}

fn shown(line: Option<&Line>) -> String {
    line.map_or_else(|| "not there".into(), |line| format!("{line:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn same_conversation_looks_the_same_from_all_sides_and_another_one_does_not() {
        let reactions = |mine| json!([{ "text": "❤", "count": 1, "mine": mine }, { "text": "☀", "count": 2, "mine": true }]);
        let items = |mine: bool, heart: bool| {
            [
                json!({ "id": "a", "text": "m0 e3 But soft", "mine": mine, "edited": true, "reactions": reactions(heart) }),
                json!({ "id": "b", "text": "", "mine": mine, "retracted": true }),
                json!({ "id": "c", "text": "m2 What light?", "mine": !mine, "reply": { "id": "a" } }),
                json!({ "id": "d", "text": "m3 The east", "mine": mine, "state": "sent", "reply": { "id": "b" } }),
            ]
        };
        let message = |id, text, mine, edited, retracted, answers: Option<&str>, felt: [&[&str]; 2]| {
            json!({ "id": id, "text": text, "mine": mine, "edited": edited, "retracted": retracted, "answers": answers,
                    "reactions": { "mine": felt[0], "theirs": felt[1] } })
        };
        let archive = json!({ "strays": [], "messages": [
            message("x", "m0 e3 But soft", true, true, false, None, [&["☀"], &["☀", "❤"]]),
            message("y", "m1 Nonsense", true, false, true, None, [&[], &[]]),
            message("z", "m2 What light?", false, false, false, Some("x"), [&[], &[]]),
            message("w", "m3 The east", true, false, false, Some("y"), [&[], &[]]),
        ] });
        let archive = ("slixmpp", &View::of_archive(&archive));
        let alice = View::of_items(&items(true, false), Side::Alice);
        let bob = View::of_items(&items(false, true), Side::Bob);
        assert_eq!(differences(archive, ("phone", &alice)), [""; 0]);
        assert_eq!(differences(archive, ("bob", &bob)), [""; 0]);
        assert_eq!((alice.wrong.len(), bob.wrong.len(), archive.1.wrong.len()), (0, 0, 0));

        let another = View::of_items(&items(true, true), Side::Alice);
        assert_eq!(differences(archive, ("phone", &another)).len(), 1);
        let less = View::of_items(&items(true, false)[1..], Side::Alice);
        assert_eq!(differences(archive, ("phone", &less)).len(), 2, "what is answered is not there, either");
        let queued = json!({ "id": "e", "text": "m0 x", "mine": true, "state": "queued" });
        assert_eq!(View::of_items(&[queued.clone(), queued], Side::Alice).wrong.len(), 3);
    }
}

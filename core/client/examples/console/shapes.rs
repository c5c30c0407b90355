//! The shapes of what is printed (`tests/console.md`).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use whimbrel::{
    Address, Conversation, Error, Event, FeedEntry, FoundIn, GapKind, Hit, Item, Media, Message, Mute,
    PasswordChange, Payload, PushState, Reaction, RegistrationField, RegistrationForm, SendState, Splice,
    Status, Update, Uri,
    text::{Location, Span, Style},
    uri::Action,
};

pub(crate) fn success(id: &Value, mut fields: Value) -> Value {
    fields["reply"] = id.clone();
    fields["ok"] = true.into();
    fields
}

pub(crate) fn failure(id: &Value, error: &Error) -> Value {
    json!({ "reply": id, "error": error.kind(), "text": error.to_string() })
}

pub(crate) fn event(event: &Event) -> Value {
    match event {
        Event::Online { resumed, after_start, round_trips, mechanism, refused } => with_some(
            json!({ "event": "online", "resumed": resumed, "after_start": after_start, "round_trips": round_trips, "mechanism": mechanism }),
            "refused",
            refused.as_deref(),
        ),
        Event::Offline { reason, detail } => {
            json!({ "event": "offline", "reason": reason, "detail": detail })
        }
        Event::Message { message, notify } => {
            let mut shape = self::message(message);
            shape["event"] = "message".into();
            shape["notify"] = (*notify).into();
            shape
        }
        Event::Changed(message) => {
            let mut shape = self::message(message);
            shape["event"] = "changed".into();
            shape
        }
        Event::State { id, with, state } => {
            let mut shape = json!({ "event": "state", "id": id, "with": with });
            put_state(&mut shape, state);
            shape
        }
        Event::Progress { caught_up, total } => {
            json!({ "event": "progress", "caught_up": caught_up, "total": total })
        }
        Event::Published { from, node, items } => {
            json!({ "event": "published", "from": from, "node": node, "items": items })
        }
        Event::Retracted { from, node, ids } => {
            json!({ "event": "retracted", "from": from, "node": node, "items": ids })
        }
        Event::Subscription { from, node, state } => {
            json!({ "event": "subscription", "from": from, "node": node, "subscription": state })
        }
        Event::Feed { of } => json!({ "event": "feed", "of": of }),
        Event::Asked { id, from, kind, payload } => {
            json!({ "event": "asked", "asked": id, "from": from, "kind": kind, "xml": payload })
        }
        Event::Payload(payload) => {
            let mut shape = self::payload(payload);
            shape["event"] = "payload".into();
            shape
        }
        Event::Password(PasswordChange::Done) => json!({ "event": "password", "password": "done" }),
        Event::Password(PasswordChange::Refused { condition }) => {
            json!({ "event": "password", "password": "refused", "condition": condition })
        }
        Event::Push(state) => {
            let mut shape = push(state);
            shape["event"] = "push".into();
            shape
        }
        Event::CaughtUp => json!({ "event": "caught_up" }),
        Event::TooLarge { what, size } => json!({ "event": "too_large", "what": what, "size": size }),
        Event::Raw { outgoing, xml } => json!({ "event": "raw", if *outgoing { "out" } else { "in" }: xml }),
    }
}

pub(crate) fn entry(entry: &FeedEntry) -> Value {
    let mut shape = json!(entry.entry);
    shape["id"] = entry.id.as_str().into();
    shape["at"] = entry.at.into();
    shape
}

pub(crate) fn payload(payload: &Payload) -> Value {
    let mut shape = json!({
        "id": payload.id,
        "with": payload.with,
        "from": payload.from,
        "mine": payload.mine,
        "namespace": payload.namespace,
        "xml": payload.xml,
        "at": payload.at,
    });
    if let Some(state) = &payload.state {
        put_state(&mut shape, state);
    }
    shape
}

pub(crate) fn form(form: &RegistrationForm) -> Value {
    let media =
        |media: &Media| json!({ "type": media.kind, "uri": media.uri, "data": BASE64.encode(&media.bytes) });
    let field = |field: &RegistrationField| {
        json!({
            "name": field.name,
            "label": field.label,
            "kind": field.kind,
            "required": field.required,
            "value": field.value,
            "choices": field.choices.iter().map(|(label, value)| json!([label, value])).collect::<Vec<_>>(),
            "media": field.media.iter().map(media).collect::<Vec<_>>(),
        })
    };
    let fields: Vec<Value> = form.fields.iter().map(field).collect();
    json!({ "instructions": form.instructions, "url": form.url, "fields": fields })
}

pub(crate) fn push(state: &PushState) -> Value {
    match state {
        PushState::Off => json!({ "push": "off" }),
        PushState::Waiting => json!({ "push": "waiting" }),
        PushState::On => json!({ "push": "on" }),
        PushState::Unsupported => json!({ "push": "unsupported" }),
        PushState::Refused { condition } => json!({ "push": "refused", "condition": condition }),
        PushState::LeftBehind(left) => {
            json!({ "push": "left_behind", "service": left.service, "node": left.node })
        }
    }
}

pub(crate) fn uri(uri: &Uri) -> Value {
    let mut shape = match uri.action() {
        None => json!({ "action": null }),
        Some(Action::Message { body, subject, thread }) => {
            json!({ "action": "message", "body": body, "subject": subject, "thread": thread })
        }
        Some(Action::Subscribe) => json!({ "action": "subscribe" }),
        Some(Action::Unsubscribe) => json!({ "action": "unsubscribe" }),
        Some(Action::Roster { name, groups, token, registers }) => json!({
            "action": "roster",
            "name": name,
            "groups": groups,
            "token": token,
            "registers": registers,
        }),
        Some(Action::Remove) => json!({ "action": "remove" }),
        Some(Action::Register { token }) => json!({ "action": "register", "token": token }),
        Some(Action::Join { password }) => json!({ "action": "join", "password": password }),
        Some(Action::Other(query)) => {
            let parameter = |(name, value): &(String, String)| json!({ "name": name, "value": value });
            let parameters: Vec<Value> = query.parameters.iter().map(parameter).collect();
            json!({ "action": "other", "name": query.name, "parameters": parameters })
        }
    };
    shape["account"] = json!(uri.account);
    shape["address"] = json!(uri.address);
    shape["fragment"] = json!(uri.fragment);
    shape
}

pub(crate) fn hit(hit: &Hit) -> Value {
    let mut shape = message(&hit.message);
    shape["matches"] = hit.matches.iter().map(|range| json!([range.start, range.end])).collect();
    shape
}

pub(crate) fn found_in(found: &FoundIn) -> Value {
    let mut shape = hit(&found.hit);
    shape["account"] = found.account.to_string().into();
    shape
}

pub(crate) fn status(status: &Status) -> Value {
    match status {
        Status::Offline { reason, detail, next_attempt } => json!({
            "status": "offline",
            "reason": reason.as_ref().map(Error::kind),
            "detail": detail,
            "next_attempt": next_attempt,
        }),
        Status::Connecting => json!({ "status": "connecting" }),
        Status::CatchingUp { done, total } => {
            json!({ "status": "catching_up", "done": done, "total": total })
        }
        Status::Online => json!({ "status": "online" }),
    }
}

pub(crate) fn update(with: &Address, update: &Update<Item>) -> Value {
    let splice = |splice: &Splice<Item>| {
        let items: Vec<Value> = splice.items.iter().map(item).collect();
        json!({ "at": splice.at, "removed": splice.removed, "items": items })
    };
    let splices: Vec<Value> = update.splices.iter().map(splice).collect();
    json!({ "event": "update", "with": with, "seq": update.seq, "splices": splices })
}

pub(crate) fn item(item: &Item) -> Value {
    match item {
        Item::Message(message) => self::message(message),
        Item::Gap(gap) => json!({
            "id": item.id(),
            "gap": match gap.kind {
                GapKind::Missing => "missing",
                GapKind::Unfetched => "unfetched",
                GapKind::NoLongerOnServer => "no_longer_on_server",
            },
        }),
    }
}

pub(crate) fn conversation(conversation: &Conversation) -> Value {
    let mut shape = json!({
        "with": conversation.with,
        "name": conversation.name,
        "unread": conversation.unread,
        "chat_state": conversation.chat_state,
        "blocked": conversation.blocked,
        "avatar": conversation.avatar,
        "last": conversation.last.as_ref().map(message),
        "is_stranger": conversation.is_stranger,
        "signals": conversation.signals,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "notify": conversation.notify,
    });
    if let Some(draft) = &conversation.draft {
        shape["draft"] = json!({ "text": draft.text, "reply_to": draft.reply_to });
    }
    match conversation.muted {
        Some(Mute::Until(at)) => shape["muted"] = at.into(),
        Some(Mute::ForEver) => shape["muted"] = true.into(),
        None => {}
    }
    shape
}

fn message(message: &Message) -> Value {
    let mut shape = json!({
        "id": message.id,
        "with": message.with,
        "from": message.from,
        "text": message.text,
        "at": message.at,
        "mine": message.mine,
        "starts_day": message.starts_day,
        "starts_group": message.starts_group,
    });
    if !message.spans.is_empty() {
        shape["spans"] = message.spans.iter().map(span).collect();
    }
    if message.is_action {
        shape["action"] = true.into();
    }
    if message.emoji_only {
        shape["emoji_only"] = true.into();
    }
    if let Some(written_at) = message.written_at {
        shape["written_at"] = written_at.into();
    }
    if message.placeholder {
        shape["placeholder"] = true.into();
    }
    if let Some(state) = &message.state {
        put_state(&mut shape, state);
    }
    for (flag, is_set) in [("edited", message.edited), ("retracted", message.retracted)] {
        if is_set {
            shape[flag] = true.into();
        }
    }
    if !message.reactions.is_empty() {
        let reaction = |reaction: &Reaction| json!({ "text": reaction.text, "count": reaction.count, "mine": reaction.mine });
        shape["reactions"] = message.reactions.iter().map(reaction).collect();
    }
    if let Some(reply) = &message.reply {
        shape["reply"] = json!({ "id": reply.id, "quote": reply.quote });
    }
    if let Some(change) = &message.change {
        shape["change"] = json!({ "id": change.id, "kind": change.kind });
        put_state(&mut shape["change"], &change.state);
    }
    if !message.links.is_empty() {
        shape["links"] = json!(message.links);
    }
    if !message.previews.is_empty() {
        shape["previews"] = json!(message.previews);
    }
    if let Some(thread) = &message.thread {
        shape["thread"] = json!(thread);
    }
    with_some(shape, "spoiler", message.spoiler.as_deref())
}

fn span(span: &Span) -> Value {
    let (style, what) = match &span.style {
        Style::Directive => ("directive", None),
        Style::Strong => ("strong", None),
        Style::Emphasis => ("emphasis", None),
        Style::Strike => ("strike", None),
        Style::Mono => ("mono", None),
        Style::Preformatted => ("preformatted", None),
        Style::Quote => ("quote", None),
        Style::Link { url } => ("link", Some(("url", json!(url)))),
        Style::Location(place) => ("location", Some(("place", location(place)))),
        Style::Mention { whom } => ("mention", Some(("whom", json!(whom)))),
    };
    let mut shape = json!({ "start": span.range.start, "end": span.range.end, "style": style });
    if let Some((field, value)) = what {
        shape[field] = value;
    }
    shape
}

fn location(Location { latitude, longitude, altitude, uncertainty }: &Location) -> Value {
    json!({ "latitude": latitude, "longitude": longitude, "altitude": altitude, "uncertainty": uncertainty })
}

fn put_state(shape: &mut Value, state: &SendState) {
    shape["state"] = match state {
        SendState::Queued => "queued",
        SendState::Sent => "sent",
        SendState::Delivered => "delivered",
        SendState::Displayed => "displayed",
        SendState::Failed { reason } => {
            shape["reason"] = reason.as_str().into();
            "failed"
        }
    }
    .into();
}

fn with_some(mut shape: Value, field: &str, value: Option<&str>) -> Value {
    if let Some(value) = value {
        shape[field] = value.into();
    }
    shape
}

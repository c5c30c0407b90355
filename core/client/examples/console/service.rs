//! Services: browsing, commands, feeds; what the app is asked and what it sends in namespaces of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use whimbrel::{Account, AdHoc, Affiliation, Error, Form, ItemId, Post};

use crate::{Console, address, done, is_on, made, number, read, shapes, text};

pub(crate) const ACTIONS: [&str; 20] = [
    "feed",
    "refresh_feed",
    "publish_entry",
    "retract_entry",
    "follow_feeds",
    "info",
    "items_of",
    "commands_of",
    "subscriptions_at",
    "affiliations_at",
    "execute",
    "next",
    "prev",
    "complete",
    "cancel_command",
    "request",
    "claim",
    "answer",
    "send_payload",
    "payloads",
];

pub(crate) async fn act(
    console: &Console,
    account: &Account,
    action: &str,
    request: &Value,
) -> Result<Value, Error> {
    let node = request["node"].as_str();
    match action {
        "info" => {
            let info = account.info(&read(request, "of")?, node).await?;
            Ok(json!({ "identities": info.identities, "features": info.features, "forms": info.forms }))
        }
        "items_of" => {
            let page = account.items_of(&read(request, "of")?, node, request["after"].as_str()).await?;
            Ok(json!({ "items": page.entities, "next": page.next }))
        }
        "commands_of" => Ok(json!({ "commands": account.commands_of(&read(request, "of")?).await? })),
        "subscriptions_at" => {
            Ok(json!({ "subscriptions": account.subscriptions_at(&read(request, "of")?, node).await? }))
        }
        "affiliations_at" => {
            let all: BTreeMap<String, Affiliation> =
                account.affiliations_at(&read(request, "of")?, node).await?.into_iter().collect();
            Ok(json!({ "affiliations": all }))
        }
        "request" => {
            let (kind, xml) = (read(request, "kind")?, text(request, "xml")?);
            Ok(json!({ "answer": account.request(&read(request, "of")?, kind, xml).await? }))
        }
        "claim" => {
            done(account.claim(text(request, "namespace")?, read(request, "what")?, is_on(request)).await)
        }
        "answer" => {
            let answer = match request["condition"].as_str() {
                Some(condition) => Err(condition),
                None => Ok(request["xml"].as_str()),
            };
            done(account.answer(read(request, "asked")?, answer).await)
        }
        "send_payload" => {
            let (to, xml) = (address(request, "to")?, text(request, "xml")?);
            let id = account.send_payload(made(request, "payload"), &to, xml).await?;
            Ok(json!({ "payload": id }))
        }
        "payloads" => {
            let (with, namespace) = (address(request, "with")?, text(request, "namespace")?);
            let after = request["after"].as_str().map(|id| ItemId(id.to_owned()));
            let payloads =
                account.payloads(&with, namespace, after.as_ref(), number(request, "limit", 50)?)?;
            Ok(json!({ "payloads": payloads.iter().map(shapes::payload).collect::<Vec<_>>() }))
        }
        "feed" => {
            let feed = account.feed(&address(request, "of")?);
            let entries = feed.entries(number(request, "limit", 50)?, request["before"].as_str())?;
            Ok(json!({ "entries": entries.iter().map(shapes::entry).collect::<Vec<_>>() }))
        }
        "refresh_feed" => done(account.feed(&address(request, "of")?).refresh().await),
        "publish_entry" => {
            let some = |field: &str| request[field].as_str().map(str::to_owned);
            let post = Post {
                title: text(request, "title")?.to_owned(),
                text: some("text"),
                author: some("author"),
                published: request["published"].as_i64(),
                links: read::<Option<_>>(request, "links")?.unwrap_or_default(),
            };
            let id = account.feed(account.jid()).publish(made(request, "entry"), post).await?;
            Ok(json!({ "entry": id }))
        }
        "retract_entry" => done(account.feed(account.jid()).retract(text(request, "entry")?).await),
        "follow_feeds" => done(account.follow_feeds(is_on(request)).await),
        "execute" if request["command"].is_null() => {
            let command = account.execute(&read(request, "of")?, text(request, "node")?).await?;
            Ok(keep(console, console.name(), command))
        }
        _ => {
            let name = text(request, "command")?;
            let mut command = console.commands.borrow().get(name).cloned().ok_or(Error::NotFound)?;
            let form = filled(&command, request)?;
            match action {
                "execute" => command.execute(form).await?,
                "next" => command.next(form).await?,
                "prev" => command.prev().await?,
                "complete" => command.complete(form).await?,
                _ => command.cancel().await?,
            };
            Ok(keep(console, name.to_owned(), command))
        }
    }
}

/// The form of a command's stage with the values of a request, if it has any.
fn filled(command: &AdHoc, request: &Value) -> Result<Option<Form>, Error> {
    let mut form = command.stage().form.clone();
    if let (Some(form), false) = (&mut form, request["values"].is_null()) {
        for (name, values) in read::<BTreeMap<String, Vec<String>>>(request, "values")? {
            form.set(&name, values)?;
        }
    }
    Ok(form)
}

fn keep(console: &Console, name: String, command: AdHoc) -> Value {
    let stage = command.stage();
    let shape = json!({
        "command": name,
        "status": stage.status,
        "actions": stage.actions,
        "default": stage.default,
        "form": stage.form,
        "notes": stage.notes,
    });
    console.commands.borrow_mut().insert(name, command);
    shape
}

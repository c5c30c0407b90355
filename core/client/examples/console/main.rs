//! A small real program on the public API: JSON lines in, JSON lines out. `tests/console.md` holds every shape.
//!
//! Tests and other programs drive the core with it. Commands are begun in the order of their lines and answered as they
//! finish; events come in between. The end of input means `quit`, which leaves the session on the server.

mod service;
mod shapes;
mod vault;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use clap::Parser;
use serde_json::{Map, Value, json};
use tokio::{sync::mpsc, task};
use whimbrel::{
    Account, AdHoc, Address, Client, Connection, Cursor, Delete, DiskUse, Draft, Error, ItemId, Link,
    Mention, Mute, Network, NetworkId, NodeOptions, Options, Outgoing, Picture, Preview, Push, Registration,
    Report, Role, Search, Server, Timeline, Uri,
};

#[derive(Parser)]
#[command(about = "An XMPP account on standard input and output. The password comes from WHIMBREL_PASSWORD.")]
struct Arguments {
    /// Where everything is kept.
    #[arg(long)]
    data: PathBuf,
    /// Whose account.
    #[arg(long)]
    account: Address,
    /// Where the server is; found by the address if not given.
    #[arg(long, value_parser = host_and_port)]
    server: Option<(String, u16)>,
    /// TLS from the first byte on that server's port.
    #[arg(long)]
    direct_tls: bool,
    /// A file of certificates (PEM) to trust besides the platform's.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// SHA-256 of a public key that the server may have, in hexadecimal; nothing else is trusted then. May be repeated.
    #[arg(long)]
    key: Vec<String>,
    /// What to call this device.
    #[arg(long)]
    resource: Option<String>,
    /// host:port of a SOCKS5 proxy.
    #[arg(long)]
    proxy: Option<String>,
    /// Let the server see the password if it knows nothing better.
    #[arg(long)]
    allow_plain: bool,
    /// Messages to ask an archive for at once.
    #[arg(long, default_value_t = 500)]
    page: u32,
    /// This is an extension of the app that has the same data: leave it alone while it lives.
    #[arg(long)]
    extension: bool,
    /// Show every stanza.
    #[arg(long)]
    raw: bool,
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("HOST:PORT is needed")?;
    let port = port.parse().map_err(|_| format!("{port} is not a port"))?;
    Ok((host.trim_matches(['[', ']']).to_owned(), port))
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("WHIMBREL_LOG"))
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(task::LocalSet::new().run_until(run(arguments))),
        Err(error) => Err(Error::Bug { report: error.to_string() }),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            print(&shapes::failure(&Value::Null, &error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    let invalid = |what: String| Error::InvalidInput { what };
    std::fs::create_dir_all(&arguments.data).map_err(|error| invalid(error.to_string()))?;
    let certificates = arguments.ca.as_ref().map(std::fs::read_to_string).transpose();
    let connection = Connection {
        server: arguments.server.map(|(host, port)| Server { host, port, direct_tls: arguments.direct_tls }),
        proxy: arguments.proxy,
        certificates: certificates.map_err(|error| invalid(format!("--ca: {error}")))?,
        keys: arguments.key,
        resource: arguments.resource,
        allow_plain: arguments.allow_plain,
    };
    let vault = Arc::new(vault::OneKey::new(&arguments.data)?);
    let options = Options {
        role: if arguments.extension { Role::Extension } else { Role::App },
        software: "Whimbrel console".into(),
        raw: arguments.raw,
        page: arguments.page,
        resolver: None,
    };
    let client = Client::open(&arguments.data, vault, options).await?;
    let (account, mut broken) = match client.add_account(arguments.account.clone(), connection.clone()).await
    {
        Ok(account) => (account, None),
        // It is there and cannot be opened: it says why, and can be started over.
        Err(error) => (client.account(&arguments.account).ok_or_else(|| error.clone())?, Some(error)),
    };
    if let Some(error) = &broken {
        print(&shapes::failure(&Value::Null, error));
    }
    let console = Rc::new(Console {
        client,
        connection,
        account: RefCell::new(account),
        timelines: RefCell::default(),
        commands: RefCell::default(),
        registration: RefCell::default(),
    });
    console.follow();
    console.sign_in();
    let mut working = task::JoinSet::new();
    let mut lines = read_lines();
    let mut quit = None;
    while let Some(line) = lines.recv().await {
        while working.try_join_next().is_some() {}
        let Ok(request @ Value::Object(_)) = serde_json::from_str::<Value>(&line) else {
            print(&shapes::failure(&Value::Null, &invalid("not a JSON object".into())));
            continue;
        };
        let id = request["id"].clone();
        match request["do"].as_str() {
            Some("quit") => {
                quit = Some(id);
                break;
            }
            Some("suspend") => {
                console.client.suspend(Duration::from_secs(5)).await;
                print(&shapes::success(&id, json!({})));
            }
            Some("resume") => answer(&id, console.client.resume().await.map(|()| json!({}))),
            Some("start_over") => {
                let result = console.start_over().await;
                if result.is_ok() {
                    broken = None;
                }
                answer(&id, result.map(|()| json!({})));
            }
            Some(action) => {
                let (action, console) = (action.to_owned(), Rc::clone(&console));
                let mut work = Box::pin(async move { answer(&id, console.act(&action, &request).await) });
                // It begins before the next line does, whatever that is.
                let done = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await;
                if !done {
                    working.spawn_local(work);
                }
            }
            None => print(&shapes::failure(&id, &invalid("\"do\" is missing".into()))),
        }
    }
    // What was begun is answered, be it with the news that it is too late.
    console.client.suspend(Duration::from_secs(5)).await;
    let answered = async { while working.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(5), answered).await;
    match quit {
        Some(id) => print(&shapes::success(&id, json!({}))),
        None if broken.is_some() => return Ok(ExitCode::FAILURE),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

struct Console {
    client: Client,
    connection: Connection,
    account: RefCell<Account>,
    /// Each with whoever shows its updates.
    timelines: RefCell<BTreeMap<Address, (Timeline, task::AbortHandle)>>,
    /// Commands of services that are under way, by what the console calls them.
    commands: RefCell<BTreeMap<String, AdHoc>>,
    registration: RefCell<Option<Registration>>,
}

impl Console {
    /// Shows what happens to the account.
    fn follow(&self) {
        let account = self.account.borrow().clone();
        let mut events = account.events();
        task::spawn_local(async move {
            while let Some(event) = events.next().await {
                let missed = events.missed();
                if missed > 0 {
                    print(&json!({ "event": "missed", "count": missed }));
                }
                print(&shapes::event(&event));
            }
        });
    }

    fn sign_in(&self) {
        let account = self.account.borrow().clone();
        task::spawn_local(async move {
            // How it goes is told by events.
            let _ = match std::env::var("WHIMBREL_PASSWORD") {
                Ok(password) => account.sign_in(&password).await,
                Err(_) => account.connect().await,
            };
        });
    }

    /// What to call a command that begins.
    fn name(&self) -> String {
        format!("c{}", self.commands.borrow().len())
    }

    async fn start_over(&self) -> Result<(), Error> {
        let jid = self.account.borrow().jid().clone();
        let account = self.client.start_over(&jid).await?;
        self.timelines.borrow_mut().clear();
        self.account.replace(account);
        self.follow();
        self.sign_in();
        Ok(())
    }

    /// Asks a server for an account, or answers what it wants to know; then the new account is the console's.
    async fn register(&self, request: &Value) -> Result<Value, Error> {
        if request["answers"].is_null() {
            let (address, token) = (address(request, "server")?, request["token"].as_str());
            let registration = self.client.register(&address, token, self.connection.clone()).await?;
            let form = shapes::form(registration.form());
            self.registration.replace(Some(registration));
            return Ok(json!({ "form": form }));
        }
        let mut registration = self.registration.take().ok_or(Error::NotFound)?;
        match registration.submit(&read(request, "answers")?).await {
            Ok(account) => {
                self.timelines.borrow_mut().clear();
                let jid = account.jid().to_string();
                self.account.replace(account);
                self.follow();
                Ok(json!({ "account": jid }))
            }
            Err(error) => {
                self.registration.replace(Some(registration));
                Err(error)
            }
        }
    }

    async fn act(self: &Rc<Self>, action: &str, request: &Value) -> Result<Value, Error> {
        let account = self.account.borrow().clone();
        match action {
            "send" => {
                let what = outgoing(request)?;
                let id = account.send(made(request, "message"), &address(request, "to")?, what).await?;
                Ok(json!({ "message": id }))
            }
            "edit" => {
                let (message, text) = (item(request)?, text(request, "text")?);
                done(account.edit(made(request, "change"), &message, text).await)
            }
            "retract" => done(account.retract(made(request, "change"), &item(request)?).await),
            "react" => {
                let reactions: Vec<&str> = request["reactions"]
                    .as_array()
                    .and_then(|all| all.iter().map(Value::as_str).collect())
                    .ok_or_else(|| Error::InvalidInput {
                        what: "\"reactions\" is no list of texts".into(),
                    })?;
                done(account.react(made(request, "change"), &item(request)?, &reactions).await)
            }
            "retry" => done(account.retry(&item(request)?).await),
            "cancel" => done(account.cancel(&item(request)?).await),
            "timeline" => {
                let at = request["at"].as_str().map(|id| ItemId(id.to_owned()));
                self.timeline(&address(request, "with")?, at.as_ref(), number(request, "limit", 50)?)
            }
            "older" => {
                let (with, limit) = (address(request, "with")?, number(request, "limit", 50)?);
                let opened = self.timelines.borrow().get(&with).cloned();
                match opened {
                    Some((timeline, _)) => Ok(json!({ "more": timeline.older(limit).await? })),
                    None => {
                        let older = account.fetch_older().await?;
                        Ok(json!({ "added": older.added, "more": !older.complete }))
                    }
                }
            }
            "newer" => {
                let (with, limit) = (address(request, "with")?, number(request, "limit", 50)?);
                let opened = self.timelines.borrow().get(&with).cloned();
                let (timeline, _) = opened.ok_or(Error::NotFound)?;
                Ok(json!({ "more": timeline.newer(limit)? }))
            }
            "search" => {
                let limit = number(request, "limit", 20)?;
                if request["all_accounts"].as_bool().unwrap_or(false) {
                    let found = self.client.search(&search(request)?, None, limit);
                    let hits: Vec<Value> = found.iter().map(shapes::found_in).collect();
                    return Ok(json!({ "hits": hits }));
                }
                let before = match &request["before"] {
                    Value::Null => None,
                    before => Some(cursor(before)?),
                };
                let found = account.search(&search(request)?, before, limit)?;
                let hits: Vec<Value> = found.hits.iter().map(shapes::hit).collect();
                Ok(json!({ "hits": hits, "next": found.next.map(|next| json!([next.at, next.row])) }))
            }
            "conversations" => {
                let all = account.conversations().items()?;
                Ok(json!({ "conversations": all.iter().map(shapes::conversation).collect::<Vec<_>>() }))
            }
            "roster" => Ok(json!({ "contacts": account.contacts().items()? })),
            "add" => done(account.add_contact(&address(request, "jid")?, request["name"].as_str()).await),
            "add_inviter" => {
                let (jid, name) = (address(request, "jid")?, request["name"].as_str());
                done(account.add_inviter(&jid, name, text(request, "token")?).await)
            }
            "invite" => {
                let valid_for = Duration::from_secs(u64::from(number(request, "valid_for_s", 7 * 86_400)?));
                let invitation = account.invite(request["name"].as_str(), valid_for).await?;
                Ok(json!({ "invitation": invitation }))
            }
            "invite_to_server" => {
                let invitation = account.invite_to_server(request["username"].as_str()).await?;
                Ok(json!({ "invitation": invitation }))
            }
            "uri" => {
                let uri: Uri = text(request, "uri")?
                    .parse()
                    .map_err(|error| Error::InvalidInput { what: format!("\"uri\": {error}") })?;
                Ok(json!({ "uri": shapes::uri(&uri) }))
            }
            "edit_contact" => {
                let (name, groups) = (request["name"].as_str(), read(request, "groups")?);
                done(account.edit_contact(&address(request, "jid")?, name, groups).await)
            }
            "block" => {
                let report = match request["reason"] {
                    Value::Null => None,
                    _ => Some(Report {
                        reason: read(request, "reason")?,
                        text: request["text"].as_str().map(str::to_owned),
                        messages: read::<Option<Vec<ItemId>>>(request, "messages")?.unwrap_or_default(),
                    }),
                };
                done(account.block(&read(request, "jid")?, report).await)
            }
            "avatar" => {
                let picture = account.avatar(text(request, "hash")?)?.ok_or(Error::NotFound)?;
                Ok(json!({ "type": picture.kind, "data": BASE64.encode(picture.bytes) }))
            }
            "set_avatar" if request["data"].is_null() => done(account.set_avatar(None).await),
            "set_avatar" => {
                let bytes = BASE64
                    .decode(text(request, "data")?)
                    .map_err(|error| Error::InvalidInput { what: format!("\"data\": {error}") })?;
                let picture = Picture { kind: text(request, "type")?.to_owned(), bytes };
                done(account.set_avatar(Some(picture)).await)
            }
            "card" => Ok(json!({ "card": account.card(&address(request, "jid")?).await? })),
            "known_card" => {
                let known = account.known_card(&address(request, "jid")?)?.ok_or(Error::NotFound)?;
                Ok(json!({ "card": known.card, "read_at": known.read_at }))
            }
            "set_card" => done(account.set_card(read(request, "card")?, read(request, "audience")?).await),
            "nickname" => done(account.set_nickname(text(request, "name")?).await),
            "presence" if request["show"].is_null() => Ok(json!({ "presence": account.presence()? })),
            "presence" => done(account.set_presence(read(request, "show")?, request["text"].as_str()).await),
            "unblock" => done(account.unblock(&read(request, "jid")?).await),
            "blocked" => Ok(json!({ "blocked": account.blocked()? })),
            "remove" => done(account.remove_contact(&address(request, "jid")?).await),
            "decline" => done(account.decline_contact(&address(request, "jid")?).await),
            "signals" => match (&request["with"], &request["signals"]) {
                (Value::Null, Value::Null) => Ok(json!({ "signals": account.signals()? })),
                (Value::Null, _) => done(account.set_signals(read(request, "signals")?).await),
                _ => done(
                    account.set_signals_with(&address(request, "with")?, read(request, "signals")?).await,
                ),
            },
            "strangers" => done(account.set_notify_of_strangers(is_on(request)).await),
            "accept" => done(account.accept_contact(&address(request, "jid")?).await),
            "delete" => {
                let what = match (&request["before"], request["message"].as_str()) {
                    (Value::Null, None) => Delete::Conversation { with: address(request, "with")? },
                    (Value::Null, Some(id)) => Delete::Message { id: ItemId(id.to_owned()) },
                    (before, _) => Delete::Before {
                        at: before.as_i64().ok_or_else(|| Error::InvalidInput {
                            what: "\"before\" is not a number".into(),
                        })?,
                    },
                };
                done(account.delete(what).await)
            }
            "mark_read" => done(account.mark_read(&address(request, "with")?).await),
            "draft" => {
                let draft = request["text"].as_str().map(|text| Draft {
                    text: text.to_owned(),
                    reply_to: request["reply_to"].as_str().map(|id| ItemId(id.to_owned())),
                });
                done(account.set_draft(&address(request, "with")?, draft).await)
            }
            "pin" => done(account.set_pinned(&address(request, "with")?, is_on(request)).await),
            "mute" => {
                let muted = match request["until"].as_i64() {
                    Some(at) => Some(Mute::Until(at)),
                    None => is_on(request).then_some(Mute::ForEver),
                };
                done(account.set_muted(&address(request, "with")?, muted).await)
            }
            "archive" => done(account.set_archived(&address(request, "with")?, is_on(request)).await),
            "notify" => {
                let notify = serde_json::from_value(request["of"].clone())
                    .map_err(|error| Error::InvalidInput { what: format!("\"of\": {error}") })?;
                done(account.set_notify(&address(request, "with")?, notify).await)
            }
            "chat_state" => {
                let state = serde_json::from_value(request["state"].clone())
                    .map_err(|error| Error::InvalidInput { what: format!("\"state\": {error}") })?;
                done(account.set_chat_state(&address(request, "with")?, state).await)
            }
            "network" => {
                self.client.network_changed(&network(request)?);
                Ok(json!({}))
            }
            "woke" => {
                self.client.woke();
                Ok(json!({}))
            }
            "foreground" => {
                self.client.set_foreground(is_on(request));
                Ok(json!({}))
            }
            action if service::ACTIONS.contains(&action) => {
                service::act(self, &account, action, request).await
            }
            "follow" => done(account.follow(text(request, "node")?, is_on(request)).await),
            action if NODE_ACTIONS.contains(&action) => node(&account, action, request).await,
            "push" if request["service"].is_null() => done(account.set_push(None).await),
            "push" => {
                let service = text(request, "service")?;
                let service = service
                    .parse()
                    .map_err(|error| Error::InvalidInput { what: format!("\"service\": {error}") })?;
                let (node, secret) = (text(request, "node")?.to_owned(), request["secret"].as_str());
                let push = Push { service, node, secret: secret.map(str::to_owned) };
                done(account.set_push(Some(push)).await)
            }
            "push_state" => Ok(shapes::push(&account.push()?)),
            "raw" => done(account.send_raw(text(request, "xml")?).await),
            "status" => Ok(shapes::status(&account.status())),
            "sync" => {
                let timeout = Duration::from_millis(u64::from(number(request, "timeout_ms", 30_000)?));
                done(account.sync(timeout).await)
            }
            "register" => self.register(request).await,
            "server_info" => Ok(json!({ "server": account.server_info().await? })),
            "disk_use" => {
                let DiskUse { total, set_aside, index, pictures } = account.disk_use()?;
                Ok(json!({ "total": total, "set_aside": set_aside, "index": index, "pictures": pictures }))
            }
            "export" => Ok(json!({ "messages": account.export(Path::new(text(request, "file")?)).await? })),
            "import" => Ok(json!({ "imported": account.import(Path::new(text(request, "file")?)).await? })),
            "log_bundle" => Ok(json!({ "text": self.client.log_bundle() })),
            "clients" => Ok(json!({ "clients": account.clients().await? })),
            "revoke" => done(account.revoke_client(text(request, "client")?).await),
            "change_password" => done(account.change_password(text(request, "password")?).await),
            "delete_account" => done(self.client.delete_account(account.jid()).await),
            "remove_account" => done(self.client.remove_account(account.jid()).await),
            "sign_in" => done(account.sign_in(text(request, "password")?).await),
            "connect" => done(account.connect().await),
            "disconnect" => done(account.disconnect().await),
            unknown => Err(Error::InvalidInput { what: format!("there is no \"{unknown}\" to do") }),
        }
    }

    /// Shows a conversation, and follows it from then on; at a message, in place of what was followed before.
    fn timeline(&self, with: &Address, at: Option<&ItemId>, limit: u32) -> Result<Value, Error> {
        let timeline = match at {
            Some(item) => self.account.borrow().timeline_at(with, item, limit)?,
            None => self.account.borrow().timeline(with, limit)?,
        };
        let items: Vec<Value> = timeline.items()?.iter().map(shapes::item).collect();
        if at.is_some() || !self.timelines.borrow().contains_key(with) {
            let shown = timeline.clone();
            let follower = task::spawn_local(async move {
                let updates = shown.subscribe();
                let mut seq = 0;
                while let Ok(update) = updates.next(seq).await {
                    seq = update.seq;
                    print(&shapes::update(shown.with(), &update));
                }
            });
            let followed = (timeline, follower.abort_handle());
            if let Some((_, before)) = self.timelines.borrow_mut().insert(with.clone(), followed) {
                before.abort();
            }
        }
        Ok(json!({ "items": items }))
    }
}

/// An id that the caller made, or else a new one.
fn made(request: &Value, field: &str) -> ItemId {
    request[field].as_str().map_or_else(ItemId::new, |id| ItemId(id.to_owned()))
}

fn item(request: &Value) -> Result<ItemId, Error> {
    Ok(ItemId(text(request, "message")?.to_owned()))
}

fn outgoing(request: &Value) -> Result<Outgoing, Error> {
    let some = |field: &str| request[field].as_str().map(str::to_owned);
    Ok(Outgoing {
        reply_to: some("reply_to").map(ItemId),
        spoiler: some("spoiler"),
        thread: read(request, "thread")?,
        not_after: request["not_after"].as_i64(),
        links: read::<Option<Vec<Link>>>(request, "links")?.unwrap_or_default(),
        previews: read::<Option<Vec<Preview>>>(request, "previews")?.unwrap_or_default(),
        mentions: read::<Option<Vec<Value>>>(request, "mentions")?
            .unwrap_or_default()
            .iter()
            .map(mention)
            .collect::<Result<_, _>>()?,
        ..text(request, "text")?.into()
    })
}

/// As it is shown: a part of the text in bytes, and who is meant by it.
fn mention(mention: &Value) -> Result<Mention, Error> {
    let [start, end] = [read::<usize>(mention, "start")?, read::<usize>(mention, "end")?];
    Ok(Mention { range: start..end, whom: read(mention, "whom")? })
}

fn is_on(request: &Value) -> bool {
    request["on"].as_bool().unwrap_or(true)
}

fn done(result: Result<(), Error>) -> Result<Value, Error> {
    result.map(|()| json!({}))
}

fn answer(id: &Value, result: Result<Value, Error>) {
    match result {
        Ok(fields) => print(&shapes::success(id, fields)),
        Err(error) => print(&shapes::failure(id, &error)),
    }
}

const NODE_ACTIONS: [&str; 17] = [
    "publish",
    "items",
    "item",
    "retract_item",
    "purge",
    "create_node",
    "delete_node",
    "configure",
    "configuration",
    "subscribe",
    "unsubscribe",
    "subscription_options",
    "configure_subscription",
    "subscribers",
    "set_subscriber",
    "affiliations",
    "affiliate",
];

/// What is asked of a node.
async fn node(account: &Account, action: &str, request: &Value) -> Result<Value, Error> {
    let name = text(request, "node")?;
    let node = match &request["of"] {
        Value::Null => account.node(name),
        _ => account.node_of(&read(request, "of")?, name),
    };
    let options = || match &request["options"] {
        Value::Null => Ok(NodeOptions::default()),
        Value::String(name) if name == "private" => Ok(NodeOptions::private()),
        Value::String(name) if name == "public" => Ok(NodeOptions::public()),
        _ => read(request, "options"),
    };
    match action {
        "publish" => {
            let (id, xml) = (request["item"].as_str(), text(request, "xml")?);
            Ok(json!({ "item": node.publish(id, xml, options()?).await? }))
        }
        "items" => {
            let page = node.items(number(request, "limit", 50)?, request["after"].as_str()).await?;
            Ok(json!({ "items": page.items, "next": page.next }))
        }
        "item" => Ok(json!({ "item": node.item(text(request, "item")?).await? })),
        "retract_item" => done(node.retract(text(request, "item")?).await),
        "purge" => done(node.purge().await),
        "create_node" => done(node.create(options()?).await),
        "delete_node" => done(node.delete().await),
        "configure" => done(node.configure(options()?).await),
        "configuration" => Ok(json!({ "options": node.configuration().await? })),
        "subscribe" => Ok(json!({ "subscription": node.subscribe().await? })),
        "unsubscribe" => done(node.unsubscribe().await),
        "subscription_options" => Ok(json!({ "form": node.subscription_options().await? })),
        "configure_subscription" => {
            let mut form = node.subscription_options().await?;
            for (name, values) in read::<BTreeMap<String, Vec<String>>>(request, "values")? {
                form.set(&name, values)?;
            }
            done(node.configure_subscription(form).await)
        }
        "subscribers" => Ok(json!({ "subscriptions": node.subscribers().await? })),
        "set_subscriber" => {
            done(node.set_subscriber(&read(request, "jid")?, read(request, "subscription")?).await)
        }
        "affiliations" => {
            let all = node.affiliations().await?;
            let all: Map<String, Value> =
                all.iter().map(|(jid, what)| (jid.to_string(), json!(what))).collect();
            Ok(json!({ "affiliations": all }))
        }
        _ => done(node.affiliate(&address(request, "jid")?, read(request, "affiliation")?).await),
    }
}

fn network(request: &Value) -> Result<Network, Error> {
    let read = |field: &str, error: &dyn std::fmt::Display| Error::InvalidInput {
        what: format!("\"{field}\": {error}"),
    };
    let kind = match &request["kind"] {
        Value::Null => Ok(Default::default()),
        kind => serde_json::from_value(kind.clone()).map_err(|error| read("kind", &error)),
    };
    let dns = match &request["dns"] {
        Value::Null => Ok(Vec::new()),
        dns => serde_json::from_value(dns.clone()).map_err(|error| read("dns", &error)),
    };
    Ok(Network {
        available: request["available"].as_bool().unwrap_or(true),
        id: request["network"].as_str().map(|id| NetworkId(id.to_owned())),
        kind: kind?,
        metered: request["metered"].as_bool().unwrap_or(false),
        dns: dns?,
    })
}

fn search(request: &Value) -> Result<Search, Error> {
    let optional = |field: &str| match &request[field] {
        Value::Null => Ok(None),
        _ => address(request, field).map(Some),
    };
    Ok(Search {
        text: request["text"].as_str().unwrap_or_default().to_owned(),
        with: optional("with")?,
        from: optional("from")?,
        since: request["since"].as_i64(),
        until: request["until"].as_i64(),
        has_link: request["has_link"].as_bool().unwrap_or(false),
    })
}

fn cursor(before: &Value) -> Result<Cursor, Error> {
    match (before[0].as_i64(), before[1].as_i64()) {
        (Some(at), Some(row)) => Ok(Cursor { at, row }),
        _ => Err(Error::InvalidInput { what: "\"before\" is not what \"next\" was".into() }),
    }
}

fn address(request: &Value, field: &str) -> Result<Address, Error> {
    let given = text(request, field)?;
    given.parse().map_err(|error| Error::InvalidInput { what: format!("\"{field}\": {error}") })
}

fn read<T: serde::de::DeserializeOwned>(request: &Value, field: &str) -> Result<T, Error> {
    serde_json::from_value(request[field].clone())
        .map_err(|error| Error::InvalidInput { what: format!("\"{field}\": {error}") })
}

fn text<'a>(request: &'a Value, field: &str) -> Result<&'a str, Error> {
    request[field].as_str().ok_or_else(|| Error::InvalidInput { what: format!("\"{field}\" is missing") })
}

fn number(request: &Value, field: &str, default: u32) -> Result<u32, Error> {
    match &request[field] {
        Value::Null => Ok(default),
        value => value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| Error::InvalidInput { what: format!("\"{field}\" is not a number") }),
    }
}

/// Standard input has no asynchronous reading that could be relied on: a thread waits for it.
fn read_lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line);
            if !line.trim().is_empty() && sender.send(line.into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn print(line: &Value) {
    let mut out = std::io::stdout().lock();
    // Whoever listened is gone: there is nobody left to tell.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
